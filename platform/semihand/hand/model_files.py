"""Reading a hand model's file without running what it may carry.

A pickle is a program. The one here may call nothing but numpy's array builders, and classes of our own that
stand in for scipy's sparse matrices and chumpy's arrays; every other name is refused.
"""

import pickle
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Shaped

from semihand.hand.pickles import Builder, Marker, read_pickle

MAX_BYTES = 64 * 2**20
_MOST_STEPS = 100_000  # MANO's own file takes some hundreds
_MOST_ENTRIES = 100  # of an .npz
_ENTRY = b"PK\1\2"  # how one begins in a zip's directory, which is read as a whole
_DAMAGE = (
    ValueError, OSError, EOFError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, ArithmeticError,
    MemoryError, RecursionError, SyntaxError, tokenize.TokenError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
REQUIRED = (
    "v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "hands_components",
    "hands_mean",
)  # fmt: skip
IGNORED = frozenset({"J", "bs_style", "bs_type", "hands_coeffs"})  # in MANO's files, used by nobody here

_SPARSE_MODULES = ("scipy.sparse.csc", "scipy.sparse._csc", "scipy.sparse.csr", "scipy.sparse._csr")


def read_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of a `.pkl` or `.npz` under MANO's key names.

    Raises:
        ValueError: see `semihand.hand.mano.read_hand_model`.
    """
    if not path.is_file():
        raise ValueError(f"hand model {path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"hand model {path}: {path.stat().st_size} bytes, the limit is {MAX_BYTES}")
    if path.suffix not in (".pkl", ".npz"):
        raise ValueError(f"hand model {path}: type {path.suffix!r}, give a .pkl or an .npz")
    content = _read_npz(path) if path.suffix == ".npz" else _read_pickle(path)
    missing = [name for name in REQUIRED if name not in content]
    unknown = sorted(str(name) for name in content if name not in REQUIRED and name not in IGNORED)
    if missing or unknown:
        raise ValueError(f"hand model {path}: missing keys {missing}, unknown keys {unknown}; is it a MANO file?")
    return {name: _as_numeric(content[name], f"hand model {path}: {name}") for name in REQUIRED}


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        if (entries := path.read_bytes().count(_ENTRY)) > _MOST_ENTRIES:
            raise ValueError(f"about {entries} entries, the limit is {_MOST_ENTRIES}")
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise ValueError(f"{unpacked} bytes unpacked, the limit is {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name in REQUIRED or name not in IGNORED}
    except _DAMAGE as error:
        raise ValueError(f"hand model {path}: not a readable .npz of plain arrays ({error})") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        content = read_pickle(path, MAX_BYTES, _ADMITTED, _MOST_STEPS)
    except ValueError as error:
        raise ValueError(f"hand model {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"hand model {path}: holds a {type(content).__name__}, a MANO pickle holds a dict")
    return content


class _Held:
    """Stands for an instance of a foreign class: keeps the state, runs nothing."""

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


class _SparseMatrix(_Held):
    """scipy.sparse.csc_matrix or csr_matrix."""

    by_column = True


class _SparseMatrixByRow(_SparseMatrix):
    by_column = False


class _ChumpyArray(_Held):
    """chumpy.ch.Ch: the array is in `x`."""


class _ChumpySelection(_Held):
    """chumpy.reordering.Select: `a.ravel()[idxs].reshape(preferred_shape)`."""


def _reconstructor(kind: object, base: object, state: object) -> object:
    if not (isinstance(kind, type) and issubclass(kind, _Held)) or base is not _OBJECT or state is not None:
        raise pickle.UnpicklingError("it rebuilds an object that is no array: refused")
    return kind()


def _names(items: object = ()) -> None:
    """A set, which chumpy keeps the names of its changed parts in; nobody here asks for it."""


_OBJECT = Marker()
_ADMITTED: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): Builder(_reconstructor),
    ("copyreg", "_reconstructor"): Builder(_reconstructor),
    ("__builtin__", "object"): _OBJECT,
    ("builtins", "object"): _OBJECT,
    ("__builtin__", "set"): Builder(_names),
    ("builtins", "set"): Builder(_names),
    ("chumpy.ch", "Ch"): _ChumpyArray,
    ("chumpy.reordering", "Select"): _ChumpySelection,
    **{
        (module, name): _SparseMatrix if name == "csc_matrix" else _SparseMatrixByRow
        for module in _SPARSE_MODULES
        for name in ("csc_matrix", "csr_matrix")
    },
}


def _as_numeric(value: object, where: str) -> Shaped[np.ndarray, "..."]:
    try:
        array = _as_array(value)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"{where} cannot be read as an array ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{where} is of type {kind}, numbers are needed")
    return array


def _as_array(value: object) -> object:
    if isinstance(value, _ChumpyArray):
        return _as_array(value.state["x"])
    if isinstance(value, _ChumpySelection):
        chosen = _plain(_as_array(value.state["a"])).ravel()[_plain(value.state["idxs"])]
        shape = value.state.get("preferred_shape")
        return chosen if shape is None else chosen.reshape(shape)
    if isinstance(value, _SparseMatrix):
        return _dense(value)
    return value


def _plain(value: object) -> Shaped[np.ndarray, "..."]:
    """An array as it is: lists that name one another could stand for more numbers than memory holds."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a {type(value).__name__} stands where an array should")
    return value


def _dense(matrix: _SparseMatrix) -> Shaped[np.ndarray, "..."]:
    rows, columns = (int(n) for n in matrix.state["_shape"])
    if rows * columns * 8 > MAX_BYTES:
        raise ValueError(f"sparse matrix of {rows} x {columns} is larger than any hand model's")
    parts = tuple(_plain(matrix.state[name]) for name in ("data", "indices", "indptr"))
    if any(part.dtype.kind not in "iuf" for part in parts):
        raise ValueError("sparse matrix holds something else than numbers")
    kind = scipy.sparse.csc_matrix if matrix.by_column else scipy.sparse.csr_matrix
    sparse = kind(parts, shape=(rows, columns))
    sparse.check_format(full_check=True)  # indices out of range would read foreign memory
    return np.asarray(sparse.toarray())
