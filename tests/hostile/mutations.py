"""Valid bytes and values turned into damaged ones; a function of the generator alone."""

import json
import math
from typing import Any

import numpy as np

_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes after one to four mutations."""
    for _ in range(rng.integers(1, 5)):
        data = _MUTATIONS[rng.integers(len(_MUTATIONS))](bytearray(data or b"\0"), rng)
    return bytes(data)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    # Headers lie at the beginning, directories at the end.
    where = rng.integers(4)
    span = len(data) if where > 1 else min(len(data), 64)
    place = int(rng.integers(span))
    return len(data) - 1 - place if where == 1 else place


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 9)):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _noise(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, size = _place(data, rng), int(rng.integers(1, 40))
    data[start : start + size] = rng.bytes(size)
    return data


def _zeros(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, size = _place(data, rng), int(rng.integers(1, 4096))
    data[start : start + size] = bytes(min(size, len(data) - start))
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data) + 1))]


def _remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = _place(data, rng)
    del data[start : start + int(rng.integers(1, 64))]
    return data


def _repeat(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, size = _place(data, rng), int(rng.integers(1, 256))
    data[start:start] = data[start : start + size] * int(rng.integers(1, 20))
    return data


def _length(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, size = _place(data, rng), int(2 ** rng.integers(0, 4))
    value = _LENGTHS[rng.integers(len(_LENGTHS))] & (256**size - 1)
    data[start : start + size] = value.to_bytes(size, "big" if rng.integers(2) else "little")
    return data


def _junk(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data + rng.bytes(int(rng.integers(1, 2000)))


_MUTATIONS = (_flip, _flip, _noise, _noise, _zeros, _cut, _remove, _repeat, _length, _length, _junk)


def odd_value(rng: np.random.Generator) -> Any:
    """Something that does not belong where a value of an annotation stands."""
    deep: Any = 1
    for _ in range(int(rng.integers(1, 400))):
        deep = [deep] if rng.integers(2) else {"a": deep}
    odd = [
        None, True, -1, 0, 2**63, 10**400, -(2**31), 1e308, math.nan, math.inf, -math.inf, "", "x" * 5000, "\ud800",
        "../../etc/passwd", "/dev/zero", "a\0b", "\u202e", [], {}, [[]], [None] * 21, [[1, 2]] * 21, {"": {}}, deep,
        [math.nan] * 3, "1e5", "NaN", [1] * 3000,
    ]  # fmt: skip
    return odd[rng.integers(len(odd))]


def mutate_value(value: Any, rng: np.random.Generator) -> Any:
    """A tree of dicts and lists with one to three of its nodes exchanged, dropped or doubled."""
    for _ in range(rng.integers(1, 4)):
        value = _changed(value, rng, int(rng.integers(0, 6)))
    return value


def _changed(value: Any, rng: np.random.Generator, depth: int) -> Any:
    if depth == 0 or not isinstance(value, dict | list) or not value:
        return odd_value(rng)
    if isinstance(value, dict):
        keys = list(value)
        key = keys[rng.integers(len(keys))]
        rest = {name: part for name, part in value.items() if name != key}
        return rest if rng.integers(8) == 0 else rest | {key: _changed(value[key], rng, depth - 1)}
    place = int(rng.integers(len(value)))
    how = rng.integers(8)
    if how == 0:
        return value[:place]
    if how == 1:
        return value + value[place:]
    return [*value[:place], _changed(value[place], rng, depth - 1), *value[place + 1 :]]


def as_json(value: Any, rng: np.random.Generator) -> bytes:
    """A tree as JSON, sometimes with a key twice."""
    text = json.dumps(value)
    if rng.integers(6) == 0 and '"' in text:
        key = text.index('"')
        text = text[:key] + '"twice": 1, "twice": 2, ' + text[key:]
    return text.encode("utf-8", "surrogatepass")
