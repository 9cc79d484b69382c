"""Truth from corrected labels: what a person said of the picture, and the label's depth where that is sound."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from semihand.hand.bones import bone_lengths
from semihand.hand.camera import unproject

#: How far a bone may be off its owner's length: people place joints to 2 or 3 mm, and lengths are known to as much.
BONE_SLACK_MM = 8.0


class Placed(NamedTuple):
    """Corrected hands, put back into space at the depths of their labels.

    Attributes:
        joints_mm: camera frame; NaN for joints that the person left out.
        is_sound: whether the depths still fit.
    """

    joints_mm: Float[np.ndarray, "hands 21 3"]
    is_sound: Bool[np.ndarray, " hands"]


def place_corrected(
    uv_px: Float[np.ndarray, "hands 21 2"],
    label_mm: Float[np.ndarray, "hands 21 3"],
    K: Float[np.ndarray, "hands 3 3"],
    distortion: Float[np.ndarray, "hands 8"],
    lengths_mm: Float[np.ndarray, "hands 20"],
) -> Placed:
    """Every joint on the ray of the person's point, at the depth that the label gave it.

    Nobody looked at the depth, so it stands only where it agrees with what is known otherwise: all 21 joints are there
    and no bone is off its owner's length by more than 8 mm. A joint that was moved across a bone's length breaks this;
    a hand whose fingers were taken for one another at equal lengths does not, nor one that is mirrored in depth.

    Args:
        uv_px: from the person, px of the picture; NaN where a joint was left out.
        label_mm: what was corrected, camera frame.
        K: cameras.
        distortion: of their lenses, zeros where they have none.
        lengths_mm: of the owners' bones.
    """
    with np.errstate(invalid="ignore"):
        depth_mm = np.where(np.isfinite(uv_px).all(-1), label_mm[..., 2], np.nan)
        joints_mm = unproject(uv_px, depth_mm, K, distortion)
    return Placed(joints_mm, fits(joints_mm, lengths_mm))


def fits(
    joints_mm: Float[np.ndarray, "hands 21 3"], lengths_mm: Float[np.ndarray, "hands 20"]
) -> Bool[np.ndarray, " hands"]:
    """Whether no bone is off its owner's length by more than 8 mm; of a hand of which a joint is not known, no."""
    with np.errstate(invalid="ignore"):
        off_mm = np.abs(bone_lengths(joints_mm) - lengths_mm)
    are_near: np.ndarray = np.all(off_mm <= BONE_SLACK_MM, axis=-1)
    return are_near
