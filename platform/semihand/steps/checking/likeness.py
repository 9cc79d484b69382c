"""Near duplicates: pictures that are the same but for their coding, size or a little of their border.

Every picture is kept as 32 x 32 greys. faiss finds, by the low frequencies of these and of their middles (so that a
picture meets its own crop), the few that may be the same; each such pair is laid upon one another and compared. Where
that shows the same scene with another hand in it, the picture is placed in that scene and sought once more: before a
resting camera hundreds of frames are nearer to a crop than the one it was cut from. How often this is wrong is
measured by tests/bench/check_rates.py: docs/check_frames.md.
"""

from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy.fft import dctn

from semihand.steps.checking.alignment import SIDE, Comparison, Placing, compare, inverse, read_at
from semihand.steps.poses import one_thread

#: Pairs are the same picture from this correlation on, if no patch differs by more than this share of the contrast.
LEAST_CORRELATION, MOST_PATCH_CHANGE = 0.93, 0.8

_FREQUENCIES = 9
_BORDERS = (0.0, 0.06, 0.12)  # shares of a side that may have been cut off
_NEIGHBOURS = 6  # of which a picture and its own middles may be three
_LEAST_COSINE = 0.8
_COMPARABLE = 4  # a group so many times as large is only looked up, for the time that it takes
_AT_ONCE = 512  # pictures or pairs: their arrays of floats are a hundred times as large as the thumbnails

Thumbs = UInt8[np.ndarray, "pictures 32 32"]
Numbers = Int[np.ndarray, " _"]
Pairs = Int[np.ndarray, "_ 2"]


class LikePair(NamedTuple):
    """Two pictures that are nearly the same, by their numbers, and their correlation once aligned."""

    first: int
    second: int
    correlation: float


def thumbnail(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "32 32"]:
    """What is kept of a picture."""
    small = Image.fromarray(picture).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=3.0)
    return np.asarray(small)


def like_pairs(thumbs: Thumbs, first: Numbers, second: Numbers) -> list[LikePair]:
    """Near duplicates between two groups of pictures, the most alike first.

    Args:
        thumbs: all pictures.
        first: numbers of one group's pictures.
        second: numbers of the other's.
    """
    if not len(first) or not len(second):
        return []
    few, many = (first, second) if len(first) <= len(second) else (second, first)
    index = _index(thumbs[many])
    pairs = _sought(index, thumbs, few, many)
    if len(many) <= _COMPARABLE * len(few):  # what many of one group resemble finds its own only if it asks itself
        pairs = np.concatenate([pairs, _sought(_index(thumbs[few]), thumbs, many, few)[:, ::-1]])
    pairs = _unique(pairs)
    found = _compared(thumbs, pairs)
    missed = _same_scene(pairs, found)
    places = _neighbours(index, _descriptors(thumbs[pairs[missed, 0]], inverse(found.placing[missed])))
    more = _unique(_numbered(places, pairs[missed, 0], many), but=pairs)
    alike = _alike(pairs, found) + _alike(more, _compared(thumbs, more))
    ordered = alike if few is first else [LikePair(other, one, value) for one, other, value in alike]
    return sorted(ordered, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _index(thumbs: Thumbs) -> faiss.IndexFlatIP:
    """Pictures and their middles."""
    index = faiss.IndexFlatIP(_FREQUENCIES**2 - 1)
    for border in _BORDERS:
        index.add(_descriptors(thumbs, _middles(len(thumbs), border)))
    return index


def _sought(index: faiss.IndexFlatIP, thumbs: Thumbs, asking: Numbers, held: Numbers) -> Pairs:
    """Pictures that ask, whole and by their middles, and what lies near them among those that an index holds."""
    found = [_neighbours(index, _descriptors(thumbs[asking], _middles(len(asking), border))) for border in _BORDERS]
    return _numbered(np.concatenate(found), asking, held)


def _middles(num: int, border: float) -> Placing:
    """Pictures without a share of their border."""
    return np.tile(np.array([1 - border, 0, 1 - border, 0], np.float32), (num, 1))


def _descriptors(thumbs: Thumbs, placing: Placing) -> Float[np.ndarray, "pictures 80"]:
    """Low frequencies without the mean, of length one, of pictures read at their places."""
    found = np.empty((len(thumbs), _FREQUENCIES**2 - 1), np.float32)
    for start in range(0, len(thumbs), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        pixels, _ = read_at(thumbs[some].reshape(-1, SIDE**2).astype(np.float32), placing[some])
        spectrum = dctn(pixels.reshape(-1, SIDE, SIDE), axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES]
        spectrum = spectrum.reshape(len(pixels), -1)[:, 1:]
        found[some] = spectrum / np.maximum(np.linalg.norm(spectrum, axis=1, keepdims=True), 1e-6)
    return found


def _neighbours(index: faiss.IndexFlatIP, descriptors: Float[np.ndarray, "pictures 80"]) -> Pairs:
    """Pictures asked for, by their place, and what lies near them in the index."""
    if not len(descriptors):
        return np.empty((0, 2), np.int64)
    with one_thread():
        cosines, places = index.search(descriptors, _NEIGHBOURS)
    asked, rank = np.nonzero((cosines >= _LEAST_COSINE) & (places >= 0))
    return np.stack([asked, places[asked, rank]], axis=-1)


def _numbered(places: Pairs, asking: Numbers, held: Numbers) -> Pairs:
    """Places in the groups as numbers of pictures; an index holds every picture of its group several times."""
    return np.stack([asking[places[:, 0]], held[places[:, 1] % len(held)]], axis=-1)


def _unique(pairs: Pairs, but: Pairs | None = None) -> Pairs:
    known = set() if but is None else set(map(tuple, but.tolist()))
    return np.array(sorted(set(map(tuple, pairs.tolist())) - known), np.int64).reshape(-1, 2)


def _compared(thumbs: Thumbs, pairs: Pairs) -> Comparison:
    parts = [
        compare(*(thumbs[pairs[start : start + _AT_ONCE, side]].astype(np.float32) for side in (0, 1)))
        for start in range(0, max(len(pairs), 1), _AT_ONCE)
    ]
    return Comparison(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _is_same(found: Comparison) -> np.ndarray:
    same: np.ndarray = (found.correlation >= LEAST_CORRELATION) & (found.change <= MOST_PATCH_CHANGE)
    return same


def _same_scene(pairs: Pairs, found: Comparison) -> Numbers:
    """Of each picture without a near duplicate the pair that shows its scene best, if one does."""
    done = set(pairs[_is_same(found), 0].tolist())
    best: dict[int, int] = {}
    for row in np.argsort(-found.correlation, kind="stable").tolist():
        number = int(pairs[row, 0])
        if number not in done and found.correlation[row] >= LEAST_CORRELATION:
            best.setdefault(number, row)
    return np.array(sorted(best.values()), np.int64)


def _alike(pairs: Pairs, found: Comparison) -> list[LikePair]:
    same = _is_same(found)
    chosen = zip(pairs[same].tolist(), found.correlation[same].tolist(), strict=True)
    return [LikePair(one, other, value) for (one, other), value in chosen]
