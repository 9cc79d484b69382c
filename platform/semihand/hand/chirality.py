"""Chirality: whether joints are a left or a right hand's, from the way the fingers bend and the thumb stands.

A mirror keeps every length and every bend, so that only what is odd under it can tell: fingers bend towards the palm,
and the thumb's joints stand on the palm's side of the plane through wrist and knuckles. Each alone fails on some hands
(a flat hand has no bend to speak of, a thumb laid beside the palm no height), their sum on next to none. Both are
negated exactly by a mirror, so that left and right hands are told equally well.
"""

import numpy as np
from jaxtyping import Float

from semihand.hand.skeleton import FINGERS, MIDDLE_MCP, WRIST

#: Scores between this and its negative say nothing; of right hands with joints off by 3 mm none scores below -0.25.
DECIDED = 0.25

_CHAINS = np.asarray([FINGERS[name] for name in ("index", "middle", "ring", "little")])
_KNUCKLES = _CHAINS[:, 0]
_THUMB = np.asarray(FINGERS["thumb"][1:3])


def side_score(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch"]:
    """Above `DECIDED` for a right hand, below -`DECIDED` for a left one; NaN where too little is known.

    The mean over four fingers of sin(bend) at the middle and last joint, signed towards the palm, plus the heights of
    the thumb's two middle joints over the palm's plane, in lengths of the palm. Without the wrist (or the thumb) the
    bends decide alone, without bends the thumb.

    Args:
        joints_mm: joints in our order, any unit, any right-handed frame (the camera frame is one); NaN: not known.
    """
    joints_mm = joints_mm.astype(np.float64)
    parts = np.stack([_bends(joints_mm), _thumb_heights(joints_mm)], axis=-1)
    known = np.isfinite(parts)
    score: np.ndarray = np.where(known.any(-1), np.where(known, parts, 0.0).sum(-1), np.nan)
    return score


def _bends(joints_mm: np.ndarray) -> np.ndarray:
    """Mean over the fingers of the sines of both bends about the palm's own axis, little finger to index."""
    bones = _unit(np.diff(joints_mm[..., _CHAINS, :], axis=-2))
    turns = np.cross(bones[..., :-1, :], bones[..., 1:, :]).sum(-2)
    across = _unit(joints_mm[..., _KNUCKLES[0], :] - joints_mm[..., _KNUCKLES[-1], :])
    each = (turns * across[..., None, :]).sum(-1)
    known = np.isfinite(each)
    total = np.where(known, each, 0.0).sum(-1)
    mean: np.ndarray = np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan)
    return mean


def _thumb_heights(joints_mm: np.ndarray) -> np.ndarray:
    """Heights of the thumb's MCP and IP joint on a right hand's palmar side, in lengths of the palm, summed."""
    wrist_mm = joints_mm[..., WRIST, :]
    along = joints_mm[..., _KNUCKLES, :].mean(-2) - wrist_mm
    across = joints_mm[..., _KNUCKLES[0], :] - joints_mm[..., _KNUCKLES[-1], :]
    palmar = _unit(np.cross(across, along))
    palm_mm = np.linalg.norm(joints_mm[..., MIDDLE_MCP, :] - wrist_mm, axis=-1)
    heights_mm = ((joints_mm[..., _THUMB, :] - wrist_mm[..., None, :]) * palmar[..., None, :]).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(heights_mm.sum(-1) / palm_mm)


def _unit(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        units: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return units
