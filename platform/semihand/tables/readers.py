"""Tables for readers: lazy polars frames with fixed shapes, from a log that was checked.

Plain `pl.scan_delta(path)` reads the same rows, unchecked, with lists of no fixed size. Unlike `scan` it
cannot open a campaign below a folder with a space, an accent or `name=value` in its name.
"""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from semihand.tables import files
from semihand.tables.log import Table, open_table, table_uri
from semihand.tables.schemas import SCHEMAS
from semihand.tables.validation import checked_rows
from semihand.tables.witness import DamagedTable

_DIGEST_IN_NAME = re.compile(r"part-([0-9a-f]{64})-")


# Files whose bytes this process has compared with their digest: uri, size and time of writing.
_CHECKED: set[tuple[str, int, int]] = set()


def scan(
    campaign: str | os.PathLike[str],
    name: str,
    version: int | None = None,
    check: bool | None = None,
    *,
    round: int | None = None,
) -> pl.LazyFrame:
    """A table of a campaign as a lazy frame; joints are `Array(Float32, (21, 3))`.

    Args:
        campaign: the campaign folder, or its Store.
        name: frames, labels, selections, quarantine, subjects or rounds.
        version: the version to travel to; None for the latest. The frame stays at this version.
        check: compare every file with the digest it was committed with: once in a process by default, which passes
            over files that another tool has compacted; True: once more, and none but ours; False: not at all.
        round: the only round to look at, of a table that is partitioned by round; None for all.

    Raises:
        ValueError: there is no table of this name, or it has no rounds.
        FileNotFoundError: the campaign has no such table yet.
        DamagedTable: the log is torn or a file is not what was committed; the message names it.
    """
    schema = schema_of(name)
    if round is not None and not schema.metadata[b"partition"]:
        raise ValueError(f"scan: {name} is not partitioned by round; filter its rows instead")
    table = open_table(table_uri(os.fspath(campaign), name), version)
    if check is not False:
        check_digests(table, round, again=bool(check))
    return scan_table(table, schema, round)


def read_rows(
    campaign: str | os.PathLike[str], name: str, *predicates: pl.Expr, version: int | None = None
) -> pa.Table:
    """The rows of a table that meet all predicates, in exactly the types of its schema; see `scan`."""
    rows = scan(campaign, name, version).filter(*predicates).collect().to_arrow()
    return checked_rows(rows, schema_of(name))


def rounds_of(campaign: str | os.PathLike[str], name: str) -> set[int]:
    """The rounds that a table has rows of; the log says so, no file is read."""
    return {round for round in open_table(table_uri(os.fspath(campaign), name)).data_files() if round is not None}


def scan_table(table: Table, schema: pa.Schema, only_round: int | None = None) -> pl.LazyFrame:
    """An opened table, or a round of it, as a lazy frame of the schema's shapes and column order."""
    return scan_files(
        {round: paths for round, paths in table.data_files().items() if only_round in (None, round)}, schema
    )


def scan_files(paths: Mapping[int | None, Sequence[str]], schema: pa.Schema) -> pl.LazyFrame:
    """Shards by the round of their rows, None where there are no rounds, as a lazy frame of the schema."""
    types = polars_types(schema)
    shaped = [_as_array(name, kind) for name, kind in types.items() if isinstance(kind, pl.Array)]
    # Not pl.scan_delta: below a folder such as `seed=1` it takes the folder for a partition.
    parts = [
        pl.scan_parquet(list(of_round), hive_partitioning=False, glob=False).with_columns(
            [] if round is None else pl.lit(round, pl.Int32).alias("round")
        )
        for round, of_round in paths.items()
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


def check_digests(table: Table, only_round: int | None = None, again: bool = True) -> None:
    """Compare files with the sha256 that their names, and so the log, hold.

    Parquet's page checksums are no substitute: polars does not look at them.

    Args:
        table: an opened table.
        only_round: the round to look at; None for all.
        again: also those that this process has compared before, and refuse what another tool wrote.

    Raises:
        DamagedTable: a file is missing, changed or not one of ours; the message names it.
    """
    by_round = table.data_files()
    for uri in itertools.chain.from_iterable(by_round[round] for round in by_round if only_round in (None, round)):
        stamp = files.stamp(uri)
        if not again and (_digest(uri) is None or (stamp is not None and (uri, *stamp) in _CHECKED)):
            continue
        check_digest(uri)
        if stamp is not None:
            _CHECKED.add((uri, *stamp))


def check_digest(uri: str) -> None:
    """Compare a file with the sha256 in its name.

    Raises:
        DamagedTable: it is missing, changed or not one of ours.
    """
    wanted, found = _digest(uri), files.sha256(uri)
    if found is None or wanted != found:
        committed = wanted or "none, as semihand did not write it"
        raise DamagedTable(
            f"{uri}: sha256 {found or 'of a missing file'}, committed {committed}; restore the file from a copy, "
            "or make the round again"
        )


def _digest(uri: str) -> str | None:
    match = _DIGEST_IN_NAME.search(uri.rsplit("/", 1)[-1])
    return match[1] if match else None


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
