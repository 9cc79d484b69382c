"""Columns of a manifest in the types of FRAMES; what does not fit is a problem of its row."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semihand.frames.draft import Column
from semihand.frames.errors import BadFrame, InputError, shown
from semihand.tables.arrays import without_nulls
from semihand.tables.schemas import FRAMES, TRUTH_COLUMNS


class Source(NamedTuple):
    """Where rows come from, for messages.

    Attributes:
        path: the manifest.
        numbers: of its rows.
        problems: what is wrong, by row.
        is_part: whether there are other rows, so that all of these may be wrong by themselves.
    """

    path: Path
    numbers: np.ndarray
    problems: dict[int, BadFrame]
    is_part: bool = False


def as_type(source: Source, name: str, values: Any) -> Column:
    """The column in its FRAMES type; cell by cell where the whole does not fit.

    Raises:
        InputError: no cell of it fits, and these are all rows.
    """
    kind = FRAMES.field(name).type
    try:
        whole = values.cast(kind) if isinstance(values, pa.ChunkedArray) else pa.array(values, kind)
        return _without_gaps(whole, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        cells = values.to_pylist() if isinstance(values, pa.ChunkedArray) else values
    wrong: dict[int, str] = {}
    for row, cell in enumerate(cells):
        try:
            pa.array([cell], kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            wrong[row] = f"row {source.numbers[row]}: {name} is {shown(cell, 80)}, not {kind}"
    num_given = sum(cell is not None for cell in cells)
    if not source.is_part and len(wrong) == num_given and (num_given > 1 or num_given == len(cells)):
        raise InputError(f"{source.path}: no {name!r} in it has the type {kind}; {wrong[min(wrong)]}")
    reason = "bad_truth" if name in TRUTH_COLUMNS else "bad_row"
    for row, detail in wrong.items():
        source.problems.setdefault(row, BadFrame(reason, detail))
    fitting = pa.array([None if row in wrong else cell for row, cell in enumerate(cells)], kind)
    return _without_gaps(fitting, kind)


def _without_gaps(column: Column, kind: pa.DataType) -> Column:
    """The column with NaN (or False) for nulls inside its lists, which JSON has to write for NaN."""
    if not pa.types.is_fixed_size_list(kind):
        return column
    present = without_nulls(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    entries, num_entries, leaf = present, len(present), kind
    while pa.types.is_fixed_size_list(leaf):
        entries, num_entries, leaf = pc.list_flatten(entries), num_entries * leaf.list_size, leaf.value_type
    if len(entries) == num_entries and not entries.null_count:
        return column
    cells = column.to_pylist()
    return pa.array([None if cell is None else _filled(cell, kind) for cell in cells], kind)


def _filled(cell: Any, kind: pa.DataType) -> Any:
    if pa.types.is_fixed_size_list(kind):
        entries = [None] * kind.list_size if cell is None else cell
        return [_filled(entry, kind.value_type) for entry in entries]
    if cell is None:
        return False if pa.types.is_boolean(kind) else float("nan")
    return cell
