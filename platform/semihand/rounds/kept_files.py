"""What a step leaves in its round's folder beside the tables: known to the ledger by its sha256, checked before use."""

from pathlib import Path

from semihand.rounds.ledger import Ledger
from semihand.tables import DamagedTable, files


def hashes_of(folder: Path, *names: str) -> dict[str, str]:
    """The sha256 of files that a step has just left, for its ledger row."""
    return {name: str(files.sha256(str(folder / name))) for name in names if (folder / name).is_file()}


def kept_file(rounds: Path, ledger: Ledger, round_number: int, step: str, name: str) -> Path:
    """A file that a step left, once its bytes are found to be those that the ledger knows.

    Args:
        rounds: the folder of all rounds.
        ledger: the campaign's.
        round_number: whose step.
        step: as the ledger names it.
        name: of the file.

    Raises:
        DamagedTable: it is gone or not what was left.
    """
    path = rounds / str(round_number) / name
    done = ledger.finished(round_number, step)
    wanted = None if done is None else done.hashes.get(name)
    if wanted is not None and files.sha256(str(path)) != wanted:
        raise DamagedTable(f"{path}: not what step {step} of round {round_number} left; restore it from a copy")
    return path
