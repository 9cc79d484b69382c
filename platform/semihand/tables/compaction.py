"""Compaction: the same rows in few files, one commit, nothing of it seen half-done; and what may go afterwards."""

from collections.abc import Iterable, Sequence

import polars as pl
import pyarrow as pa

from semihand.tables import files
from semihand.tables.commits import Change, Shard, apply
from semihand.tables.comparing import first_difference
from semihand.tables.log import open_table, table_id
from semihand.tables.readers import scan, scan_files, schema_of
from semihand.tables.store import Store
from semihand.tables.validation import checked_rows
from semihand.tables.witness import DamagedTable, witness

_MOST_BYTES = 64 * 1024**2  # of a file, roughly: what one task reads


def compact(store: Store, name: str, round: int | None, commit: bool = True) -> int:
    """Put the rows of a round, or of a table that has no rounds, into as few files as is good; sealed ones, too.

    Args:
        store: the campaign's tables.
        name: the table.
        round: the round; None for a table that is not partitioned.
        commit: do it; else it is only counted.

    Returns:
        By how many files it becomes fewer; nothing is committed where it would not.

    Raises:
        DamagedTable: a file is not what was committed.
    """
    table = open_table(store.path(name))
    before = len(table.data_files().get(round, []))
    if before < 2:
        return 0
    rows = _in_order(store, name, round)
    per_file = max(1, int(rows.num_rows * _MOST_BYTES / max(1, rows.nbytes)))
    pieces = [rows.slice(start, per_file) for start in range(0, rows.num_rows, per_file)]
    if len(pieces) >= before or not commit:
        return max(0, before - len(pieces))
    shards = tuple(store.write_shard(name, piece, round or 0) for piece in pieces)
    _check_same(table.uri, shards, pl.DataFrame(rows), round)
    change = Change(round or 0, shards, "overwrite", many_drivers=True, same_rows=True)
    apply(table.uri, schema_of(name), change, expected_version=table.version())
    return before - len(pieces)


def vacuum(store: Store, name: str, keep_versions: Iterable[int], older_than_hours: int, remove: bool) -> list[str]:
    """Files that neither the latest nor a kept version of a table holds; removed if told so.

    Args:
        store: the campaign's tables.
        name: the table.
        keep_versions: versions that can still be travelled to afterwards.
        older_than_hours: leave what was replaced more recently.
        remove: remove them; else they are only named.

    Returns:
        Their paths, relative to the table.
    """
    table = open_table(store.path(name))
    kept = sorted({*keep_versions, table.version()})
    gone: list[str] = table.vacuum(
        older_than_hours, dry_run=not remove, enforce_retention_duration=False, keep_versions=kept
    )
    if remove:
        table = open_table(store.path(name))  # deltalake noted the vacuum in the log
        witness(table.uri, table_id(table), table.version())
    return sorted(gone)


def _in_order(store: Store, name: str, round: int | None) -> pa.Table:
    schema = schema_of(name)
    rows = scan(store, name, check=True, round=round).sort(_key(schema), maintain_order=True).collect().to_arrow()
    return checked_rows(rows, schema)


def _check_same(uri: str, shards: Sequence[Shard], before: pl.DataFrame, round: int | None) -> None:
    """Read what was written once more; only then does it take the place of anything."""
    schema = schema_of(shards[0].table)
    after = scan_files({round: [files.join(uri, shard.path) for shard in shards]}, schema).collect()
    difference = first_difference(after, before.select(after.columns).cast(after.schema), _key(schema))
    if difference:
        raise DamagedTable(f"{uri}: the compacted files differ from the table: {difference}; nothing was changed")


def _key(schema: pa.Schema) -> list[str]:
    return str(schema.metadata[b"key"].decode()).split(",")
