"""The localiser that a user named: looked at before anything starts, and kept with the campaign that it was used in."""

from pathlib import Path

from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.methods.localiser.finding import HandFinder
from semihand.methods.localiser.weights import CARD, load_localiser
from semihand.methods.semihand.weight_folder import WEIGHTS
from semihand.rounds.ledger import Ledger
from semihand.steps.finding import FindJob
from semihand.steps.following import FindConfig
from semihand.tables import DamagedTable, files

_KEPT = "localiser"  # its copy in a campaign's folder, where every machine sees it


def find_job(localiser: Path, teacher: Path | None, config: FindConfig, limits: Limits) -> FindJob:
    """What finding needs: the models, by where they lie."""
    return FindJob(config, localiser.resolve(), None if teacher is None else teacher.resolve(), limits, HandFinder)


def check_localiser(given: Path, config: FindConfig) -> str:
    """Open the model once, and say who it is: the sha256 of its weights.

    Raises:
        InputError: it is missing, damaged or no localiser.
    """
    if not given.is_dir():
        raise InputError(f"--localiser {given}: no such folder; name the folder of a localiser, or leave it out")
    try:
        return HandFinder(given, "cpu", config.min_score).card.sha256
    except (OSError, ValueError) as error:
        raise InputError(f"--localiser {given} is no localiser that can be read: {error}") from error


def keep_localiser(given: Path | None, campaign: Path) -> None:
    """Copy the model that the user named, unless a copy is there or none was named.

    Raises:
        InputError: it cannot be read.
    """
    if given is None or kept_localiser(campaign) is not None:
        return
    try:
        copied = {name: (given / name).read_bytes() for name in (WEIGHTS, CARD)}
        for name, data in copied.items():  # the card last: with it the copy is complete
            files.write_whole(str(campaign / _KEPT / name), data, "model")
        files.sync(str(campaign))
    except OSError as error:
        raise InputError(f"--localiser {given} cannot be copied into the campaign: {error}") from error


def kept_localiser(campaign: Path) -> Path | None:
    """The copy, complete; None where a campaign has none."""
    return campaign / _KEPT if (campaign / _KEPT / CARD).is_file() else None


def check_kept_localiser(campaign: Path, ledger: Ledger) -> None:
    """Hold the copy, where there is one or should be, to its card and to what the ledger says of it.

    Raises:
        DamagedTable: it is another than the one that looked at the pool.
        ValueError: it is damaged or gone.
    """
    ingested = ledger.finished(0, "ingest")
    wanted = None if ingested is None else ingested.hashes.get("localiser")
    if wanted is None and not (campaign / _KEPT).is_dir():
        return
    _, card = load_localiser(campaign / _KEPT)
    if wanted not in (None, card.sha256):
        raise DamagedTable(f"{campaign / _KEPT}: not the localiser that looked at the pool; restore it from a copy")
