"""The files of data sets: annotations that may be broken, masks and depths in their own codings."""

import io
import json
import reprlib
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import yaml
from jaxtyping import Bool, Float, Shaped, UInt8, UInt16
from PIL import Image

from semihand.frames.decode import decode_picture
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import MAX_PICTURE_BYTES, read_file
from semihand.hand.pickles import read_pickle

MAX_ANNOTATION_BYTES = 4 * 2**30  # InterHand2.6M's joints are 1 GB of JSON
MAX_YAML_BYTES = 2**20  # a calibration; its parser takes minutes for more
_CACHED = 4  # files that parts of one data set share
_kept_bytes: dict[Path, int] = {}
_DAMAGE = (
    ValueError, OSError, RecursionError, NotImplementedError, TypeError, KeyError, IndexError, EOFError, AttributeError,
    MemoryError, RuntimeError, zlib.error, zipfile.BadZipFile, yaml.YAMLError,
)  # fmt: skip


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only, and Python's tuples, which DexYCB's calibration is written with, as lists."""


_PlainLoader.add_constructor("tag:yaml.org,2002:python/tuple", yaml.SafeLoader.construct_sequence)


def read_annotation(path: Path) -> Any:
    """What a .json, .yml, .npy, .pkl, .pickle or .mat file holds; parsed once per process for parts that share it.

    Raises:
        InputError: it is missing, too large or damaged, or a pickle asks for more than arrays.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the data set is not complete, or not in its own layout") from error
    limit = MAX_YAML_BYTES if path.suffix == ".yml" else MAX_ANNOTATION_BYTES
    if state.st_size > limit:
        raise InputError(f"{path}: {state.st_size} bytes, the limit is {limit}")
    _kept_bytes[path] = state.st_size
    return _parsed(path, state.st_mtime_ns, state.st_size)


def kept_bytes() -> int:
    """How large the annotation files are on the disk that this process holds parsed."""
    return sum(_kept_bytes.values())


def forget_annotations() -> None:
    """Let go of all that `read_annotation` keeps, gigabytes of some data sets."""
    _parsed.cache_clear()
    _kept_bytes.clear()


@lru_cache(maxsize=_CACHED)
def _parsed(path: Path, *state: int) -> Any:
    try:
        if path.suffix == ".json":
            return json.loads(path.read_bytes())
        if path.suffix == ".mat":
            return scipy.io.loadmat(path)
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix == ".yml":
            return yaml.load(path.read_bytes(), Loader=_PlainLoader)
        return read_pickle(path, MAX_ANNOTATION_BYTES)
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read ({str(error)[:200]}); download it again") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that hold something.

    Raises:
        InputError: it is missing, too large or no text.
    """
    try:
        text = read_file(path).decode()
    except BadFrame as problem:
        raise InputError(f"{problem.detail}; the data set is not complete, or not in its own layout") from problem
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text ({error}); download it again") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def entry_array(entry: Any, shape: tuple[int, ...], where: str) -> Float[np.ndarray, "..."]:
    """An entry of an annotation file as numbers of this shape.

    Raises:
        BadFrame: bad_truth, it has another shape or holds something else.
    """
    if isinstance(entry, np.ndarray) and entry.shape != shape:
        raise BadFrame("bad_truth", f"{where} has shape {entry.shape}, not {shape}")
    try:
        if _is_nested(entry, shape):
            return np.asarray(entry, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError):
        pass
    raise BadFrame("bad_truth", f"{where} holds {reprlib.repr(entry)}, not numbers of shape {shape}")


def _is_nested(entry: Any, shape: tuple[int, ...]) -> bool:
    """Whether lists lie in lists as a shape wants; in YAML and pickles a page may name itself a billion times over."""
    if isinstance(entry, np.ndarray):
        return bool(entry.shape == shape)
    if not shape:
        return not isinstance(entry, (list, tuple, dict))
    is_list = isinstance(entry, (list, tuple)) and len(entry) == shape[0]
    return is_list and all(_is_nested(each, shape[1:]) for each in entry)


def read_npz(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of an .npz that belongs to one frame.

    Raises:
        BadFrame: unreadable or too_large, or as `read_file`.
    """
    data = io.BytesIO(read_file(path))
    try:
        with zipfile.ZipFile(data) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_PICTURE_BYTES:
            raise BadFrame("too_large", f"{path}: {unpacked} bytes unpacked, above the limit of {MAX_PICTURE_BYTES}")
        with np.load(data, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGE as error:
        raise BadFrame("unreadable", f"{path}: {str(error)[:200]}") from error


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
    return _png(_tenths(depth_mm))


def packed_png(depth_mm: Float[np.ndarray, "height width"]) -> bytes:
    """The numbers of `depth_png` in 8-bit channels, which reading a picture keeps: high byte green, low byte blue."""
    tenths = _tenths(depth_mm)
    return _png(np.stack([np.zeros_like(tenths), tenths >> 8, tenths & 255], axis=-1).astype(np.uint8))


def _tenths(depth_mm: Float[np.ndarray, "height width"]) -> UInt16[np.ndarray, "height width"]:
    tenths = np.rint(np.nan_to_num(depth_mm) * 10)
    return np.where((tenths > 0) & (tenths <= 65535), tenths, 0).astype(np.uint16)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
