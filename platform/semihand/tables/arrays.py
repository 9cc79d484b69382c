"""Arrays in columns: numpy to fixed-size lists and back, without copying where Arrow allows it."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Shaped


def fixed_list_column(
    values: Shaped[np.ndarray, "rows *shape"], valid: Bool[np.ndarray, " rows"] | None = None
) -> pa.Array:
    """One array per row as nested fixed-size lists; one number per row as a plain column.

    Args:
        values: one entry per row along the first axis; contiguous numbers are not copied.
        valid: rows that are False become null.

    Raises:
        ValueError: the array has no rows axis, or an axis of size 0.
    """
    if values.ndim == 0 or 0 in values.shape[1:]:
        raise ValueError(f"fixed_list_column: shape {values.shape} needs a rows axis, then no empty one")
    column = pa.array(np.ascontiguousarray(values).reshape(-1))
    for axis in range(values.ndim - 1, 0, -1):
        mask = pa.array(~valid) if axis == 1 and valid is not None else None
        column = pa.FixedSizeListArray.from_arrays(column, values.shape[axis], mask=mask)
    if values.ndim == 1 and valid is not None:
        column = pc.if_else(pa.array(valid), column, pa.scalar(None, column.type))
    return column


def as_numpy(column: pa.Array | pa.ChunkedArray, null_as: float | None = None) -> Shaped[np.ndarray, "rows *shape"]:
    """The column as one array; no copy for fixed-size lists of numbers in one chunk without nulls.

    Args:
        column: numbers, flags, or (fixed-size or plain) lists of them, all of one size.
        null_as: the number to fill null rows with; None refuses them.

    Raises:
        ValueError: a row is null and `null_as` was not given, or rows have different sizes.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if not column.null_count:
        return _dense(column)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if null_as is None:
        raise ValueError(f"as_numpy: row {int(np.argmin(present))} is null; drop such rows or give null_as")
    dense = _dense(without_nulls(column))
    filled = np.full((len(column), *dense.shape[1:]), null_as, dtype=dense.dtype)
    filled[present] = dense
    return filled


def without_nulls(column: pa.Array) -> pa.Array:
    """The rows of a column that are not null."""
    if not column.null_count:
        return column
    # pyarrow 25 returns other rows when it drops from a slice of nested fixed-size lists; a copy is no slice.
    return pa.concat_arrays([column, column.slice(0, 0)]).drop_null()


def rows_of(schema: pa.Schema, columns: Mapping[str, object]) -> pa.Table:
    """A table of this schema from the columns one has; the others are null.

    Args:
        schema: one of the schemas of `semihand.tables`.
        columns: arrays (numpy or Arrow) or sequences by column name, all of one length.

    Raises:
        ValueError: a column that the schema does not know, one it requires is missing, or a column is of
            another length or type.
    """
    table = (schema.metadata or {}).get(b"table", b"rows").decode()
    if unknown := sorted(set(columns) - set(schema.names)):
        raise ValueError(f"{table}: unknown columns {unknown}; the schema has {schema.names}")
    if missing := [field.name for field in schema if not field.nullable and field.name not in columns]:
        raise ValueError(f"{table}: required columns {missing} are missing; give them")
    lengths = {name: len(values) for name, values in columns.items()}  # type: ignore[arg-type]
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{table}: columns of different lengths {lengths}; give one entry per row")
    num_rows = next(iter(lengths.values()), 0)
    return pa.Table.from_arrays([_column(columns, field, num_rows) for field in schema], schema=schema)


def _column(columns: Mapping[str, object], field: pa.Field, num_rows: int) -> pa.Array | pa.ChunkedArray:
    """One column of the schema's type."""
    if field.name not in columns:
        return pa.nulls(num_rows, field.type)
    values = columns[field.name]
    try:
        if isinstance(values, np.ndarray) and values.ndim > 1 and values.dtype != object:
            values = fixed_list_column(values)
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return values.cast(field.type)
        return pa.array(values, field.type, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {field.name}: does not fit {field.type}: {error}") from error


def _dense(column: pa.Array) -> Shaped[np.ndarray, "rows *shape"]:
    """A column without null rows as an array."""
    shape = [len(column)]
    while pa.types.is_nested(column.type):
        shape.append(_common_size(column))
        column = column.flatten()
        if column.null_count:
            raise ValueError(f"as_numpy: a list holds null; {column.type} entries must all be there")
    return np.asarray(column.to_numpy(zero_copy_only=False)).reshape(shape)


def _common_size(column: pa.Array) -> int:
    """The size that all lists of a column share."""
    if pa.types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    sizes = pc.min_max(pc.list_value_length(column)).as_py()
    if sizes["min"] != sizes["max"]:
        raise ValueError(f"as_numpy: lists of {sizes['min']} to {sizes['max']} entries; all must be alike")
    return int(sizes["min"] or 0)
