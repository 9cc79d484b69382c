"""Some rows of a table, by number or by flag.

`Table.take` and `Table.filter` of pyarrow 25 return other rows' numbers for a column of nested fixed-size
lists that is a slice (its offset is forgotten on the second level), silently. These two do not.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int


def take_rows(table: pa.Table, rows: Sequence[int] | Int[np.ndarray, " rows"]) -> pa.Table:
    """The rows of these numbers, in this order."""
    indices = np.asarray(rows, dtype=np.int64).reshape(-1)
    columns = [_take(_whole(column), indices) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def filter_rows(table: pa.Table, keep: Bool[np.ndarray, " rows"] | pa.ChunkedArray) -> pa.Table:
    """The rows whose flag is set; a null flag is not."""
    if not isinstance(keep, np.ndarray):
        keep = keep.fill_null(False).to_numpy()
    return take_rows(table, np.flatnonzero(keep))


def without_values(column: pa.ChunkedArray, hide: Bool[np.ndarray, " rows"]) -> pa.Array:
    """The column with nulls where the flag is set."""
    return _take(_whole(column), np.arange(len(column)), hide)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _take(array: pa.Array, rows: Int[np.ndarray, " rows"], hide: Bool[np.ndarray, " rows"] | None = None) -> pa.Array:
    if not pa.types.is_fixed_size_list(array.type):
        return array.take(pa.array(rows, mask=hide))
    size = array.type.list_size
    child = array.values.slice(array.offset * size, len(array) * size)
    of_child = (rows[:, None] * size + np.arange(size)).reshape(-1)
    absent = ~array.is_valid().to_numpy(zero_copy_only=False)[rows]
    if hide is not None:
        absent |= hide
    return pa.FixedSizeListArray.from_arrays(_take(child, of_child), type=array.type, mask=pa.array(absent))
