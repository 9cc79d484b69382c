"""Skin as it looks: ten tones, and detail looked up in a grid about the rest hand (nails, creases, blotches)."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from semihand.frames.synthetic import anatomy
from semihand.hand.finger_axes import OWNERS, joint_axes
from semihand.hand.skeleton import FINGERS

#: ten tones from light to dark in linear RGB, after the Monk skin tone scale's sRGB values
TONES = (
    np.array(
        [
            [246, 237, 228], [243, 231, 219], [247, 234, 208], [234, 218, 186], [215, 189, 150],
            [160, 126, 86], [130, 92, 67], [96, 65, 52], [58, 49, 42], [41, 36, 32],
        ]
    ) / 255.0
) ** 2.2  # fmt: skip
#: channels of the detail grid
NAIL, CREASE, PALM, FLUSH, BLOTCH = range(5)

_LOW_MM = np.array([-64.0, -44.0, -56.0])
_STEP_MM = 2.0
_SHAPE = (80, 122, 44)
#: steps in the flat grid from a cell's first corner to its eight
_NEIGHBOURS = np.asarray(np.ravel_multi_index(tuple(np.indices((2, 2, 2)).reshape(3, 8)), _SHAPE))


def skin_colour(
    texture_mm: Float[np.ndarray, "3 N"],
    tone: Float[np.ndarray, "3"],
    nail: Float[np.ndarray, "3"],
    relief: float,
) -> Float[np.ndarray, "3 N"]:
    """Linear RGB of skin at points of the rest hand.

    Args:
        texture_mm: anatomical frame.
        tone: the person's skin, linear RGB.
        nail: colour of the nails, linear RGB.
        relief: strength of creases and blotches, 1 is plain to see.
    """
    detail = _lookup(texture_mm)
    darkness = np.clip(1.0 - tone.mean() / 0.45, 0.0, 1.0)  # palms of dark skin are much lighter than the back
    palm_tone = tone + 0.5 * darkness * (np.array([0.70, 0.46, 0.38]) - tone)
    colour = _column(tone) + detail[PALM] * _column(palm_tone - tone)
    colour *= 1.0 - relief * 0.5 * detail[CREASE] * _column([0.8, 1.0, 1.05])
    colour *= 1.0 + relief * detail[BLOTCH] * _column([0.10, 0.16, 0.18])
    colour *= 1.0 + detail[FLUSH] * _column([0.05, -0.13, -0.12])
    return np.asarray(colour + detail[NAIL] * (_column(nail) - colour))


def _column(colour: ArrayLike) -> Float[np.ndarray, "3 1"]:
    return np.asarray(colour)[:, None]


def _lookup(texture_mm: Float[np.ndarray, "3 N"]) -> Float32[np.ndarray, "5 N"]:
    place = np.clip((texture_mm - _column(_LOW_MM)) / _STEP_MM, 0.0, np.array(_SHAPE)[:, None] - 1.001)
    cell = place.astype(np.intp)
    share = (place - cell).astype(np.float32)
    x, y, z = np.stack([1 - share, share], axis=1)
    weights = (x[:, None, None] * y[:, None] * z).reshape(8, -1)
    corners = np.ravel_multi_index(tuple(cell), _SHAPE) + _NEIGHBOURS[:, None]
    return np.asarray((weights * _detail().take(corners, axis=1)).sum(axis=1))


@lru_cache(maxsize=1)
def _detail() -> Float32[np.ndarray, "5 cells"]:
    axes = [low + _STEP_MM * np.arange(count) for low, count in zip(_LOW_MM, _SHAPE, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    grid = np.zeros((*_SHAPE, 5))
    grid[..., PALM] = 1.0 / (1.0 + np.exp((points[..., 2] + 3.0) / 1.2))
    joints = anatomy.rest_joints_mm()
    axes_of = joint_axes(joints @ anatomy.TO_MANO.T) @ anatomy.TO_MANO
    for finger, (first, *_) in FINGERS.items():
        for bone, owner in enumerate(OWNERS[finger]):
            start, end = joints[first + bone], joints[first + bone + 1]
            _draw_joint(
                grid, points, start, axes_of[owner - 1], anatomy.RADII_MM[finger][bone], finger == "thumb" and bone == 0
            )
            if bone == 2:
                _draw_nail(grid, points, start, end, axes_of[owner - 1])
    _draw_palm_lines(grid, points)
    grid[..., BLOTCH] = _blotches()
    return np.ascontiguousarray(grid.reshape(-1, 5).T.astype(np.float32))


def _draw_joint(
    grid: np.ndarray, points: np.ndarray, joint: np.ndarray, axes: np.ndarray, radius_mm: float, hidden: bool
) -> None:
    """A crease on the palmar side of a joint, wrinkles and a flush over the knuckle."""
    if hidden:
        return
    _flexion, dorsal, along = axes
    offset = points - joint
    # exponentials of the whole grid, most of which is far away, held up the first frame of every worker
    near = np.einsum("...i,...i", offset, offset) - (offset @ along) ** 2 < (radius_mm + 4.0) ** 2
    height, out = offset[near] @ along, offset[near] @ dorsal
    crease = np.where(out < 0, np.exp(-((height / 1.3) ** 2)), 0.0)
    knuckle = np.where(out > 0.3 * radius_mm, np.exp(-((height / 5.5) ** 2)), 0.0)
    ripples = 0.55 * knuckle * (0.6 + 0.4 * np.cos(height * 2.0))
    grid[near, CREASE] = np.maximum(grid[near, CREASE], np.maximum(crease, ripples))
    grid[near, FLUSH] = np.maximum(grid[near, FLUSH], 0.8 * knuckle)


def _draw_nail(grid: np.ndarray, points: np.ndarray, start: np.ndarray, end: np.ndarray, axes: np.ndarray) -> None:
    flexion, dorsal, along = axes
    length = float(np.linalg.norm(end - start))
    offset = points - start
    share, out, aside = offset @ along / length, offset @ dorsal, offset @ flexion
    plate = (
        (out > 1.5)
        & (np.abs(aside) < 0.95 * out + 1.0)
        & (share > 0.50)
        & (share < 1.02)
        & (np.abs(aside) < 9.0)
        & (out < 14)
    )
    grid[..., NAIL] = np.maximum(grid[..., NAIL], plate)
    flush = np.where(
        (np.abs(aside) < 12) & (np.abs(out) < 12), np.clip((share - 0.55) / 0.3, 0, 1) * (share < 1.3), 0.0
    )
    grid[..., FLUSH] = np.maximum(grid[..., FLUSH], 0.7 * flush)


def _draw_palm_lines(grid: np.ndarray, points: np.ndarray) -> None:
    across, up, palmar = points[..., 0], points[..., 1], points[..., 2] < -8.0
    heart = up - (66.0 + 0.22 * (across + 35.0) + 0.004 * (across + 10.0) ** 2)
    head = up - (58.0 + 0.25 * across)
    life = np.hypot((across - 34.0), (up - 36.0)) - 30.0
    for line, inside in (
        (heart, (across > -36) & (across < 16)),
        (head, (across > -28) & (across < 26)),
        (life, (across < 26) & (up > 4) & (up < 64)),
    ):
        grid[..., CREASE] = np.maximum(
            grid[..., CREASE], np.where(palmar & inside, 0.75 * np.exp(-((line / 1.3) ** 2)), 0.0)
        )


def _blotches() -> np.ndarray:
    noise = np.random.default_rng(11).standard_normal(_SHAPE)
    soft = gaussian_filter(noise, 3.0) * 18.0 + gaussian_filter(noise, 1.0) * 2.5
    return np.asarray(np.clip(soft, -2.0, 2.0) * 0.6)
