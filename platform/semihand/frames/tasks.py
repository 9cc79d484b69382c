"""What the decoding process can be asked for; the code that meets bytes which may be anything.

Every task is a generator of answers, so that one that takes too long or ends the process costs that answer alone. A
BadFrame or InputError is an answer, too.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from semihand.frames.arrays import read_arrays_of_npz, read_mat
from semihand.frames.decode import decode_depth16, decode_picture, read_header
from semihand.frames.errors import BadFrame
from semihand.frames.files import file_sha256, read_file
from semihand.frames.inspection import inspect_bytes, inspect_file
from semihand.frames.limits import Limits
from semihand.frames.video import decode_group, frame_groups, index_video

Picture = UInt8[np.ndarray, "height width 3"]


def _each(act: Callable[..., Any]) -> Callable[[Sequence[tuple[Any, ...]], Limits], Iterator[Any]]:
    """A task that answers one item after the other."""

    def answers(items: Sequence[tuple[Any, ...]], limits: Limits) -> Iterator[Any]:
        for item in items:
            try:
                answer = act(*item, limits)
            except BadFrame as problem:
                answer = problem
            except MemoryError:
                answer = BadFrame("too_large", "it takes more memory than it may")
            yield answer

    return answers


def _picture(source: str | bytes, digest: str, limits: Limits) -> Picture:
    data = source if isinstance(source, bytes) else read_file(Path(source), limits.max_picture_bytes)
    check_digest(hashlib.sha256(data).hexdigest(), digest)
    return decode_picture(data, limits)


def _file_picture(path: Path, limits: Limits) -> Picture:
    return decode_picture(read_file(path, limits.max_picture_bytes), limits)


def _decodes(data: bytes, limits: Limits) -> None:
    decode_picture(data, limits)


def _size(path: Path, limits: Limits) -> tuple[int, int]:
    return read_header(read_file(path, limits.max_picture_bytes), limits)[:2]


def _depth16(path: Path, limits: Limits) -> np.ndarray:
    return decode_depth16(read_file(path, limits.max_picture_bytes), limits)


def _frames(uri: str, digest: str, numbers: list[int], limits: Limits) -> Iterator[Any]:
    """Before each group of frames that are decoded together its numbers, then each number with its picture."""
    try:
        check_digest(file_sha256(Path(uri), limits.max_video_bytes), digest)
        video = index_video(Path(uri), limits)
    except BadFrame as problem:
        yield problem
        return
    for group in frame_groups(video, numbers):
        yield group
        yield from decode_group(video, group, limits)


def _parquet_names(path: Path, limits: Limits) -> Any:
    from semihand.frames.parquet import read_names  # here, because a process for pictures alone must start fast

    return read_names(path, limits)


def _parquet(path: Path, names: list[str], limits: Limits) -> Any:
    from semihand.frames.parquet import read_columns

    return read_columns(path, names, limits)


def _parquet_pieces(path: Path, names: list[str], num_rows: int, limits: Limits) -> Iterator[Any]:
    from semihand.frames.parquet import read_pieces

    yield from read_pieces(path, names, num_rows, limits)


def check_digest(found: str, listed: str) -> None:
    """Hold content to the hash that it was listed under.

    Raises:
        BadFrame: changed.
    """
    if found != listed:
        raise BadFrame("changed", f"the content has sha256 {found}, listed was {listed}; list the frames again")


# By name: given its arguments and the limits, the answers.
TASKS: dict[str, Callable[..., Iterator[Any]]] = {
    "inspect_file": _each(inspect_file),
    "inspect_bytes": _each(inspect_bytes),
    "index": _each(index_video),
    "picture": _each(_picture),
    "file_picture": _each(_file_picture),
    "decodes": _each(_decodes),
    "size": _each(_size),
    "depth16": _each(_depth16),
    "frames": _frames,
    "npz": _each(read_arrays_of_npz),
    "mat": _each(read_mat),
    "parquet_names": _each(_parquet_names),
    "parquet": _each(_parquet),
    "parquet_pieces": _parquet_pieces,
}
