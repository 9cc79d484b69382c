"""Pickles of plain arrays, read without running what they may carry.

A pickle is a program. The one here may build dicts, lists, texts and numbers, and call stand-ins of our own for numpy's
array builders, which make arrays of plain numbers from as many bytes as they need; every other name is refused. Before
it runs, it is counted what it would take (`semihand.hand.pickle_programs`).
"""

import io
import math
import pickle
import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from semihand.hand.pickle_programs import check_program

MOST_STEPS = 10_000_000  # RHD's annotations take 4 million
_LEAST_STEPS = 20_000
_BYTES_PER_STEP = 4  # of a large file, at least; an empty list is one byte and 56 in memory
_MOST_DIMENSIONS = 64  # numpy's own limit
_NUMPY_CORES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_PLAIN = re.compile(r"[|<>=]?(?:[biufc]\d{1,2}|[SU]\d{1,9}|\?)")
# What the pickle machine raises on damaged input.
_DAMAGE = (
    pickle.UnpicklingError, ValueError, TypeError, EOFError, IndexError, KeyError, AttributeError, MemoryError,
    ImportError, OverflowError, RecursionError,
)  # fmt: skip


class Marker:
    """A name that a pickle may mention, but neither call nor change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes what it may only mention: refused")


class Builder(Marker):
    """A name that a pickle may call."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: object) -> Any:
        return self._build(*arguments)


def read_pickle(
    path: Path,
    limit_bytes: int,
    more: Mapping[tuple[str, str], Any] | None = None,
    most_steps: int = MOST_STEPS,
) -> object:
    """What a pickle of dicts, lists, texts, numbers and numpy arrays of numbers or texts holds.

    Args:
        path: a pickle of any protocol, of Python 2 or 3.
        limit_bytes: a larger file is refused.
        more: by (module, name), what stands in for classes beside numpy's; nothing else is looked up.
        most_steps: a longer program is refused.

    Raises:
        ValueError: the file is missing, too large, damaged, or asks for anything else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if (size := path.stat().st_size) > limit_bytes:
        raise ValueError(f"{path}: {size} bytes, the limit is {limit_bytes}")
    try:
        data = path.read_bytes()
        check_program(data, min(most_steps, _LEAST_STEPS + len(data) // _BYTES_PER_STEP))
        return _ArrayUnpickler(io.BytesIO(data), {**_ADMITTED, **(more or {})}).load()
    except (OSError, *_DAMAGE) as error:
        raise ValueError(f"{path}: not a readable pickle of arrays ({error})") from error


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, admitted: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(file, encoding="latin1")
        self._admitted = admitted

    def find_class(self, module: str, name: str) -> Any:
        known = self._admitted.get((module, name))
        if known is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs: refused")
        return known


class _Kind:
    """numpy.dtype, of plain numbers or texts; what a pickle may say of it is its byte order."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: object, *copied: object) -> None:
        if not isinstance(code, str) or _PLAIN.fullmatch(code) is None:
            raise pickle.UnpicklingError(f"it asks for an array of type {reprlib.repr(code)}, not of numbers: refused")
        self._code, self._order = code.lstrip("|<>="), code[0] if code[0] in "<>" else "="

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "|", "=")):
            raise pickle.UnpicklingError("it describes no type of numbers: refused")
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("it asks for an array of records: refused")
        self._order = state[1] if state[1] in "<>" else "="

    def dtype(self) -> np.dtype[Any]:
        """The type that is meant."""
        return np.dtype(self._order + self._code)


class _Array(np.ndarray):
    """An array that is built in two steps: empty, then with its state."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise pickle.UnpicklingError("it describes no array: refused")
        shape, kind, fortran, data = state[-4:]
        data = _as_bytes(data)
        shape, dtype = _checked(shape, kind, data)
        super().__setstate__((1, shape, dtype, bool(fortran), data))  # type: ignore[arg-type]


def _checked(shape: object, kind: object, data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array, once they fit its bytes."""
    if not isinstance(kind, _Kind) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("it describes no array of numbers: refused")
    if len(shape) > _MOST_DIMENSIONS or not all(isinstance(length, int) and length >= 0 for length in shape):
        raise pickle.UnpicklingError("it asks for an array of impossible shape: refused")
    dtype = kind.dtype()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {reprlib.repr(shape)} in {len(data)} bytes: refused")
    return shape, dtype


def _as_bytes(data: object) -> bytes:
    if isinstance(data, str):  # Python 2's
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError(f"it fills an array with a {type(data).__name__}: refused")
    return bytes(data)


def _reconstruct(kind: object, shape: object, type_code: object) -> Shaped[np.ndarray, "..."]:
    if kind is not _NDARRAY or shape != (0,):  # numpy itself always starts from an empty array
        raise pickle.UnpicklingError(f"it reserves an array of shape {reprlib.repr(shape)}: refused")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _from_buffer(data: object, kind: object, shape: object, order: object) -> Shaped[np.ndarray, "..."]:
    raw = _as_bytes(data)
    sizes, dtype = _checked(shape, kind, raw)
    # Of memory of its own, which can be written to as that of any other array.
    return np.frombuffer(bytearray(raw), dtype).reshape(sizes, order="F" if order == "F" else "C")


def _scalar(kind: object, data: object) -> Any:
    raw = _as_bytes(data)
    return np.frombuffer(raw, _checked((), kind, raw)[1])[0]


def _encode(text: object, encoding: object) -> bytes:
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise pickle.UnpicklingError(f"it encodes text as {reprlib.repr(encoding)}: refused")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_NDARRAY = Marker()
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Builder(_Kind),
    ("_codecs", "encode"): Builder(_encode),
    ("__builtin__", "bytes"): Builder(_no_bytes),  # how protocols below 3 write none at all
    ("builtins", "bytes"): Builder(_no_bytes),
    **{(module, "_reconstruct"): Builder(_reconstruct) for module in _NUMPY_CORES},
    **{(module, "_frombuffer"): Builder(_from_buffer) for module in _NUMPY_CORES},
    **{(module, "scalar"): Builder(_scalar) for module in _NUMPY_CORES},
}
