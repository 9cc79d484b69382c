"""What the decoding process and whoever asks it say to one another: JSON, buffers, and a closed list of kinds.

A pickle would be a program, and the decoding process may have been taken over by what it decodes. Here whatever is read
is built from known parts, and a message of anything else is refused.

In the JSON an object is a dict, and an array is a kind and what it is made of: `["tuple", 1, 2]`. Bytes, arrays, and
whole numbers where they are many, are buffers, which the text takes in their order.
"""

import json
import re
import sys
from array import array as numbers_of
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.medium import Medium, VideoIndex
from semihand.frames.strict_json import parse_json

Buffer: TypeAlias = bytes | bytearray | memoryview

_MOST_LEVELS = 10  # what travels has up to 6
_MOST_AXES = 32  # of an array, as MATLAB and older NumPy have it
_MANY = 64  # whole numbers, from which on a buffer is faster: the times of a long video are a million
_DTYPE = re.compile(r"[|<>](b1|[iu][1248]|f(2|4|8|16)|U[1-9][0-9]{0,8})")
_WHOLE = range(-(2**63), 2**63)


def written(value: Any) -> tuple[str, list[Buffer]]:
    """A value as text, and the buffers that belong to it, which still are the value's own memory.

    Raises:
        TypeError: something in it is not of the kinds that travel.
    """
    buffers: list[Buffer] = []
    return json.dumps(_tree(value, buffers, _MOST_LEVELS)), buffers


def read(text: str, buffers: Sequence[Buffer]) -> Any:
    """The value that was written.

    Args:
        text: as it came.
        buffers: as they came, where nobody else can change them; arrays live on in them.

    Raises:
        ValueError: it was not written by `written`.
    """
    left = iter(buffers)
    try:
        value = _value(parse_json(text), left, _MOST_LEVELS)
    except RecursionError:
        raise ValueError("it is too deep") from None
    if next(left, None) is not None:
        raise ValueError(f"not all of {len(buffers)} buffers are used")
    return value


def can_travel(array: np.ndarray) -> bool:
    """Whether an array is of the kinds that travel: truths, numbers and texts."""
    return bool(_DTYPE.fullmatch(array.dtype.str))


def _tree(value: Any, buffers: list[Buffer], levels: int) -> Any:
    """A value as what JSON can say."""
    kind = type(value)
    if value is None or kind in (bool, float, str) or (kind is int and value in _WHOLE):
        return value
    if not levels:
        raise TypeError(f"a {kind.__name__} lies below {_MOST_LEVELS} others")
    if kind is dict:
        if not all(type(key) is str for key in value):
            raise TypeError(f"of keys only texts travel, not {list(value)!r:.80}")
        return {key: _tree(part, buffers, levels - 1) for key, part in value.items()}
    if kind in (bytes, bytearray, memoryview):
        buffers.append(memoryview(value).cast("B"))
        return ["bytes" if kind is bytes else "buffer"]
    if kind is np.ndarray:
        return _written_array(value, buffers)
    if kind in (list, tuple) and _are_many_whole(value):
        buffers.append(memoryview(numbers_of("q", value)).cast("B"))
        return ["whole", kind.__name__]
    if kind not in _KINDS:
        raise TypeError(f"a {kind.__name__} does not travel: {value!r:.80}")
    parts_of, _ = _KINDS[kind]
    return [kind.__name__, *[_tree(part, buffers, levels - 1) for part in parts_of(value)]]


def _are_many_whole(values: Sequence[Any]) -> bool:
    return len(values) >= _MANY and all(type(value) is int and value in _WHOLE for value in values)


def _written_array(array: np.ndarray, buffers: list[Buffer]) -> list[Any]:
    if not can_travel(array):
        raise TypeError(f"an array of {array.dtype} does not travel")
    order: Literal["F", "C"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    buffers.append(np.ascontiguousarray(array.reshape(-1, order=order)).view(np.uint8).data)
    return ["array", array.dtype.str, [*array.shape], order]


def _value(tree: Any, left: Iterator[Buffer], levels: int) -> Any:
    """What `_tree` was made of."""
    if type(tree) is int and tree not in _WHOLE:
        raise ValueError("a whole number of more than 64 bits")
    if type(tree) not in (dict, list):
        return tree
    if not levels:
        raise ValueError(f"it is deeper than {_MOST_LEVELS} levels")
    if type(tree) is dict:
        return {key: _value(part, left, levels - 1) for key, part in tree.items()}
    if not tree or type(tree[0]) is not str:
        raise ValueError(f"{tree!r:.80} begins with no kind of value")
    kind, *parts = tree
    if kind in _HELD:
        return _HELD[kind](parts, left)
    if kind not in _BUILDERS:
        raise ValueError(f"{kind!r:.80} is no kind of value")
    return _BUILDERS[kind]([_value(part, left, levels - 1) for part in parts])


def _read_array(parts: list[Any], left: Iterator[Buffer]) -> np.ndarray:
    code, shape, order = _given(parts, str, list, str)
    if not _DTYPE.fullmatch(code) or order not in ("C", "F"):
        raise ValueError(f"no array is of type {code!r:.80} and order {order!r:.80}")
    if len(shape) > _MOST_AXES or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"no array is of shape {shape!r:.80}")
    data = _next(left)
    try:
        dtype = np.dtype(code)
        if dtype.itemsize * prod(shape) != len(data):
            raise ValueError(f"{len(data)} bytes, not {shape!r:.80} of {dtype}")
        array: np.ndarray = np.ndarray(tuple(shape), dtype, data, order=order)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"no array is of type {code}: {error}") from error
    _check_values(array)
    return array if array.flags.aligned else array.copy(order="K")


def _check_values(array: np.ndarray) -> None:
    """Refuse texts and truths of values that they cannot have, over which NumPy and Python fall.

    Raises:
        ValueError: there are some.
    """
    flat, kind = array.reshape(-1, order="A"), array.dtype.kind
    if kind == "U" and flat.view(np.dtype("u4").newbyteorder(array.dtype.byteorder)).max(initial=0) > sys.maxunicode:
        raise ValueError(f"an array of {array.dtype} with a letter that no text has")
    if kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array of truths with one that is no truth")


def _given(parts: list[Any], *kinds: type) -> list[Any]:
    """The parts of a value, which must be of these types."""
    if [type(part) for part in parts] != [*kinds]:
        raise ValueError(f"{parts!r:.80}, not {', '.join(kind.__name__ for kind in kinds) or 'nothing'}")
    return parts


def _next(left: Iterator[Buffer]) -> Buffer:
    data = next(left, None)
    if data is None:
        raise ValueError("it names more buffers than came with it")
    return data


def _read_whole(parts: list[Any], left: Iterator[Buffer]) -> list[int] | tuple[int, ...]:
    (kind,) = _given(parts, str)
    numbers = numbers_of("q")
    numbers.frombytes(_next(left))
    return tuple(numbers) if kind == "tuple" else list(numbers)


def _read_bytes(parts: list[Any], left: Iterator[Buffer]) -> bytes:
    _given(parts)
    return bytes(_next(left))


def _read_buffer(parts: list[Any], left: Iterator[Buffer]) -> memoryview:
    _given(parts)
    return memoryview(_next(left))


def _fraction(parts: list[Any]) -> Fraction:
    numerator, denominator = _given(parts, int, int)
    if denominator < 1:
        raise ValueError(f"{denominator} is no denominator")
    return Fraction(numerator, denominator)


def _fields(parts: list[Any], kind: type[Medium | VideoIndex]) -> dict[str, Any]:
    """What is to be given to a dataclass, whose own arguments it might be taken for otherwise."""
    (values,) = _given(parts, dict)
    if unknown := values.keys() - {field.name for field in fields(kind)}:
        raise ValueError(f"{min(unknown)!r:.80}, which no {kind.__name__!r} has")
    return dict(values)


# What lies in buffers, by name.
_HELD: dict[str, Callable[[list[Any], Iterator[Buffer]], Any]] = {
    "whole": _read_whole,
    "bytes": _read_bytes,
    "buffer": _read_buffer,
    "array": _read_array,
}
# Everything else: what it is made of, and how it is made of them.
_KINDS: dict[type, tuple[Callable[[Any], Iterable[Any]], Callable[[list[Any]], Any]]] = {
    list: (list, list),
    tuple: (list, tuple),
    type(Path()): (lambda path: [str(path)], lambda parts: Path(*_given(parts, str))),
    Fraction: (lambda number: [number.numerator, number.denominator], _fraction),
    BadFrame: (lambda problem: problem.args, lambda parts: BadFrame(*_given(parts, str, str))),
    InputError: (lambda problem: problem.args, lambda parts: InputError(*_given(parts, str))),
    Medium: (lambda medium: [vars(medium)], lambda parts: Medium(**_fields(parts, Medium))),
    VideoIndex: (lambda video: [vars(video)], lambda parts: VideoIndex(**_fields(parts, VideoIndex))),
}
_BUILDERS = {kind.__name__: build for kind, (_, build) in _KINDS.items()}
