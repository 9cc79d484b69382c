"""A witness of every log: a hash over its entries, in a record outside Delta, so that no bit of it flips unseen.

Delta believes what lies in its log. Each commit of ours notes how far the log went and the hash of all that it said
until then, each entry's bytes hashed together with the hash before it, and the hashes of the checkpoints that deltalake
made on the way. What a table holds is then worked out from the entries themselves, and must be what deltalake says,
which may have read it from a checkpoint of which nothing was noted.
"""

import hashlib
import json
from typing import Any, NamedTuple
from urllib.parse import unquote

from semihand.tables import files
from semihand.tables.records import RecordError, read_record, write_record

LOG = "_delta_log"
DELETE_IT = "delete it and _last_checkpoint beside it, the entries of the log say the same"
Action = dict[str, Any]


class DamagedTable(RuntimeError):  # noqa: N818  the name says it all
    """The log or a file of a table is not what was committed; nothing may be read from it."""


class Held(NamedTuple):
    """A file of a table, as its log has it."""

    num_rows: int
    size: int
    round: int | None


class Made(NamedTuple):
    """How a table was made; columns as in Delta's JSON."""

    id: str
    columns: dict[str, Any]
    partition: list[str]
    settings: dict[str, str]


class Entry(NamedTuple):
    """One entry of a log.

    Attributes:
        chain: the hash of all entries up to this one.
        info: what it says about its commit.
        added: files by path, relative to the table.
        removed: paths.
        counters: versions of application transactions.
        made: how the table was made, where it says so.
    """

    chain: str
    info: dict[str, Any]
    added: dict[str, Held]
    removed: tuple[str, ...]
    counters: dict[str, int]
    made: Made | None


class Told(NamedTuple):
    """What a log says of its table: the files that it holds, and how it was made."""

    held: dict[str, Held]
    made: Made | None


# The entries of every log that this process has read and found whole; logs only grow. And the same of checkpoints.
_READ: dict[tuple[str, str], list[Entry]] = {}
_WHOLE: set[tuple[str, str]] = set()


def witness(uri: str, table_id: str, version: int) -> None:
    """Note what the log of a table says up to a version; after the commit, and again after any later one.

    Raises:
        DamagedTable: an entry is gone, empty or torn.
    """
    entries = read_entries(uri, table_id, version)
    values = {"table": table_id, "version": version, "chain": entries[version].chain}
    write_record(_place(uri), values | {"checkpoints": _checkpoints(uri, table_id, version)})


def check_log(uri: str) -> bool:
    """Compare a log with what was noted of it, before anything else reads it.

    Returns:
        Whether anything was noted; else the table is not ours to judge.

    Raises:
        DamagedTable: some entry is not what it was, or the note is damaged.
    """
    noted = _noted(uri)
    if noted is None:
        return False
    version = int(noted["version"])
    entries = read_entries(uri, noted["table"], version)
    before = entries[version - 1].chain if version else ""
    last = read_entry(uri, version, before)  # again: it costs little, and is what a power cut tears
    if not noted["chain"] == last.chain == entries[version].chain:
        raise DamagedTable(
            f"{uri}: an entry of {LOG} up to {version} is not what was committed; restore it from a copy"
        )
    for number, digest in noted.get("checkpoints", {}).items():
        _check_checkpoint(checkpoint_uri(uri, int(number)), digest)
    return True


def noted_version(uri: str) -> int | None:
    """How far the log of a table had gone when it was noted; None where nothing was."""
    noted = _noted(uri)
    return None if noted is None else int(noted["version"])


def read_entries(uri: str, table_id: str, version: int) -> list[Entry]:
    """The entries of a log up to a version, each read once by this process.

    Raises:
        DamagedTable: one is gone, empty or torn.
    """
    known = _READ.setdefault((uri, table_id), [])
    while len(known) <= version:
        known.append(read_entry(uri, len(known), known[-1].chain if known else ""))
    return known[: version + 1]


def replayed(entries: list[Entry]) -> Told:
    """What a log says, all entries taken together."""
    held: dict[str, Held] = {}
    made = None
    for entry in entries:
        for path in entry.removed:
            held.pop(path, None)
        held.update(entry.added)
        made = entry.made or made
    return Told(held, made)


def last_counters(entries: list[Entry]) -> dict[str, int]:
    """The last version of every application transaction."""
    return {app: version for entry in entries for app, version in entry.counters.items()}


def forget_logs() -> None:
    """Read every log anew, as a process that begins."""
    _READ.clear()
    _WHOLE.clear()


def entry_uri(uri: str, entry: int) -> str:
    """Where an entry of a table's log lies."""
    return files.join(uri, LOG, f"{entry:020d}.json")


def checkpoint_uri(uri: str, entry: int) -> str:
    """Where deltalake puts a checkpoint of a table's log up to an entry."""
    return files.join(uri, LOG, f"{entry:020d}.checkpoint.parquet")


def read_entry(uri: str, number: int, before: str = "") -> Entry:
    """One entry as it lies there now.

    Args:
        uri: the table.
        number: the entry's.
        before: the chain up to the entry before.

    Raises:
        DamagedTable: it is gone, empty or torn.
    """
    path = entry_uri(uri, number)
    data = files.read_whole(path)
    if data is None:
        raise DamagedTable(f"{path}: this log entry is gone; restore it from a copy")
    try:
        actions = [dict(json.loads(line)) for line in data.splitlines() if line.strip()]
        info = next(dict(each["commitInfo"]) for each in actions if "commitInfo" in each)
        added = {unquote(each["add"]["path"]): _held(each["add"]) for each in actions if "add" in each}
        removed = tuple(unquote(each["remove"]["path"]) for each in actions if "remove" in each)
        counters = {each["txn"]["appId"]: int(each["txn"]["version"]) for each in actions if "txn" in each}
        made = next((_made(each["metaData"]) for each in actions if "metaData" in each), None)
    except (ValueError, TypeError, KeyError, StopIteration) as error:
        raise DamagedTable(
            f"{path}: this log entry is empty or torn ({len(data)} bytes); if it is the last one, "
            f"jobs/maintain.py --task repair lays it aside, and the next run makes its rows again"
        ) from error
    return Entry(hashlib.sha256(before.encode() + data).hexdigest(), info, added, removed, counters, made)


def _noted(uri: str) -> dict[str, Any] | None:
    try:
        return read_record(_place(uri))
    except RecordError as error:
        raise DamagedTable(f"{error}; if the log is known to be whole, delete that file") from error


def _checkpoints(uri: str, table_id: str, version: int) -> dict[str, str]:
    """The sha256 of the checkpoints up to a version by their numbers: those noted before, and new ones."""
    noted = _noted(uri)
    if noted is None or noted["table"] != table_id:
        noted = {"version": -1}
    known = {number: digest for number, digest in noted.get("checkpoints", {}).items() if int(number) <= version}
    for number in range(int(noted["version"]) + 1, version + 1):
        digest = files.sha256(checkpoint_uri(uri, number))
        if digest is not None:
            known[str(number)] = digest
    return known


def _check_checkpoint(path: str, digest: str) -> None:
    """It is what it was; or gone, which costs nothing: the entries say the same."""
    if (path, digest) not in _WHOLE and files.sha256(path) not in (None, digest):
        raise DamagedTable(f"{path}: this checkpoint is not what was written; {DELETE_IT}")
    _WHOLE.add((path, digest))


def _held(added: Action) -> Held:
    stats, round = json.loads(added.get("stats") or "{}"), added["partitionValues"].get("round")
    return Held(int(stats.get("numRecords", 0)), int(added["size"]), None if round is None else int(round))


def _made(said: Action) -> Made:
    columns = json.loads(said["schemaString"])
    return Made(said["id"], columns, said["partitionColumns"], said["configuration"])


def _place(uri: str) -> str:
    """Beside the tables' folder, where Delta does not look."""
    tables, name = uri.rsplit("/", 1)
    return files.join(tables.rsplit("/", 1)[0], "witness", f"{name}.json")
