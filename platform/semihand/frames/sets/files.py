"""The files of data sets: annotations that may be broken, masks and depths in their own codings."""

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Bool, Float, UInt8, UInt16
from PIL import Image

from semihand.frames.decode import decode_picture
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import read_file
from semihand.hand.pickles import read_pickle

MAX_ANNOTATION_BYTES = 4 * 2**30  # InterHand2.6M's joints are 1 GB of JSON
_CACHED = 4  # files that parts of one data set share


def read_annotation(path: Path) -> Any:
    """What a .json, .pkl, .pickle or .mat annotation file holds; parsed once per process for parts that share it.

    Raises:
        InputError: it is missing, too large or damaged, or a pickle asks for more than arrays.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the data set is not complete, or not in its own layout") from error
    if state.st_size > MAX_ANNOTATION_BYTES:
        raise InputError(f"{path}: {state.st_size} bytes, the limit is {MAX_ANNOTATION_BYTES}")
    return _parsed(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_CACHED)
def _parsed(path: Path, *state: int) -> Any:
    try:
        if path.suffix == ".json":
            return json.loads(path.read_bytes())
        if path.suffix == ".mat":
            return scipy.io.loadmat(path)
        return read_pickle(path, MAX_ANNOTATION_BYTES)
    except (ValueError, OSError, RecursionError, NotImplementedError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"{path}: cannot be read ({str(error)[:200]}); download it again") from error


def entry_array(entry: Any, shape: tuple[int, ...], where: str) -> Float[np.ndarray, "..."]:
    """An entry of an annotation file as numbers of this shape.

    Raises:
        BadFrame: bad_truth, it has another shape or holds something else.
    """
    try:
        array = np.asarray(entry, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadFrame("bad_truth", f"{where} holds {str(entry)[:60]!r}, not numbers") from None
    if array.shape != shape:
        raise BadFrame("bad_truth", f"{where} has shape {array.shape}, not {shape}")
    return array


def read_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a mask, or of a depth picture packed into 8-bit channels.

    Raises:
        BadFrame: see `semihand.frames.files.read_file` and `semihand.frames.decode.decode_picture`.
    """
    return decode_picture(read_file(path))


def read_depth16(path: Path) -> UInt16[np.ndarray, "height width"]:
    """The numbers of a 16-bit depth picture.

    Raises:
        BadFrame: unreadable, or as `read_file` and `decode_picture`.
    """
    data = read_file(path)
    decode_picture(data)  # judges format and size
    numbers = np.asarray(Image.open(io.BytesIO(data), formats=("PNG",)))
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 65535:
        raise BadFrame("unreadable", f"{path}: {numbers.dtype} of shape {numbers.shape}, not one channel of 16 bits")
    return numbers.astype(np.uint16)


def mask_png(hand: Bool[np.ndarray, "height width"]) -> bytes:
    """FRAMES.mask_png: 255 on the hand."""
    return _png(hand.astype(np.uint8) * 255)


def depth_png(depth_mm: Float[np.ndarray, "height width"]) -> bytes:
    """FRAMES.depth_png: tenths of a millimetre; 0 where unknown, and beyond what 16 bits hold."""
    tenths = np.rint(np.nan_to_num(depth_mm) * 10)
    return _png(np.where((tenths > 0) & (tenths <= 65535), tenths, 0).astype(np.uint16))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
