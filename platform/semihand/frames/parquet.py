"""Manifests in Parquet: small files can stand for more rows, texts and numbers than memory holds.

Only the decoding process calls this (`semihand.frames.tasks`): it has a limit on its memory and can be ended.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from semihand.frames.errors import InputError, first_line
from semihand.frames.limits import Limits

_NUMBER_BYTES = 8
_BUFFER_BYTES = 2**20  # or Arrow reads the pictures of a whole row group at once
_EXTENSION = b"ARROW:extension:name"
_WIDE = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
_DAMAGE = (
    pa.ArrowException, ValueError, OSError, NotImplementedError, TypeError, KeyError, IndexError,
    MemoryError, OverflowError, RuntimeError, zlib.error,
)  # fmt: skip


def read_names(path: Path, limits: Limits) -> list[str] | InputError:
    """The names of a file's columns, or why it cannot be read."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about = file.metadata
            groups = [about.row_group(place) for place in range(about.num_row_groups)]
            names: list[str] = file.schema_arrow.names
            num_values = sum(group.column(place).num_values for group in groups for place in range(group.num_columns))
    except _DAMAGE as error:
        return _unreadable(path, error)
    if about.num_rows > limits.max_manifest_rows:
        return InputError(f"{path}: {about.num_rows} rows, the limit is {limits.max_manifest_rows}; cut it into parts")
    unpacked = max(sum(group.total_byte_size for group in groups), num_values * _NUMBER_BYTES)
    return _too_large(path, unpacked, limits) if unpacked > limits.max_manifest_bytes else names


def read_columns(path: Path, names: list[str], limits: Limits) -> memoryview | InputError:
    """The columns of these names as one Arrow stream, or why they cannot be read."""
    try:
        table = _read(path, names)
        unpacked = _unpacked_bytes(table)
        return _too_large(path, unpacked, limits) if unpacked > limits.max_manifest_bytes else _as_stream(table)
    except _DAMAGE as error:
        return _unreadable(path, error)


def _as_stream(table: pa.Table) -> memoryview:
    table = _plain(table)
    table.validate(full=True)  # text that is not UTF-8, for one
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


def read_pieces(path: Path, names: list[str], num_rows: int, limits: Limits) -> Iterator[memoryview | InputError]:
    """As `read_columns`, but so many rows after the other, and never more of a row group's pictures in memory."""
    unpacked = 0
    try:
        for table in _pieces(path, names, num_rows):
            unpacked += _unpacked_bytes(table)
            if unpacked > limits.max_manifest_bytes:
                yield _too_large(path, unpacked, limits)
                return
            yield _as_stream(table)
    except _DAMAGE as error:
        yield _unreadable(path, error)


def _pieces(path: Path, names: list[str], num_rows: int) -> Iterator[pa.Table]:
    """Pictures come as they are: a dictionary of them would hold all those of a row group."""
    lists, others, texts = _columns(path, names, (pa.string(),))
    small, start = _read_lists(path, lists), 0
    with pq.ParquetFile(
        path, page_checksum_verification=True, buffer_size=_BUFFER_BYTES, read_dictionary=texts
    ) as file:
        for batch in file.iter_batches(num_rows, columns=others, use_threads=False):
            yield _side_by_side(names, pa.Table.from_batches([batch]), small.slice(start, batch.num_rows))
            start += batch.num_rows


def _read(path: Path, names: list[str]) -> pa.Table:
    lists, others, texts = _columns(path, names, tuple(_WIDE))
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
        return _side_by_side(names, file.read(columns=others, use_threads=False), _read_lists(path, lists))


def _columns(path: Path, names: list[str], kinds: tuple[pa.DataType, ...]) -> tuple[list[str], list[str], list[str]]:
    """The columns of fixed-size lists, the others, and those of these to be read as dictionaries.

    Of a dictionary the size unpacked can be told before memory is taken for it.
    """
    fields = [field for field in pq.read_schema(path) if field.name in names]
    lists = [field.name for field in fields if _has_fixed_lists(field.type)]
    others = [name for name in names if name not in lists]
    return lists, others, [field.name for field in fields if field.type in kinds]


def _has_fixed_lists(kind: pa.DataType) -> bool:
    below = (kind.field(place).type for place in range(kind.num_fields))
    return pa.types.is_fixed_size_list(kind) or any(map(_has_fixed_lists, below))


def _read_lists(path: Path, names: list[str]) -> pa.Table:
    """Fixed-size lists, all rows at once: boxes and joints, not pictures."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=names, use_threads=False)
    except pa.ArrowInvalid:
        # Arrow writes null fixed-size lists that it cannot read back ("Expected all lists to be of size"). polars can,
        # but holds no page to its checksum. It is imported here, because each file has a process that must start fast.
        import polars as pl
        from polars.exceptions import PolarsError

        try:
            return pl.read_parquet(path, columns=names).to_arrow()
        except PolarsError as error:
            raise ValueError(first_line(error)) from error


def _side_by_side(names: list[str], *tables: pa.Table) -> pa.Table:
    columns = {name: table[name] for table in tables for name in table.column_names}
    return pa.table({name: columns[name] for name in names})


def _unpacked_bytes(table: pa.Table) -> int:
    return sum(_spread_bytes(column) + _own_bytes(column) for column in table.columns)


def _own_bytes(column: pa.ChunkedArray) -> int:
    """What a column takes but for the entries of its dictionary, which others may share."""
    if pa.types.is_dictionary(column.type):
        return sum(chunk.indices.nbytes for chunk in column.chunks)
    return int(column.nbytes)


def _spread_bytes(column: pa.ChunkedArray) -> int:
    """What a dictionary's entries take when every row has its own."""
    if not pa.types.is_dictionary(column.type):
        return 0
    if column.type.value_type not in _WIDE:
        return _NUMBER_BYTES * len(column)
    lengths = [pc.binary_length(chunk.dictionary).cast(pa.int64()).take(chunk.indices) for chunk in column.chunks]
    return sum(pc.sum(each).as_py() or 0 for each in lengths)


def _plain(table: pa.Table) -> pa.Table:
    """The same columns without dictionaries, which stand for more than they hold, and without metadata.

    Arrow itself decodes a dictionary of texts into 32-bit offsets and past their end.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            kind = _WIDE.get(column.type.value_type, column.type.value_type)
            column = pa.chunked_array(
                [chunk.dictionary.cast(kind).take(chunk.indices) for chunk in column.chunks], kind
            )
        if not _is_plain(column.type):
            raise ValueError(f"column {name!r} is of type {column.type}")
        columns.append(column)
    return pa.Table.from_arrays(columns, names=table.column_names)


def _is_plain(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.DictionaryType | pa.RunEndEncodedType | pa.UnionType | pa.BaseExtensionType):
        return False
    below = [kind.field(place) for place in range(kind.num_fields)]
    return all(_EXTENSION not in (field.metadata or {}) and _is_plain(field.type) for field in below)


def _too_large(path: Path, unpacked: int, limits: Limits) -> InputError:
    return InputError(
        f"{path}: {unpacked} bytes unpacked, the limit is {limits.max_manifest_bytes}; cut it into parts, or name "
        "pictures by uri instead of embedding them"
    )


def _unreadable(path: Path, error: BaseException) -> InputError:
    return InputError(f"{path}: not readable as Parquet ({first_line(error)}); write it again")
