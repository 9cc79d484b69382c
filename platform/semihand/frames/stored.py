"""Files of arrays and tables that strangers wrote: .npz, .mat and Parquet, unpacked as far as they may be.

Only the decoding process calls these: it has a limit on its memory and can be ended.
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import read_file
from semihand.frames.limits import Limits

if TYPE_CHECKING:
    import pyarrow as pa

_EXTENSION = b"ARROW:extension:name"
_DAMAGE = (
    ValueError, OSError, RecursionError, NotImplementedError, TypeError, KeyError, IndexError, EOFError, AttributeError,
    MemoryError, RuntimeError, ArithmeticError, AssertionError, SyntaxError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


def read_arrays_of_npz(path: Path, limits: Limits) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of an .npz that belongs to one frame.

    Raises:
        BadFrame: unreadable or too_large, or as `read_file`.
    """
    data = io.BytesIO(read_file(path, limits.max_picture_bytes))
    try:
        with zipfile.ZipFile(data) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > limits.max_picture_bytes:
            limit = f"above the limit of {limits.max_picture_bytes}"
            raise BadFrame("too_large", f"{path}: {unpacked} bytes unpacked, {limit}")
        with np.load(data, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGE as error:
        raise BadFrame("unreadable", f"{path}: {str(error)[:200]}") from error


def read_mat(path: Path, limits: Limits) -> dict[str, Any] | InputError:
    """What a MATLAB file holds, or why it cannot be read."""
    import scipy.io  # here, because the process that decodes pictures must start fast

    try:
        found: dict[str, Any] = scipy.io.loadmat(path)
        return found
    except _DAMAGE as error:
        return InputError(f"{path}: cannot be read ({str(error)[:200]}); download it again")


def read_parquet_names(path: Path, limits: Limits) -> list[str] | InputError:
    """The names of a Parquet file's columns, or why it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about = file.metadata
            unpacked = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            names: list[str] = file.schema_arrow.names
    except (pa.ArrowException, *_DAMAGE) as error:
        return _unreadable(path, error)
    if about.num_rows > limits.max_manifest_rows:
        return InputError(f"{path}: {about.num_rows} rows, the limit is {limits.max_manifest_rows}; cut it into parts")
    if unpacked > limits.max_manifest_bytes:
        return _too_large(path, unpacked, limits)
    return names


def read_parquet(path: Path, names: list[str], limits: Limits) -> "list[pa.Buffer] | InputError":
    """The columns of these names as parts of an Arrow stream, or why they cannot be read."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq
    from polars.exceptions import PolarsError

    try:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read(columns=names, use_threads=False)
        except pa.ArrowInvalid:
            # Arrow writes null fixed-size lists that it cannot read back ("Expected all lists to be of size").
            table = pl.read_parquet(path, columns=names).to_arrow()
        table = _plain(table)
        table.validate(full=True)  # text that is not UTF-8, for one
    except (pa.ArrowException, PolarsError, *_DAMAGE) as error:
        return _unreadable(path, error)
    if table.nbytes > limits.max_manifest_bytes:
        return _too_large(path, table.nbytes, limits)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return [sink.getvalue()]


def _plain(table: "pa.Table") -> "pa.Table":
    """The same columns without dictionaries, which stand for more than they hold, and without metadata.

    Arrow itself decodes a dictionary of texts into 32-bit offsets and past their end.
    """
    import pyarrow as pa

    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = pa.chunked_array([_spread(chunk) for chunk in column.chunks], _wide(column.type.value_type))
        if not _is_plain(column.type):
            raise ValueError(f"column {name!r} is of type {column.type}")
        columns.append(column)
    return pa.Table.from_arrays(columns, names=table.column_names)


def _spread(chunk: "pa.DictionaryArray") -> "pa.Array":
    return chunk.dictionary.cast(_wide(chunk.type.value_type)).take(chunk.indices)


def _wide(kind: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    return {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(kind, kind)


def _is_plain(kind: "pa.DataType") -> bool:
    import pyarrow as pa

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
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return InputError(f"{path}: not readable as Parquet ({first_line[:300]}); write it again")
