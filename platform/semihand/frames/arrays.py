"""Files of arrays that strangers wrote, .npz and .mat, unpacked as far as they may be.

Only the decoding process calls these: it has a limit on its memory and can be ended.
"""

import io
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from semihand.frames.errors import BadFrame, InputError, first_line
from semihand.frames.files import read_file
from semihand.frames.limits import Limits
from semihand.frames.messages import can_travel

_DAMAGE = (
    ValueError, OSError, RecursionError, NotImplementedError, TypeError, KeyError, IndexError, EOFError, AttributeError,
    MemoryError, RuntimeError, ArithmeticError, AssertionError, SyntaxError, tokenize.TokenError, zlib.error,
    zipfile.BadZipFile,
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
        data.seek(0)
        with np.load(data, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except _DAMAGE as error:
        raise BadFrame("unreadable", f"{path}: {first_line(error)}") from error
    return _plain(found)


def read_mat(path: Path, limits: Limits) -> dict[str, Shaped[np.ndarray, "..."]] | InputError:
    """The arrays of numbers or texts in a MATLAB file, or why it cannot be read."""
    import scipy.io.matlab  # here, because the process that decodes pictures must start fast

    try:
        return _plain(scipy.io.loadmat(path))
    except (*_DAMAGE, scipy.io.matlab.MatReadError) as error:
        return InputError(f"{path}: cannot be read ({first_line(error)}); download it again")


def _plain(found: dict[str, Any]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """What can be handed on: no cells, records or objects, nor a zip's other files, which come as bytes."""
    return {name: array for name, array in found.items() if type(array) is np.ndarray and can_travel(array)}
