"""Is a campaign what it was? Every file that is known by its hash, compared with it; nothing is changed."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from semihand.methods.semihand.radii import load_radii
from semihand.methods.semihand.weights import load_model
from semihand.rounds.kept_files import kept_file
from semihand.rounds.ledger import Ledger
from semihand.rounds.listed import MANIFEST, check_manifest
from semihand.rounds.localiser import check_kept_localiser
from semihand.steps.checkpoint import CheckpointError, Checkpoints
from semihand.tables import DamagedTable, Store, files, rounds_of
from semihand.tables.log import committed_paths, open_table
from semihand.tables.readers import check_digest
from semihand.tables.records import RecordError, read_record
from semihand.tables.sweeping import tables_below
from semihand.tables.witness import forget_logs, noted_version

_RECORDS = ("witness/*.json", "seals/*.json", "**/witness/*.json", "fits/*/*.json")
_ERRORS = (DamagedTable, RecordError, CheckpointError, OSError, ValueError)


def damages(folder: Path) -> Iterator[str]:
    """What is not as it was written, a line each: logs, shards of every version, seals, manifest, models, checkpoints.

    A file that the latest version of its table does not hold may be gone: a vacuum took it.

    Args:
        folder: the campaign's.
    """
    forget_logs()
    for uri in tables_below(folder):
        yield from _of(partial(_check_table, uri))
    store = Store(folder)
    for pattern in _RECORDS:
        for path in sorted(folder.glob(pattern)):
            yield from _of(partial(read_record, str(path)))
    yield from _of(partial(_check_seals, store))
    yield from _of(partial(_check_kept, store, folder))
    yield from _of(partial(check_kept_localiser, folder, Ledger(store)))
    for open_folder, pattern in ((load_model, "models/*"), (load_radii, "radii/*")):
        for path in sorted(folder.glob(pattern)):
            yield from _of(partial(open_folder, path))
    for path in sorted(folder.glob("fits/*/")):
        yield from _of(Checkpoints(path).check)


def _of(check: Callable[[], object]) -> Iterator[str]:
    """What a check says, if it says anything."""
    try:
        check()
    except _ERRORS as error:
        yield str(error)


def _check_table(uri: str) -> None:
    table = open_table(uri)
    if noted_version(uri) is None:
        raise DamagedTable(f"{uri}: nothing was noted of its log, so nobody knows whether it is whole")
    held = {path for paths in table.data_files().values() for path in paths}
    for path in sorted(committed_paths(table)):
        file = files.join(uri, path)
        if file in held or files.size(file) is not None:
            check_digest(file)


def _check_seals(store: Store) -> None:
    for number in sorted(rounds_of(store, "labels")):
        store.seal_record(number)


def _check_kept(store: Store, folder: Path) -> None:
    """Files that the ledger knows by their hash, and models that it names."""
    ledger = Ledger(store)
    check_manifest(folder / MANIFEST, ledger)
    for (number, step), done in ledger.all_finished().items():
        for name in done.hashes:
            if Path(name).suffix:
                kept_file(folder / "rounds", ledger, number, step, name)
        if step in ("train", "control") and done.model_uri is not None and not Path(done.model_uri).is_dir():
            raise DamagedTable(f"{done.model_uri}: the model of round {number}, step {step}, is gone")
