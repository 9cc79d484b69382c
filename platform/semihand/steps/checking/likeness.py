"""Near duplicates: pictures that are the same but for their coding, size or a little of their border.

Every picture is kept as 32 x 32 greys. faiss finds, by the low frequencies of these and of their middles (so that a
picture meets its own crop), the few that may be the same; each such pair is then laid upon one another by scale and
shift (inverse compositional alignment, Baker & Matthews, IJCV 56(3), 2004) and compared as a whole and patch by patch:
a hand that moved before a resting background changes some patches all over.

Measured by tests/bench/check_rates.py: docs/check_frames.md.
"""

from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from semihand.steps.poses import one_thread

SIDE = 32
#: Pairs are the same picture from this correlation on, if no patch differs by more than this share of the contrast.
LEAST_CORRELATION, MOST_PATCH_CHANGE = 0.93, 0.8

_FREQUENCIES = 9
_BORDERS = (0.0, 0.06, 0.12)  # shares of a side that may have been cut off
_NEIGHBOURS = 6  # of which a picture and its own middles may be three
_LEAST_COSINE = 0.8
_AT_ONCE = 512  # pictures or pairs: their arrays of floats are a hundred times as large as the thumbnails
_BLURS = ((1.5, 6), (0.7, 5))  # px of the thumbnails, and steps of the alignment at each
_PATCH = 4
_LEAST_CONTRAST = 0.5  # greys; a picture with less is blank

Thumbs = Float[np.ndarray, "pictures 32 32"]
Pixels = Float[np.ndarray, "pictures 1024"]

_AXIS = ((np.arange(SIDE) + 0.5) / (SIDE / 2) - 1).astype(np.float32)
_Y, _X = (axis.ravel() for axis in np.meshgrid(_AXIS, _AXIS, indexing="ij"))


class LikePair(NamedTuple):
    """Two pictures that are nearly the same, by their numbers, and their correlation once aligned."""

    first: int
    second: int
    correlation: float


def thumbnail(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "32 32"]:
    """What is kept of a picture."""
    small = Image.fromarray(picture).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=3.0)
    return np.asarray(small)


def like_pairs(
    thumbs: UInt8[np.ndarray, "pictures 32 32"], first: Int[np.ndarray, " _"], second: Int[np.ndarray, " _"]
) -> list[LikePair]:
    """Near duplicates between two groups of pictures, the most alike first.

    Args:
        thumbs: all pictures.
        first: numbers of one group's pictures.
        second: numbers of the other's.
    """
    if not len(first) or not len(second):
        return []
    few, many = (first, second) if len(first) <= len(second) else (second, first)
    pairs = _candidates(thumbs, few, many)
    found = []
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        correlation, change = compare(*(thumbs[some[:, side]].astype(np.float32) for side in (0, 1)))
        same = (correlation >= LEAST_CORRELATION) & (change <= MOST_PATCH_CHANGE)
        found += [(*pair, float(value)) for pair, value in zip(some[same].tolist(), correlation[same], strict=True)]
    ordered = found if few is first else [(other, one, value) for one, other, value in found]
    return sorted((LikePair(*pair) for pair in ordered), key=lambda pair: (-pair.correlation, pair.first, pair.second))


def compare(a: Thumbs, b: Thumbs) -> tuple[Float[np.ndarray, " pictures"], Float[np.ndarray, " pictures"]]:
    """How alike pictures are, pair by pair, once laid upon one another.

    Returns:
        The correlation of what both show, and the root-mean-square difference of the patch that differs most, as a
        share of the contrast.
    """
    seen, inside = _warped(_flat(b), _alignment(a, b))
    ours, theirs = _normalised(_flat(a), inside), _normalised(seen, inside)
    correlation = (ours * theirs).sum(1) / np.maximum(inside.sum(1), 1)
    difference, count = (_patches(values) for values in ((ours - theirs) ** 2, inside.astype(np.float32)))
    enough = count >= _PATCH**2 / 2
    change = np.sqrt(np.where(enough, difference / np.maximum(count, 1), 0)).max(1)
    return correlation, change


def _candidates(
    thumbs: np.ndarray, few: Int[np.ndarray, " _"], many: Int[np.ndarray, " _"]
) -> Int[np.ndarray, "pairs 2"]:
    """The nearest neighbours of each picture of one group in the other."""
    index = faiss.IndexFlatIP(_FREQUENCIES**2 - 1)
    for border in _BORDERS:
        index.add(_descriptors(thumbs[many], border))
    pairs = set()
    for border in _BORDERS:
        with one_thread():
            cosines, places = index.search(_descriptors(thumbs[few], border), _NEIGHBOURS)
        near, rank = np.nonzero((cosines >= _LEAST_COSINE) & (places >= 0))
        pairs |= set(zip(few[near].tolist(), many[places[near, rank] % len(many)].tolist(), strict=True))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _descriptors(thumbs: UInt8[np.ndarray, "pictures 32 32"], border: float) -> Float[np.ndarray, "pictures 80"]:
    """Low frequencies without the mean, of length one, of the pictures without a share of their border."""
    found = np.empty((len(thumbs), _FREQUENCIES**2 - 1), np.float32)
    for start in range(0, len(thumbs), _AT_ONCE):
        pixels = _flat(thumbs[start : start + _AT_ONCE].astype(np.float32))
        if border:
            pixels, _ = _warped(pixels, np.tile(np.float32([1 - border, 0, 1 - border, 0]), (len(pixels), 1)))
        spectrum = dctn(pixels.reshape(-1, SIDE, SIDE), axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES]
        spectrum = spectrum.reshape(len(pixels), -1)[:, 1:]
        lengths = np.linalg.norm(spectrum, axis=1, keepdims=True)
        found[start : start + _AT_ONCE] = spectrum / np.maximum(lengths, 1e-6)
    return found


def _alignment(a: Thumbs, b: Thumbs) -> Float[np.ndarray, "pictures 4"]:
    """Scale and shift along x and y, in half sides, at which b is to be read so that it looks like a."""
    p = np.tile(np.float32([1, 0, 1, 0]), (len(a), 1))
    everywhere = np.ones((len(a), SIDE**2), bool)
    for blur, num_steps in _BLURS:
        ours, theirs = (_flat(gaussian_filter(each, (0, blur, blur), mode="nearest")) for each in (a, b))
        whole = _normalised(ours, everywhere).reshape(a.shape)
        slope_y, slope_x = (_flat(slope) for slope in np.gradient(whole, 2 / SIDE, axis=(1, 2)))
        change = np.stack([slope_x * _X, slope_x, slope_y * _Y, slope_y], axis=-1)
        back = np.linalg.inv(change.transpose(0, 2, 1) @ change + np.eye(4, dtype=np.float32))
        for _ in range(num_steps):
            seen, inside = _warped(theirs, p)
            off = (_normalised(seen, inside) - _normalised(ours, inside)) * inside
            _undo(p, (back @ (change.transpose(0, 2, 1) @ off[..., None]))[..., 0])
    return p


def _undo(p: np.ndarray, step: np.ndarray) -> None:
    """Put the inverse of a small step before the alignment, which stays within what a crop can be."""
    for scale, shift in ((0, 1), (2, 3)):
        shrink = 1 / (1 + np.clip(step[:, scale], -0.3, 0.3))
        p[:, shift] -= p[:, scale] * step[:, shift] * shrink
        p[:, scale] *= shrink
        np.clip(p[:, scale], 0.75, 1.33, out=p[:, scale])
        np.clip(p[:, shift], -0.3, 0.3, out=p[:, shift])


def _warped(pixels: Pixels, p: Float[np.ndarray, "pictures 4"]) -> tuple[Pixels, Bool[np.ndarray, "pictures 1024"]]:
    """Pictures read bilinearly at scaled and shifted places, and which of these lie inside."""
    x = (p[:, :1] * _X + p[:, 1:2] + 1) * (SIDE / 2) - 0.5
    y = (p[:, 2:3] * _Y + p[:, 3:] + 1) * (SIDE / 2) - 0.5
    inside = (x >= 0) & (x <= SIDE - 1) & (y >= 0) & (y <= SIDE - 1)
    left, top = (np.clip(np.floor(at), 0, SIDE - 2).astype(np.int64) for at in (x, y))
    right, below = np.clip(x - left, 0, 1), np.clip(y - top, 0, 1)
    corner = top * SIDE + left
    upper, upper_right, lower, lower_right = (
        np.take_along_axis(pixels, corner + step, 1) for step in (0, 1, SIDE, SIDE + 1)
    )
    read = (1 - below) * ((1 - right) * upper + right * upper_right) + below * (
        (1 - right) * lower + right * lower_right
    )
    return read, inside


def _normalised(pixels: Pixels, inside: Bool[np.ndarray, "pictures 1024"]) -> Pixels:
    """Zero outside; inside with mean zero and deviation one, or zero where there is no contrast."""
    count = np.maximum(inside.sum(1, keepdims=True), 1)
    centred = (pixels - (pixels * inside).sum(1, keepdims=True) / count) * inside
    deviation = np.sqrt((centred**2).sum(1, keepdims=True) / count)
    return np.where(deviation < _LEAST_CONTRAST, 0, centred / np.maximum(deviation, 1e-3)).astype(np.float32)


def _patches(pixels: Pixels) -> Float[np.ndarray, "pictures 64"]:
    """Sums over patches."""
    num = SIDE // _PATCH
    return pixels.reshape(-1, num, _PATCH, num, _PATCH).sum((2, 4)).reshape(-1, num * num)


def _flat(thumbs: Thumbs) -> Pixels:
    return thumbs.reshape(len(thumbs), -1)
