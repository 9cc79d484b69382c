"""The files of data sets: annotations that may be broken, masks and depths in their own codings."""

import io
import os
import tokenize
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Bool, Float, Shaped, UInt8, UInt16
from PIL import Image

from semihand.frames.errors import BadFrame, InputError, first_line, shown
from semihand.frames.files import check_input, read_file
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.strict_json import parse_json
from semihand.frames.worker import for_a_file, one
from semihand.hand.pickles import read_pickle

_PARSED_FACTOR = 8  # by Limits.max_annotation_bytes 16 GB; COCO-WholeBody's people are 8 GB of Python's numbers
_LIST_BYTES, _NUMBER_BYTES = 72, 36  # of Python's, at most
_SHARES = {".pkl": 2, ".pickle": 2, ".txt": 8}  # of that limit, for what takes more memory; RHD's pickles are 0.2 GB
MAX_YAML_BYTES = 2**18  # parsed in Python; DexYCB's are a page
_CACHED = 4  # files that parts of one data set share
_kept_bytes: dict[Path, int] = {}
_DAMAGE = (
    ValueError, OSError, RecursionError, TypeError, EOFError, MemoryError, OverflowError, SyntaxError,
    tokenize.TokenError, yaml.YAMLError,
)  # fmt: skip


class _PlainLoader(yaml.SafeLoader):
    """Plain values only, and Python's tuples, which DexYCB's calibration is written with, as lists."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # ten that name one another stand for more than memory holds
            raise yaml.YAMLError("it repeats a part of itself by an alias: refused")
        return super().compose_node(parent, index)


_PlainLoader.add_constructor("tag:yaml.org,2002:python/tuple", yaml.SafeLoader.construct_sequence)


def read_annotation(path: Path, limits: Limits = STANDARD) -> Any:
    """What a .json, .yml, .npy, .pkl, .pickle or .mat file holds; parsed once per process for parts that share it.

    Args:
        path: the file, or a link to it.
        limits: how large it may be, and for a .mat file how long it may take.

    Raises:
        InputError: it is missing, too large or damaged, gives a key twice, or a pickle asks for more than arrays.
    """
    state = check_input(path, _max_bytes(path.suffix, limits))
    _kept_bytes[path] = state.st_size
    return _parsed(path, limits, state.st_mtime_ns, state.st_size)


def _max_bytes(suffix: str, limits: Limits) -> int:
    largest = limits.max_annotation_bytes // _SHARES.get(suffix, 1)
    return min(largest, MAX_YAML_BYTES) if suffix == ".yml" else largest


def kept_bytes(more: Iterable[Path] = ()) -> int:
    """How large the annotation files are on the disk that a process holds parsed.

    Args:
        more: files that it will open besides those that this process has.
    """
    sizes = {path: path.stat().st_size for path in more if path.is_file()}
    return sum(sorted((_kept_bytes | sizes).values())[-_CACHED:])


def forget_annotations() -> None:
    """Let go of all that `read_annotation` keeps, gigabytes of some data sets."""
    _parsed.cache_clear()
    _kept_bytes.clear()


@lru_cache(maxsize=_CACHED)
def _parsed(path: Path, limits: Limits, *state: int) -> Any:
    try:
        if path.suffix == ".json":
            return parse_json(_checked_json(path.read_bytes(), limits))
        if path.suffix == ".mat":
            return one("mat", path, limits=limits, patience_s=for_a_file(limits))
        if path.suffix == ".npy":
            return _read_npy(path)
        if path.suffix == ".yml":
            return yaml.load(path.read_bytes(), Loader=_PlainLoader)
        return read_pickle(path, _max_bytes(path.suffix, limits))
    except InputError:
        raise
    except (BadFrame, *_DAMAGE) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}); download it again") from error


def _checked_json(data: bytes, limits: Limits) -> bytes:
    """The text, once it is known what it takes when it is parsed."""
    parsed = _LIST_BYTES * (data.count(b"[") + data.count(b"{")) + _NUMBER_BYTES * data.count(b",")
    largest = _PARSED_FACTOR * limits.max_annotation_bytes
    if parsed > largest:
        raise ValueError(
            f"it takes {parsed} bytes of memory, the limit is {largest}; see --limits.max_annotation_bytes"
        )
    return data


def _read_npy(path: Path) -> Shaped[np.ndarray, "..."]:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):  # a zip opens as well
        raise ValueError("no single array in it")
    return array


def read_lines(path: Path, limits: Limits = STANDARD) -> list[str]:
    """The lines of a text file, or of one that a link leads to, that hold something.

    Raises:
        InputError: it is missing, too large or no text.
    """
    try:
        text = read_file(Path(os.path.realpath(path)), _max_bytes(".txt", limits)).decode()
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
    if not isinstance(entry, np.ndarray):
        # Before numpy looks: lists that name one another stand for more numbers than memory holds.
        _check_lists(entry, shape, where)
    elif entry.dtype.kind not in "biufSU":
        raise BadFrame("bad_truth", f"{where} is an array of {entry.dtype}, not of numbers")
    try:
        array = np.asarray(entry, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadFrame("bad_truth", f"{where} holds {shown(entry)}, not numbers") from None
    if array.shape != shape:
        raise BadFrame("bad_truth", f"{where} has shape {array.shape}, not {shape}")
    return array


def _check_lists(entry: Any, shape: tuple[int, ...], where: str) -> None:
    layer = [entry]
    for length in shape:
        if not all(_length(part) == length for part in layer):
            raise BadFrame("bad_truth", f"{where} is {shown(entry)}, not of shape {shape}")
        layer = [below for part in layer for below in part]
    if any(isinstance(number, (list, tuple, dict)) for number in layer):
        raise BadFrame("bad_truth", f"{where} holds {shown(entry)}, not numbers of shape {shape}")


def _length(part: Any) -> int | None:
    if isinstance(part, np.ndarray):
        return part.shape[0] if part.ndim else None
    return len(part) if isinstance(part, list | tuple) else None


def read_npz(path: Path, limits: Limits) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of an .npz that belongs to one frame.

    Raises:
        BadFrame: unreadable or beyond the limits, or as `semihand.frames.files.read_file`.
    """
    arrays: dict[str, np.ndarray] = one("npz", path, limits=limits)
    return arrays


def read_picture(path: Path, limits: Limits) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a mask, or of a depth picture packed into 8-bit channels.

    Raises:
        BadFrame: see `semihand.frames.files.read_file` and `semihand.frames.decode.decode_picture`.
    """
    picture: np.ndarray = one("file_picture", path, limits=limits)
    return picture


def read_depth16(path: Path, limits: Limits) -> UInt16[np.ndarray, "height width"]:
    """The numbers of a 16-bit depth picture.

    Raises:
        BadFrame: see `semihand.frames.files.read_file` and `semihand.frames.decode.decode_depth16`.
    """
    depth: np.ndarray = one("depth16", path, limits=limits)
    return depth


def read_size(path: Path, limits: Limits) -> tuple[int, int]:
    """Width and height in px of a picture as it is shown upright.

    Raises:
        BadFrame: see `semihand.frames.files.read_file` and `semihand.frames.decode.read_header`.
    """
    size: tuple[int, int] = one("size", path, limits=limits)
    return size


def count_frames(path: Path, limits: Limits) -> int:
    """The number of a video's frames.

    Raises:
        BadFrame: see `semihand.frames.video.index_video`.
    """
    num: int = one("index", path, limits=limits, patience_s=for_a_file(limits)).num_frames
    return num


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
