"""Tables for readers: lazy polars frames with fixed shapes, from a log that was checked.

Plain `pl.scan_delta(path)` reads the same rows, unchecked, with lists of no fixed size. Unlike `scan` it
cannot open a campaign below a folder with a space, an accent or `name=value` in its name.
"""

import itertools
import os
import re
from typing import Any

import polars as pl
import pyarrow as pa

from semihand.tables import files
from semihand.tables.log import DamagedTable, Table, open_table, table_uri
from semihand.tables.schemas import SCHEMAS
from semihand.tables.validation import checked_rows

_DIGEST_IN_NAME = re.compile(r"part-([0-9a-f]{64})-")


def scan(campaign: str | os.PathLike[str], name: str, version: int | None = None, check: bool = False) -> pl.LazyFrame:
    """A table of a campaign as a lazy frame; joints are `Array(Float32, (21, 3))`.

    Args:
        campaign: the campaign folder, or its Store.
        name: frames, labels, selections, quarantine, subjects or rounds.
        version: the version to travel to; None for the latest. The frame stays at this version.
        check: read every file once more beforehand and compare it with the digest it was committed with.

    Raises:
        ValueError: there is no table of this name.
        FileNotFoundError: the campaign has no such table yet.
        DamagedTable: the log is torn or a file is not what was committed; the message names it.
    """
    schema = schema_of(name)
    table = open_table(table_uri(os.fspath(campaign), name), version)
    if check:
        check_digests(table)
    return scan_table(table, schema)


def read_rows(
    campaign: str | os.PathLike[str], name: str, *predicates: pl.Expr, version: int | None = None
) -> pa.Table:
    """The rows of a table that meet all predicates, in exactly the types of its schema; see `scan`."""
    rows = scan(campaign, name, version).filter(*predicates).collect().to_arrow()
    return checked_rows(rows, schema_of(name))


def scan_table(table: Table, schema: pa.Schema) -> pl.LazyFrame:
    """An opened table as a lazy frame of the schema's shapes and column order."""
    types = polars_types(schema)
    shaped = [_as_array(name, kind) for name, kind in types.items() if isinstance(kind, pl.Array)]
    # Not pl.scan_delta: below a folder such as `seed=1` it takes the folder for a partition.
    parts = [
        pl.scan_parquet(paths, hive_partitioning=False, glob=False).with_columns(
            [] if round is None else pl.lit(round, pl.Int32).alias("round")
        )
        for round, paths in table.data_files().items()
    ]
    return pl.concat(parts).select(schema.names).with_columns(shaped) if parts else pl.LazyFrame(schema=types)


def schema_of(name: str) -> pa.Schema:
    """The schema of a table.

    Raises:
        ValueError: there is no table of this name.
    """
    if name not in SCHEMAS:
        raise ValueError(f"table {name!r} does not exist; there are {', '.join(SCHEMAS)}")
    return SCHEMAS[name]


def check_digests(table: Table) -> None:
    """Compare every file with the sha256 that its name, and so the log, holds.

    Parquet's page checksums are no substitute: polars does not look at them.

    Raises:
        DamagedTable: a file is missing, changed or not one of ours; the message names it.
    """
    for uri in itertools.chain.from_iterable(table.data_files().values()):
        match = _DIGEST_IN_NAME.search(uri.rsplit("/", 1)[-1])
        found = files.sha256(uri)
        if found is None or match is None or match[1] != found:
            wanted = match[1] if match else "none, as semihand did not write it"
            raise DamagedTable(
                f"{uri}: sha256 {found or 'of a missing file'}, committed {wanted}; restore the file from a "
                f"copy, or make the round again"
            )


def _as_array(name: str, kind: Any) -> pl.Expr:
    """A column of lists as arrays."""
    column = pl.col(name)
    if len(kind.shape) > 1:  # polars 2.1 refuses null rows when it casts both levels at once
        column = column.cast(pl.List(kind.inner))
    return column.cast(kind)


def _is_array(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def polars_types(schema: pa.Schema) -> dict[str, Any]:
    """Every column's polars type, fixed-size lists as arrays."""
    shapes, leaves = [], []
    for kind in schema.types:
        shape = []
        while _is_array(kind):
            shape.append(kind.list_size)
            kind = kind.value_type
        shapes.append(tuple(shape))
        leaves.append(kind)
    columns = pl.Schema(pa.schema(list(zip(schema.names, leaves, strict=True)))).items()
    return {name: pl.Array(leaf, shape) if shape else leaf for (name, leaf), shape in zip(columns, shapes, strict=True)}
