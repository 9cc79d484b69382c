"""The Delta log of a table, opened with suspicion: a torn entry loses rows without a sound."""

import json
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from semihand.tables import files
from semihand.tables.witness import (
    DELETE_IT,
    DamagedTable,
    Held,
    Made,
    Told,
    check_log,
    entry_uri,
    last_counters,
    read_entries,
    read_entry,
    replayed,
)

ROWS_KEY = "semihand.num_rows"  # in every commit of ours: the rows of the whole table after it


class Table(DeltaTable):
    """A Delta table that knows where it lies; deltalake's own `file_uris` are wrong below `a folder`."""

    def __init__(self, uri: str, version: int | None = None) -> None:
        super().__init__(uri, version=version)
        self.uri = uri
        self.name = uri.rsplit("/", 1)[-1]
        self.is_noted = False  # set once its log was compared with what was noted of it

    def transaction_version(self, app_id: str) -> int | None:
        """The version of an application transaction; from the log's entries, as a checkpoint may say another."""
        if not self.is_noted:
            version: int | None = super().transaction_version(app_id)
            return version
        return last_counters(read_entries(self.uri, table_id(self), self.version())).get(app_id)

    def data_files(self) -> dict[int | None, list[str]]:
        """The files of this version by round; None stands for a table that is not partitioned.

        Raises:
            DamagedTable: the log names a file elsewhere, which Delta allows and nothing of ours does.
        """
        actions = adds(self)
        rounds = actions["round"].to_pylist() if "round" in actions.column_names else [None] * len(actions)
        found: dict[int | None, list[str]] = {}
        for round, path in sorted(zip(rounds, actions["path"].to_pylist(), strict=True)):
            if _is_elsewhere(path):
                raise DamagedTable(f"{self.uri}: its log names {path}, outside the table; restore the log from a copy")
            found.setdefault(round, []).append(files.join(self.uri, path))
        return found


def table_uri(folder: str, name: str) -> str:
    """Where the table of this name lies in a campaign folder."""
    return files.join(files.absolute(folder), "tables", name)


def open_table(uri: str, version: int | None = None) -> Table:
    """The table at a version (the latest by default), if its log is whole.

    deltalake takes an empty last log entry for a version and silently forgets its rows. So every commit
    notes how many rows the table has after it, and this compares that with the files in the log.

    Raises:
        FileNotFoundError: there is no table here.
        ValueError: the table has no such version.
        DamagedTable: a log entry is empty or torn, or the log does not add up to the rows committed.
    """
    if not DeltaTable.is_deltatable(uri):
        raise FileNotFoundError(f"no table at {uri}; Store(campaign).create() makes the tables of a campaign")
    is_noted = check_log(uri)
    try:
        table = Table(uri, version)
        told = _told(table)
    except (DeltaError, OverflowError) as error:
        if version is not None and not 0 <= version <= open_table(uri).version():
            raise ValueError(f"{uri}: no version {version}; the latest is {open_table(uri).version()}") from error
        raise DamagedTable(
            f"{uri}: the log cannot be read ({error}); if its last entry is torn, jobs/maintain.py --task repair "
            f"lays it aside, and the next run makes its rows again; if a checkpoint of it is damaged, {DELETE_IT}"
        ) from error
    except BaseException as error:
        if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":  # deltalake's, in Rust
            raise
        raise DamagedTable(f"{uri}: a checkpoint of its log cannot be read ({error}); {DELETE_IT}") from error
    committed = _committed_rows(uri, table.version())
    found = sum(held.num_rows for held in told.held.values())
    if committed is not None and committed != found:
        raise DamagedTable(
            f"{uri}: version {table.version()} holds {found} rows, but {committed} were committed; an "
            f"entry of _delta_log is torn: restore it from a copy, or read an older version"
        )
    if is_noted and told != replayed(read_entries(uri, table_id(table), table.version())):
        raise DamagedTable(f"{uri}: a checkpoint of its log says something else than the log; {DELETE_IT}")
    table.is_noted = is_noted
    return table


def table_id(table: DeltaTable) -> str:
    """The table's own id, not its folder: a campaign may be deleted and made again."""
    return str(table.metadata().id)


def adds(table: DeltaTable) -> pa.Table:
    """The files of the table: path, size_bytes, num_records, and round where it is partitioned."""
    actions = pa.table(table.get_add_actions(flatten=True))
    names = {"partition.round": "round"}
    return actions.rename_columns([names.get(name, name) for name in actions.column_names])


def num_rows(table: DeltaTable, round: int | None = None) -> int:
    """The rows that the log promises, of the whole table or of one round."""
    actions = adds(table)
    counts = actions["num_records"].to_pylist() if actions.num_rows else []
    rounds = actions["round"].to_pylist() if round is not None and actions.num_rows else [round] * len(counts)
    return sum(count or 0 for count, of in zip(counts, rounds, strict=True) if of == round)


def _is_elsewhere(path: str) -> bool:
    plain = unquote(path)
    return "://" in plain or plain.startswith("/") or ".." in plain.split("/")


def _told(table: Table) -> Told:
    """What deltalake makes of a log, which it may have read from a checkpoint."""
    actions = adds(table)
    rounds = actions["round"] if "round" in actions.column_names else pa.nulls(len(actions))
    columns = (actions[name].to_pylist() for name in ("path", "num_records", "size_bytes"))
    made = table.metadata()
    return Told(
        {path: Held(num or 0, size, of) for path, num, size, of in zip(*columns, rounds.to_pylist(), strict=True)},
        Made(made.id, json.loads(table.schema().to_json()), made.partition_columns, made.configuration),
    )


def _committed_rows(uri: str, version: int) -> int | None:
    """The rows that the last commit of ours left; commits of other tools (vacuum, optimize) add none."""
    for entry in range(version, -1, -1):
        info = commit_info(uri, entry)
        if info is None:  # cleaned up behind a checkpoint, which holds all of it
            return None
        if ROWS_KEY in info:
            return int(info[ROWS_KEY])
    return None


def commit_info(uri: str, entry: int) -> dict[str, Any] | None:
    """What a log entry says about its commit, or None where there is no such entry.

    `DeltaTable.history` is no help here: it skips empty entries, and finds none below some folders.

    Raises:
        DamagedTable: the entry is empty or torn.
    """
    return None if files.size(entry_uri(uri, entry)) is None else read_entry(uri, entry).info


def committed_paths(table: Table) -> set[str]:
    """Every file that any version of the table has held, relative to it.

    Raises:
        DamagedTable: an entry of the log is empty, torn or gone.
    """
    entries = read_entries(table.uri, table_id(table), table.version())
    return {path for entry in entries for path in entry.added}
