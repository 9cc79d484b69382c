"""Rows on their way to FRAMES: what a manifest or folder says, and what is wrong with some of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from semihand.frames.errors import BadFrame
from semihand.tables.rows import take_rows
from semihand.tables.schemas import FRAMES

Column: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Draft:
    """Rows with every column of FRAMES, most of them still null.

    Attributes:
        rows: FRAMES, except that required columns may be null.
        problems: what is wrong, by row; the first thing found counts.
        numbers: where each row stands in its source, counted from 1, for messages.
        folder: what relative paths start from.
        root: the folder that paths may not leave; None where they are our own.
        source: the manifest or folder, for messages.
        are_crops: whether pictures are cut out of larger ones, whose camera looks past them.
    """

    rows: pa.Table
    folder: Path
    root: Path | None
    source: str
    numbers: np.ndarray
    problems: dict[int, BadFrame] = field(default_factory=dict)
    are_crops: bool = False

    def note(self, row: int, problem: BadFrame) -> None:
        """Say that a row cannot be used, unless something was said before."""
        self.problems.setdefault(row, problem)

    def with_columns(self, **columns: Column) -> "Draft":
        """The same rows with other values in these columns."""
        arrays = [columns.get(name, self.rows[name]) for name in self.rows.column_names]
        return replace(self, rows=pa.Table.from_arrays(arrays, schema=self.rows.schema))

    def take(self, rows: np.ndarray) -> "Draft":
        """These rows, in this order, each as often as it is named."""
        places: dict[int, BadFrame] = {
            place: self.problems[int(row)] for place, row in enumerate(rows) if int(row) in self.problems
        }
        return replace(self, rows=take_rows(self.rows, rows), numbers=self.numbers[rows], problems=places)


def draft_schema() -> pa.Schema:
    """FRAMES with every column nullable."""
    return pa.schema([column.with_nullable(True) for column in FRAMES])


def draft_rows(num_rows: int, columns: dict[str, Column]) -> pa.Table:
    """A table of the draft's schema from the columns one has."""
    schema = draft_schema()
    arrays = [columns.get(column.name, pa.nulls(num_rows, column.type)) for column in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
