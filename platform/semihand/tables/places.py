"""Where the rows of FRAMES lie: a listing that fits the memory, and its rows read where they are needed.

Frames may carry their pictures. Whoever works on them is given file and row instead, so that pictures are in no memory
but that of the process that looks at them, a few at a time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from semihand.tables import files
from semihand.tables.log import open_table, table_uri
from semihand.tables.rows import take_rows
from semihand.tables.schemas import FRAMES
from semihand.tables.validation import checked_rows

FILE, ROW = "place_file", "place_row"  # columns of a listing


class Places(NamedTuple):
    """The frames of a store at one version, which is what file numbers are about."""

    folder: str
    version: int

    def paths(self) -> list[str]:
        """The files; a place names one by its number."""
        by_round = open_table(table_uri(self.folder, "frames"), self.version).data_files()
        return sorted(path for paths in by_round.values() for path in paths)

    def listed(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all frames, and where each lies, in the order of the files.

        Args:
            columns: of FRAMES, none of them pictures.
        """
        parts = [
            pl.scan_parquet(path, hive_partitioning=False, glob=False)
            .select(columns)
            .with_columns(pl.lit(number, pl.Int32).alias(FILE), pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
            for number, path in enumerate(self.paths())
        ]
        types = pa.schema([*(FRAMES.field(name) for name in columns), (FILE, pa.int32()), (ROW, pa.int64())])
        if not parts:
            return types.empty_table()
        rows = pl.concat(parts).collect().to_arrow()
        return pa.Table.from_arrays([rows[field.name].cast(field.type) for field in types], schema=types)


class PlacedFrames:
    """Reads frames by their places."""

    def __init__(self, places: Places) -> None:
        self._paths = places.paths()

    def __call__(self, places: pa.Table) -> pa.Table:
        """FRAMES, a row for each place, in their order; no more of a file is read than the groups they are in."""
        numbers, rows = places[FILE].to_numpy(), places[ROW].to_numpy()
        read, order = [], []
        for number in np.unique(numbers):
            here = np.flatnonzero(numbers == number)
            read.append(_rows_of(self._paths[number], rows[here]))
            order.append(here)
        if not read:
            return FRAMES.empty_table()
        found = pa.concat_tables(read).combine_chunks()
        return take_rows(found, np.argsort(np.concatenate(order)))


def _rows_of(path: str, rows: np.ndarray) -> pa.Table:
    store, inside = files.filesystem(path)
    # The driver has compared the whole file with its hash; here, pages with their checksums.
    with store.open_input_file(inside) as stream, pq.ParquetFile(stream, page_checksum_verification=True) as file:
        ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
        groups = np.unique(np.searchsorted(ends, rows, side="right"))
        table = file.read_row_groups(groups.tolist(), columns=FRAMES.names)
    starts = np.concatenate([[0], ends[:-1]])
    numbers = np.concatenate([np.arange(starts[group], ends[group]) for group in groups])
    shaped = pa.Table.from_arrays([table[name] for name in FRAMES.names], names=FRAMES.names)
    return checked_rows(take_rows(shaped, np.searchsorted(numbers, rows)), FRAMES)
