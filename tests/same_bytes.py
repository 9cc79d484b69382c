"""Whether two tables are the same to the last bit."""

import io

import polars as pl
import pyarrow as pa


def bytes_of(rows: pl.DataFrame, by: str = "frame_id") -> bytes:
    """The rows in one order, as bytes: -0.0 is not 0.0 here, and a NaN is itself."""
    # Strings as offsets and characters: the views that polars keeps remember where rows lay before a filter.
    table = rows.sort(by).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as file:
        file.write_table(table)
    return buffer.getvalue()


def first_difference(ours: pl.DataFrame, theirs: pl.DataFrame, by: str = "frame_id") -> str:
    """The first column that differs, for the message of a failed test; empty where none does."""
    if ours.columns != theirs.columns:
        return f"columns {sorted(set(ours.columns) ^ set(theirs.columns))}"
    if len(ours) != len(theirs):
        return f"{len(ours)} rows and {len(theirs)}"
    for name in ours.columns:
        columns = [by] if name == by else [by, name]
        if bytes_of(ours.select(columns), by) != bytes_of(theirs.select(columns), by):
            return f"column {name}"
    return ""
