"""Alignment: two thumbnails laid upon one another by scale and shift, and how far what both show is the same.

Inverse compositional alignment (Baker & Matthews, Lucas-Kanade 20 years on, IJCV 56(3), 2004), many pairs at a time,
from blurred to sharp. The comparison is of the whole and of every patch: a hand that moved before a resting background
changes some patches all over.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

SIDE = 32

_BLURS = ((1.5, 6), (0.7, 5))  # px of the thumbnails, and steps at each
_PATCH = 4
_LEAST_CONTRAST = 0.5  # greys; a picture with less is blank
_SCALES, _MOST_SHIFT = (0.85, 1.18), 0.16  # 15 % cut off, all of it on one side

Thumbs = Float[np.ndarray, "pictures 32 32"]
Pixels = Float[np.ndarray, "pictures 1024"]
#: Scale and shift along x, then along y: x' = scale x + shift, in half sides from the middle.
Placing = Float[np.ndarray, "pictures 4"]

_AXIS = ((np.arange(SIDE) + 0.5) / (SIDE / 2) - 1).astype(np.float32)
_Y, _X = (axis.ravel() for axis in np.meshgrid(_AXIS, _AXIS, indexing="ij"))


class Comparison(NamedTuple):
    """Pairs of pictures, once aligned.

    Attributes:
        correlation: of what both show.
        change: the root-mean-square difference of the patch that differs most, as a share of the contrast.
        placing: where the second is to be read so that it looks like the first.
    """

    correlation: Float[np.ndarray, " pictures"]
    change: Float[np.ndarray, " pictures"]
    placing: Placing


def compare(first: Thumbs, second: Thumbs) -> Comparison:
    """How alike pictures are, pair by pair."""
    placing = _aligned(first, second)
    seen, inside = read_at(_flat(second), placing)
    ours, theirs = _normalised(_flat(first), inside), _normalised(seen, inside)
    correlation = (ours * theirs).sum(1) / np.maximum(inside.sum(1), 1)
    difference, count = (_patches(values) for values in ((ours - theirs) ** 2, inside.astype(np.float32)))
    enough = count >= _PATCH**2 / 2
    change = np.sqrt(np.where(enough, difference / np.maximum(count, 1), 0)).max(1)
    return Comparison(correlation, change, placing)


def inverse(placing: Placing) -> Placing:
    """Where the first is to be read so that it looks like the second."""
    scale, shift = placing[:, ::2], placing[:, 1::2]
    turned: np.ndarray = np.stack([1 / scale, -shift / scale], axis=-1).reshape(-1, 4)
    return turned


def read_at(pixels: Pixels, placing: Placing) -> tuple[Pixels, Bool[np.ndarray, "pictures 1024"]]:
    """Pictures read bilinearly at other places, and which of these lie inside."""
    x = (placing[:, :1] * _X + placing[:, 1:2] + 1) * (SIDE / 2) - 0.5
    y = (placing[:, 2:3] * _Y + placing[:, 3:] + 1) * (SIDE / 2) - 0.5
    inside = (x >= 0) & (x <= SIDE - 1) & (y >= 0) & (y <= SIDE - 1)
    left, top = (np.clip(np.floor(at), 0, SIDE - 2).astype(np.int64) for at in (x, y))
    right, below = np.clip(x - left, 0, 1), np.clip(y - top, 0, 1)
    corner = top * SIDE + left
    upper, upper_right, lower, lower_right = (
        np.take_along_axis(pixels, corner + step, 1) for step in (0, 1, SIDE, SIDE + 1)
    )
    above, under = (1 - right) * upper + right * upper_right, (1 - right) * lower + right * lower_right
    return (1 - below) * above + below * under, inside


def _aligned(first: Thumbs, second: Thumbs) -> Placing:
    placing = np.tile(np.array([1, 0, 1, 0], np.float32), (len(first), 1))
    everywhere = np.ones((len(first), SIDE**2), bool)
    for blur, num_steps in _BLURS:
        ours, theirs = (_flat(gaussian_filter(each, (0, blur, blur), mode="nearest")) for each in (first, second))
        whole = _normalised(ours, everywhere).reshape(first.shape)
        slope_y, slope_x = (_flat(slope) for slope in np.gradient(whole, 2 / SIDE, axis=(1, 2)))
        change = np.stack([slope_x * _X, slope_x, slope_y * _Y, slope_y], axis=-1)
        back = np.linalg.inv(change.transpose(0, 2, 1) @ change + np.eye(4, dtype=np.float32))
        for _ in range(num_steps):
            seen, inside = read_at(theirs, placing)
            off = (_normalised(seen, inside) - _normalised(ours, inside)) * inside
            _undo(placing, (back @ (change.transpose(0, 2, 1) @ off[..., None]))[..., 0])
    return placing


def _undo(placing: Placing, step: Float[np.ndarray, "pictures 4"]) -> None:
    """Put the inverse of a small step before the placing, which stays within what a crop can be."""
    for scale, shift in ((0, 1), (2, 3)):
        shrink = 1 / (1 + np.clip(step[:, scale], -0.3, 0.3))
        placing[:, shift] -= placing[:, scale] * step[:, shift] * shrink
        placing[:, scale] *= shrink
        np.clip(placing[:, scale], *_SCALES, out=placing[:, scale])
        np.clip(placing[:, shift], -_MOST_SHIFT, _MOST_SHIFT, out=placing[:, shift])


def _normalised(pixels: Pixels, inside: Bool[np.ndarray, "pictures 1024"]) -> Pixels:
    """Zero outside; inside with mean zero and deviation one, or zero where there is no contrast."""
    count = np.maximum(inside.sum(1, keepdims=True), 1)
    centred = (pixels - (pixels * inside).sum(1, keepdims=True) / count) * inside
    deviation = np.sqrt((centred**2).sum(1, keepdims=True) / count)
    return np.where(deviation < _LEAST_CONTRAST, 0, centred / np.maximum(deviation, 1e-3)).astype(np.float32)


def _patches(pixels: Pixels) -> Float[np.ndarray, "pictures 64"]:
    """Sums over patches."""
    num = SIDE // _PATCH
    sums: np.ndarray = pixels.reshape(-1, num, _PATCH, num, _PATCH).sum((2, 4))
    return sums.reshape(-1, num**2)


def _flat(thumbs: Thumbs) -> Pixels:
    return thumbs.reshape(-1, SIDE**2)
