"""Whether two campaigns hold the same: rows in one order, to the last bit, in the columns that promise it."""

import io
import os
from collections.abc import Iterable, Sequence

import polars as pl
import pyarrow.parquet as pq

from semihand.tables.readers import scan, schema_of
from semihand.tables.schemas import SCHEMAS, deterministic_columns


def differences(
    ours: str | os.PathLike[str], theirs: str | os.PathLike[str], names: Iterable[str] = tuple(SCHEMAS)
) -> list[str]:
    """What differs between the tables of two campaigns; nothing where every row is the same to the last bit.

    Only the columns are compared whose bytes depend on the input alone: not times, places or versions.

    Args:
        ours: a campaign folder.
        theirs: another.
        names: the tables to compare.

    Raises:
        DamagedTable: a file of a table is not what was committed.
    """
    found = []
    for name in names:
        schema = schema_of(name)
        columns, key = deterministic_columns(schema), schema.metadata[b"key"].decode().split(",")
        rows = [scan(campaign, name).select(columns).collect() for campaign in (ours, theirs)]
        difference = first_difference(rows[0], rows[1], key)
        found += [f"{name}: {difference}"] if difference else []
    return found


def bytes_of(rows: pl.DataFrame, by: str | Sequence[str] = "frame_id") -> bytes:
    """The rows in one order, as bytes: -0.0 is not 0.0 here, and a NaN is itself."""
    # As Parquet, which keeps values alone: in memory there may be anything behind a null or between two strings.
    table = rows.sort(by).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none", use_dictionary=False, write_statistics=False, store_schema=False)
    return buffer.getvalue()


def first_difference(ours: pl.DataFrame, theirs: pl.DataFrame, by: str | Sequence[str] = "frame_id") -> str:
    """The first thing that differs between two sets of rows, in words; empty where nothing does."""
    key = [by] if isinstance(by, str) else list(by)
    if ours.columns != theirs.columns:
        return f"columns {sorted(set(ours.columns) ^ set(theirs.columns))}"
    if len(ours) != len(theirs):
        return f"{len(ours)} rows and {len(theirs)}"
    if bytes_of(ours.select(key), key) != bytes_of(theirs.select(key), key):
        return f"other rows by {', '.join(key)}"
    others = (name for name in ours.columns if name not in key)
    changed = (n for n in others if bytes_of(ours.select(*key, n), key) != bytes_of(theirs.select(*key, n), key))
    return next((f"column {name}" for name in changed), "")
