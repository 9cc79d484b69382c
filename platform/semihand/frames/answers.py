"""What each task may answer: of a decoding process that was taken over, anything else could come."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import Limits
from semihand.frames.medium import Medium, VideoIndex

# The tasks whose answers are about a file of many frames, and may take as long and as much memory as that.
FILE_TASKS = frozenset({"mat", "parquet_names", "parquet", "parquet_pieces"})


def most_bytes(task: str, limits: Limits) -> int:
    """The memory that a task may take, which is the most that an answer can hold."""
    return limits.file_memory_bytes if task in FILE_TASKS else limits.picture_memory_bytes


def check_message(message: Any, task: str, limits: Limits) -> None:
    """Hold what comes for a task to what may: an answer in a tuple, or after the last an empty one.

    Raises:
        ValueError: it is no such tuple, or the answer not of the task's kind, or beyond the limits that it works in.
    """
    if not isinstance(message, tuple) or len(message) > 1:
        raise ValueError(f"a {type(message).__name__} instead of an answer")
    for answer in message:
        if not isinstance(answer, BadFrame) and not ANSWERS[task](answer, limits):
            raise ValueError(f"a {type(answer).__name__} that is no answer to {task!r}")


def _fits(sides: tuple[Any, ...], limits: Limits) -> bool:
    are_sides = all(type(side) is int and limits.min_side_px <= side <= limits.max_side_px for side in sides)
    return are_sides and prod(sides) <= limits.max_pixels


def _is_picture(answer: Any, limits: Limits) -> bool:
    return _is_array(answer, np.uint8, 3) and answer.shape[2] == 3 and _fits(answer.shape[:2], limits)


def _is_depth(answer: Any, limits: Limits) -> bool:
    return _is_array(answer, np.uint16, 2) and _fits(answer.shape, limits)


def _is_array(answer: Any, kind: type[np.generic], num_axes: int) -> bool:
    return isinstance(answer, np.ndarray) and answer.dtype == kind and answer.ndim == num_axes


def _is_size(answer: Any, limits: Limits) -> bool:
    return isinstance(answer, tuple) and len(answer) == 2 and _fits(answer, limits)


def _is_file(answer: Any, limits: Limits) -> bool:
    return _is_medium(answer, limits) and answer.path is not None


def _is_embedded(answer: Any, limits: Limits) -> bool:
    return _is_medium(answer, limits) and answer.path is None and answer.video is None


def _is_medium(answer: Any, limits: Limits) -> bool:
    fits = isinstance(answer, Medium) and _fits((answer.width, answer.height), limits)
    return fits and (answer.video is None or _is_index(answer.video, limits))


def _is_index(answer: Any, limits: Limits) -> bool:
    return isinstance(answer, VideoIndex) and 0 <= answer.num_frames <= limits.max_frames


def _is_of_frames(answer: Any, limits: Limits) -> bool:
    """The numbers of frames that are decoded together, or one of them with its picture."""
    if isinstance(answer, list):
        return all(type(number) is int for number in answer)
    is_frame = isinstance(answer, tuple) and len(answer) == 2 and type(answer[0]) is int
    return is_frame and (isinstance(answer[1], BadFrame) or _is_picture(answer[1], limits))


def _are_arrays(answer: Any, limits: Limits) -> bool:
    return isinstance(answer, dict) and all(isinstance(array, np.ndarray) for array in answer.values())


def _are_names(answer: Any, limits: Limits) -> bool:
    return isinstance(answer, list) and all(isinstance(name, str) for name in answer)


def _is_stream(answer: Any, limits: Limits) -> bool:
    return isinstance(answer, memoryview)


def _or_refused(is_answer: Callable[[Any, Limits], bool]) -> Callable[[Any, Limits], bool]:
    """Tasks about whole files say as well why none of it can be used."""
    return lambda answer, limits: isinstance(answer, InputError) or is_answer(answer, limits)


ANSWERS: dict[str, Callable[[Any, Limits], bool]] = {
    "inspect_file": _is_file,
    "inspect_bytes": _is_embedded,
    "index": _is_index,
    "picture": _is_picture,
    "file_picture": _is_picture,
    "decodes": lambda answer, limits: answer is None,
    "size": _is_size,
    "depth16": _is_depth,
    "frames": _is_of_frames,
    "npz": _are_arrays,
    "mat": _or_refused(_are_arrays),
    "parquet_names": _or_refused(_are_names),
    "parquet": _or_refused(_is_stream),
    "parquet_pieces": _or_refused(_is_stream),
}
