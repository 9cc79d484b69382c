"""Pickles of plain arrays, read without running what they may carry.

A pickle is a program. The one here may call nothing but numpy's array builders; every other name is refused.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

_NUMPY_CORES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
# What the pickle machine raises on damaged input.
_DAMAGE = (
    pickle.UnpicklingError, ValueError, TypeError, EOFError, IndexError, KeyError, AttributeError, MemoryError,
    ImportError, OverflowError, RecursionError,
)  # fmt: skip


def read_pickle(path: Path, limit_bytes: int, more: Mapping[tuple[str, str], Any] | None = None) -> object:
    """What a pickle of dicts, lists, texts, numbers and numpy arrays holds.

    Args:
        path: a pickle of any protocol, of Python 2 or 3.
        limit_bytes: a larger file is refused.
        more: by (module, name), what stands in for classes beside numpy's; nothing else is looked up.

    Raises:
        ValueError: the file is missing, too large, damaged, or asks for anything else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if (size := path.stat().st_size) > limit_bytes:
        raise ValueError(f"{path}: {size} bytes, the limit is {limit_bytes}")
    try:
        return _ArrayUnpickler(io.BytesIO(path.read_bytes()), {**_ADMITTED, **(more or {})}).load()
    except _DAMAGE as error:
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


def _reconstruct(kind: object, shape: object, type_code: object) -> Shaped[np.ndarray, "..."]:
    if kind is not np.ndarray or shape != (0,):  # numpy itself always starts from an empty array
        raise pickle.UnpicklingError(f"it reserves an array of shape {shape}: refused")
    return np.ndarray.__new__(np.ndarray, (0,), np.int8)


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes text as {encoding}: refused")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    **{(module, "_reconstruct"): _reconstruct for module in _NUMPY_CORES},
    **{(module, "scalar"): np._core.multiarray.scalar for module in _NUMPY_CORES},  # type: ignore[attr-defined]
}
