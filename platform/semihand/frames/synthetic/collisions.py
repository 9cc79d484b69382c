"""Whether fingers pass through each other: overlap of capsules, sampled along the bones, for many poses at once."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from semihand.frames.synthetic.anatomy import RADII_MM
from semihand.hand.skeleton import FINGERS

_STEPS = np.array([0.1, 0.37, 0.63, 0.9])


def overlap_mm(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch"]:
    """Deepest overlap of two different fingers' flesh, or of a fingertip with the palm; 0 where all keep clear."""
    points, radii, pairs = _points(joints_mm), _radii(), _pairs()
    left, right = np.nonzero(pairs)
    between = np.linalg.norm(points[..., left, :] - points[..., right, :], axis=-1)
    return np.asarray(np.maximum((radii[left] + radii[right] - between).max(axis=-1), 0.0))


def _bones() -> list[tuple[int, int]]:
    """Three bones of each finger, then the palm's four rays from knuckle to near the wrist."""
    fingers = [(first + k, first + k + 1) for first, *_ in FINGERS.values() for k in range(3)]
    return fingers + [(FINGERS[finger][0], 0) for finger in ("index", "middle", "ring", "little")]


def _points(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch N 3"]:
    bones = _bones()
    start, end = joints_mm[..., [a for a, _ in bones], :], joints_mm[..., [b for _, b in bones], :]
    points = start[..., None, :] + _STEPS[:, None] * (end - start)[..., None, :]
    return np.asarray(points.reshape(*joints_mm.shape[:-2], -1, 3))


@lru_cache(maxsize=1)
def _radii() -> Float[np.ndarray, " N"]:
    ends = [(RADII_MM[finger][k], RADII_MM[finger][k + 1]) for finger in FINGERS for k in range(3)]
    ends += [(11.0, 12.0)] * 4
    return np.concatenate([start + _STEPS * (end - start) for start, end in ends])


@lru_cache(maxsize=1)
def _pairs() -> Bool[np.ndarray, "N N"]:
    """Which points may not meet: of different fingers but for the webs, and fingers' ends with the palm."""
    owner = np.repeat([finger for finger in range(5) for _ in range(3)] + [5] * 4, len(_STEPS))
    bone = np.repeat([*(list(range(3)) * 5), 3, 3, 3, 3], len(_STEPS))
    step = np.tile(np.arange(len(_STEPS)), 19)
    apart = owner[:, None] < owner[None, :]
    near_web = (bone == 0) & (step < 2)
    webs = (near_web[:, None] & near_web[None, :]) | (near_web[:, None] & (owner == 5)[None, :])
    thumb_root = ((owner == 0) & (bone == 0))[:, None]  # the ball of the thumb is palm itself
    first_on_palm = (bone == 0)[:, None] & (owner == 5)[None, :]
    return np.asarray(apart & ~webs & ~thumb_root & ~first_on_palm)
