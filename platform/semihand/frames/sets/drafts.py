"""Rows of a data set's reader on their way to FRAMES."""

from typing import Any

import numpy as np
import pyarrow as pa

from semihand.frames.draft import Draft, draft_rows
from semihand.frames.errors import BadFrame, shown
from semihand.frames.options import ListOptions
from semihand.frames.sets.reader import PROBLEM, Part, SetReader
from semihand.tables.schemas import FRAMES, TRUTH_COLUMNS

_MISFITS = (pa.ArrowException, TypeError, ValueError, OverflowError)  # a name that is not UTF-8, for one


def draft_of(reader: SetReader, part: Part, options: ListOptions) -> Draft:
    """The rows of a part.

    Raises:
        InputError: what describes the part as a whole cannot be read.
    """
    rows = list(reader.rows(part, options.with_truth))
    problems: dict[int, BadFrame] = {place: row[PROBLEM] for place, row in enumerate(rows) if PROBLEM in row}
    hidden = () if options.with_truth else TRUTH_COLUMNS
    names = [name for name in FRAMES.names if name not in hidden and any(name in row for row in rows)]
    columns = {name: _column(name, [row.get(name) for row in rows], problems) for name in names}
    columns.setdefault("dataset", pa.array([options.dataset or reader.name] * len(rows), pa.string()))
    source = f"{reader.name}:{reader.folder}, {part.name}"
    table, numbers = draft_rows(len(rows), columns), np.arange(1, len(rows) + 1)
    return Draft(table, reader.folder, reader.folder, source, numbers, problems, reader.are_crops)


def _column(name: str, cells: list[Any], problems: dict[int, BadFrame]) -> pa.Array:
    """The cells as their column's type; one that does not fit is null, and its row's problem."""
    kind = FRAMES.field(name).type
    plain = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells]
    try:
        return pa.array(plain, kind)
    except _MISFITS:
        fitting = [_fits(cell, kind) for cell in plain]
    for place, fits in enumerate(fitting):
        if not fits:
            problems.setdefault(place, BadFrame("bad_row", f"{name} is {shown(plain[place])}, not {kind}"))
    return pa.array([cell if fits else None for cell, fits in zip(plain, fitting, strict=True)], kind)


def _fits(cell: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([cell], kind)
    except _MISFITS:
        return False
    return True
