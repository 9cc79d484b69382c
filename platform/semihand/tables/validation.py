"""What a table refuses: Delta checks nothing that is added to it, so a worker checks before it writes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Shaped

from semihand.tables.arrays import as_numpy, without_nulls

_SAME = {
    pa.string(): (pa.large_string(), pa.string_view()),
    pa.binary(): (pa.large_binary(), pa.binary_view()),
}


def checked_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in exactly the schema's types and order, or an error that names column and row.

    Lists of the right size are taken for fixed-size lists, and large strings for strings; numbers are
    never converted.

    Raises:
        ValueError: columns unknown or missing, another type, a list of another size, null where a value is
            required, NaN or infinity where numbers are promised finite, a word not in the closed list.
    """
    table = schema.metadata[b"table"].decode()
    unknown, missing = sorted(set(rows.column_names) - set(schema.names)), set(schema.names)
    missing -= set(rows.column_names)
    if unknown or missing or len(set(rows.column_names)) < rows.num_columns:
        raise ValueError(
            f"{table}: columns unknown {unknown}, missing {sorted(missing)}, of {rows.column_names}; "
            f"semihand.tables.rows_of fills what may be null"
        )
    columns = [_checked_column(f"{table}.{field.name}", rows[field.name], field) for field in schema]
    checked = pa.Table.from_arrays(columns, schema=schema)
    for field in schema:
        _check_finite(f"{table}.{field.name}", checked, field)
    return checked


def check_round(rows: pa.Table, round: int) -> None:
    """Every row belongs to this round, where the table has rounds.

    Raises:
        ValueError: a row of another round.
    """
    if "round" not in rows.column_names or not rows.num_rows:
        return
    wrong = pc.index(pc.equal(rows["round"], round), False).as_py()
    if wrong >= 0:
        table, found = rows.schema.metadata[b"table"].decode(), rows["round"][wrong].as_py()
        raise ValueError(f"{table}.round, row {wrong}: {found} in a shard of round {round}; split them")


def _checked_column(where: str, column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    """One column in the field's type."""
    whole = column.combine_chunks()
    if pa.types.is_null(whole.type):
        whole = pa.nulls(len(whole), field.type)
    if not _same_type(whole.type, field.type):
        raise ValueError(f"{where}: type {whole.type}; {field.type} wanted; convert it first")
    if not field.nullable and whole.null_count:
        row = pc.index(whole.is_null(), True).as_py()
        raise ValueError(f"{where}, row {row}: null, but every row must have it")
    _check_sizes(where, whole, field.type, np.arange(len(whole)))
    if values := field.metadata.get(b"values", b"").decode():
        _check_values(where, whole, values.split(","))
    return whole.cast(field.type)


def _same_type(actual: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether they differ by no more than how lists and strings are laid out."""
    if _is_list(wanted):
        return _is_list(actual) and _same_type(actual.value_type, wanted.value_type)
    return actual == wanted or actual in _SAME.get(wanted, ())


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _check_sizes(where: str, column: pa.Array, wanted: pa.DataType, rows: Int[np.ndarray, " entries"]) -> None:
    """Lists hold as many entries as wanted at every level, none of them null; `rows` says whose they are."""
    if not _is_list(wanted):
        return
    rows, column = rows[column.is_valid().to_numpy(zero_copy_only=False)], without_nulls(column)
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_fixed_size_list(wanted) and (wrong := np.flatnonzero(lengths != wanted.list_size)).size:
        found = lengths[wrong[0]]
        raise ValueError(f"{where}, row {rows[wrong[0]]}: a list of {found}; {wanted.list_size} wanted")
    rows, entries = np.repeat(rows, lengths), column.flatten()
    if entries.null_count:
        empty = pc.index(entries.is_null(), True).as_py()
        raise ValueError(f"{where}, row {rows[empty]}: null inside a list; make the whole row null instead")
    _check_sizes(where, entries, wanted.value_type, rows)


def _check_values(where: str, column: pa.Array, values: list[str]) -> None:
    """Every string is one of a closed list."""
    known = pc.or_(pc.is_in(column, value_set=pa.array(values, column.type)), column.is_null())
    wrong = pc.index(known, False).as_py()
    if wrong >= 0:
        raise ValueError(f"{where}, row {wrong}: {column[wrong].as_py()!r}; one of {', '.join(values)} wanted")


def _check_finite(where: str, rows: pa.Table, field: pa.Field) -> None:
    """No NaN and no infinity, but where another column says that an entry is not valid."""
    column = rows[field.name].combine_chunks()
    numbers, owners = _entries(column)
    if numbers.dtype.kind != "f":
        return
    bad = ~np.isfinite(numbers)
    if (flag_column := field.metadata.get(b"finite_where", b"").decode()) and bad.any():
        present = column.is_valid().to_numpy(zero_copy_only=False)
        valid = as_numpy(rows[flag_column], null_as=1.0)[present]
        bad &= np.repeat(valid, numbers.size // valid.size, axis=1).reshape(-1)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{where}, row {owners[first]}: {numbers[first]}; numbers are finite here, the unknown is null"
        )


def _entries(
    column: pa.Array,
) -> tuple[Shaped[np.ndarray, " entries"], Int[np.ndarray, " entries"]]:  # fmt: skip
    """All numbers of a column, whatever its nesting, and the row that each belongs to."""
    owners = np.arange(len(column))
    while True:
        present = column.is_valid().to_numpy(zero_copy_only=False)
        owners, column = owners[present], without_nulls(column)
        if not _is_list(column.type):
            break
        owners = np.repeat(owners, pc.list_value_length(column).to_numpy(zero_copy_only=False))
        column = column.flatten()
    is_number = pa.types.is_floating(column.type)
    return column.to_numpy(zero_copy_only=False) if is_number else np.zeros(len(column), bool), owners
