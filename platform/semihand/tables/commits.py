"""The guarded commit: what is added to a table is added once, and by one driver at a time."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
from deltalake import CommitProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction

from semihand.failpoints import reach
from semihand.tables import files
from semihand.tables.log import ROWS_KEY, Table, adds, num_rows, open_table, table_id
from semihand.tables.witness import witness

_MAX_ATTEMPTS = 20
_MAX_UNANSWERED = 3  # commits of which nobody said whether they were made, before the error goes on
_TABLE_APP = "semihand-table"  # counts every commit, so that any two of them at once conflict

# Where this process left each round of each table. A round that has moved since was moved by another driver.
_LEFT_AT: dict[tuple[str, str], int] = {}


class ConcurrentDriver(RuntimeError):  # noqa: N818  the name says it all
    """Another process commits to the same round of the same table."""


class SealedRound(ValueError):  # noqa: N818  the name says it all
    """The round is sealed: its labels and quarantine do not change any more."""


@dataclass(frozen=True)
class Shard:
    """A file of rows that a worker wrote; it counts only once a driver commits it.

    Attributes:
        table: the table it is for.
        path: where it lies, relative to the table; empty when there were no rows.
        size: in bytes.
        num_rows: how many rows it holds.
        sha256: of its bytes; also part of its name, so that the log keeps it for ever.
        round: the round of its rows.
        stats: Delta statistics, as JSON.
    """

    table: str
    path: str
    size: int
    num_rows: int
    sha256: str
    round: int
    stats: str

    def as_row(self) -> dict[str, Any]:
        """The shard as a row of plain values, to travel through a data set."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Shard":
        """The shard that `as_row` gave."""
        words = {name: str(row[name]) for name in ("table", "path", "sha256", "stats")}
        numbers = {name: int(row[name]) for name in ("size", "num_rows", "round")}
        return cls(**words, **numbers)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Change:
    """One thing to happen to a table.

    Attributes:
        round: the round it belongs to.
        shards: files to add.
        mode: `append`, or `overwrite` to replace all the round's files.
        metadata: words to keep with the commit.
        seal: whether this closes the round.
        many_drivers: whether several processes may add to a round (the ledger, the frames).
        same_rows: whether the files hold what is there already, only in other files; a sealed round takes that, too.
    """

    round: int
    shards: tuple[Shard, ...] = ()
    mode: Literal["append", "overwrite"] = "append"
    metadata: Mapping[str, str] | None = None
    seal: bool = False
    many_drivers: bool = False
    same_rows: bool = False


def round_app(round: int) -> str:
    """The application transaction that counts the commits of a round."""
    return f"semihand-round-{round}"


def seal_app(round: int) -> str:
    """The application transaction that stands for a sealed round."""
    return f"semihand-seal-{round}"


def apply(uri: str, schema: pa.Schema, change: Change, expected_version: int | None = None) -> int:
    """Make the change, or find that it was made; compare-and-swap on the table's own counter.

    A Delta transaction id alone does not stop a replay: so the counter is read from the same handle that
    commits, and files already in the log are not added again.

    Args:
        uri: the table.
        schema: its schema.
        change: what to do to it.
        expected_version: the version that the change was decided on; None where any will do.

    Returns:
        the version of the table that holds the change.

    Raises:
        ConcurrentDriver: another process committed to this round since this one last did.
        SealedRound: the round is closed.
        FileNotFoundError: a shard is gone or of another size: it is made again by the next run.
        DeltaError, OSError: the store refuses, and the change is not there.
    """
    _check_files(uri, change.shards)
    unanswered: list[Exception] = []
    for _ in range(_MAX_ATTEMPTS):
        table = open_table(uri)
        new = _new_shards(table, change)
        if not _is_done(table, change, new):
            if len(unanswered) > _MAX_UNANSWERED:
                raise unanswered[-1]
            _check_open(table, change, expected_version)
            reach(f"commit.{table.name}.seen")
            try:
                _commit(table, schema, change, new)
                reach(f"commit.{table.name}.made")
                table.update_incremental()
            except CommitFailedError:  # someone was faster: look again at what the table is now
                continue
            except (DeltaError, OSError) as error:  # made or not, nobody said: look whether it is there
                unanswered.append(error)
                continue
        _remember(table, change)
        _sync_log(uri, table.version())
        reach(f"commit.{table.name}.synced")
        witness(uri, table_id(table), table.version())
        return int(table.version())
    raise ConcurrentDriver(f"{uri}: {_MAX_ATTEMPTS} commits in a row were overtaken; stop the other writers")


def _check_files(uri: str, shards: Sequence[Shard]) -> None:
    """Delta takes a file that is not there without a word, and readers fail much later."""
    for shard in shards:
        found = files.size(files.join(uri, shard.path))
        if found != shard.size:
            raise FileNotFoundError(
                f"{files.join(uri, shard.path)}: {shard.size} bytes were written, {found} are there; "
                f"run the round again to make its rows again"
            )


def _new_shards(table: Table, change: Change) -> list[Shard]:
    """The shards that are not in the table yet."""
    known = set(adds(table)["path"].to_pylist()) if change.shards else set()
    return [shard for shard in change.shards if shard.path not in known]


def _is_done(table: Table, change: Change, new: Sequence[Shard]) -> bool:
    """Whether the table already is what the change would make it."""
    if change.seal:
        return table.transaction_version(seal_app(change.round)) is not None
    if change.mode == "append":
        return not new
    actions = adds(table)
    paths = actions["path"].to_pylist()
    is_partitioned = "round" in actions.column_names
    rounds = actions["round"].to_pylist() if is_partitioned else [change.round] * len(paths)
    present = {path for path, of in zip(paths, rounds, strict=True) if of == change.round}
    return present == {shard.path for shard in change.shards}


def _key(table: Table, change: Change) -> tuple[str, str]:
    return table_id(table), round_app(change.round)


def _check_open(table: Table, change: Change, expected_version: int | None) -> None:
    """The round takes changes, and this process is the only one that moved it since it first looked."""
    if table.transaction_version(seal_app(change.round)) is not None and not change.same_rows:
        raise SealedRound(f"{table.uri}: round {change.round} is sealed; start round {change.round + 1} instead")
    counter = table.transaction_version(round_app(change.round)) or 0
    if not change.many_drivers and _LEFT_AT.setdefault(_key(table, change), counter) != counter:
        raise ConcurrentDriver(
            f"{table.uri}: another driver writes round {change.round} (its commit {counter} is not ours); "
            f"stop one of the two and run the job again: it continues"
        )
    if expected_version not in (None, table.version()):
        raise ConcurrentDriver(f"{table.uri}: moved on from version {expected_version} meanwhile; run again")


def _remember(table: Table, change: Change) -> None:
    _LEFT_AT[_key(table, change)] = table.transaction_version(round_app(change.round)) or 0


def _commit(table: Table, schema: pa.Schema, change: Change, new: Sequence[Shard]) -> None:
    """Commit on the very handle that was looked at."""
    partition = [schema.metadata[b"partition"].decode()] if schema.metadata[b"partition"] else []
    values = {"round": str(change.round)} if partition else {}
    actions = [AddAction(shard.path, shard.size, values, int(time.time() * 1000), True, shard.stats) for shard in new]
    replaced = num_rows(table, change.round if partition else None) if change.mode == "overwrite" else 0
    rows_after = num_rows(table) - replaced + sum(shard.num_rows for shard in new)
    if change.same_rows and rows_after != num_rows(table):
        raise ValueError(f"{table.uri}: {rows_after} rows in place of {num_rows(table)}; only files may be others")
    apps = (_TABLE_APP, round_app(change.round))
    counters = {app: (table.transaction_version(app) or 0) + 1 for app in apps}
    if change.seal:  # where to find the seal's entry in the log: without retries it is the next one
        counters[seal_app(change.round)] = table.version() + 1
    properties = CommitProperties(
        custom_metadata={**(change.metadata or {}), ROWS_KEY: str(rows_after)},
        app_transactions=[Transaction(app, counter) for app, counter in counters.items()],
        max_commit_retries=0,  # a retry of deltalake's own would add to rows that were counted before
    )
    table.create_write_transaction(
        actions, change.mode, Schema.from_arrow(schema), partition,
        partition_filters=[("round", "=", str(change.round))] if partition and change.mode == "overwrite" else None,
        commit_properties=properties,
    )  # fmt: skip


def _sync_log(uri: str, version: int) -> None:
    """Make a commit outlive a power cut."""
    folder = files.join(uri, "_delta_log")
    files.sync(files.join(folder, f"{version:020d}.json"))
    files.sync(folder)
