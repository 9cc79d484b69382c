"""Correction: a pose on its owner's skeleton and inside the limits of an anatomy, each joint weighed by its spread."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from semihand.hand.angles import clamp_to_limits
from semihand.hand.projection import PALM, project_to_skeleton

# Of a few views, a joint's covariance is known poorly and may be flat: eight views of isotropic noise, taken at their
# word, cost a third of what the projection gains. Half the weight is therefore the mean over the hand's joints.
_LEAST_MM = 1.0  # views that agree to less than this know a joint no better: a third of a pixel of a 64 px crop


class Hands(NamedTuple):
    """What is known of the hand in every row before it is seen.

    Attributes:
        lengths_mm: of the 20 bones, above zero.
        palm_mm: shape of the palm, from the wrist, of a right hand; its arms take their lengths from `lengths_mm`.
        left: which are left hands; none: no row is.
    """

    lengths_mm: Float[np.ndarray, "batch 20"]
    palm_mm: Float[np.ndarray, "batch 6 3"]
    left: Bool[np.ndarray, " batch"] | None = None


def regularised(covariance_mm2: Float[np.ndarray, "batch 21 3 3"]) -> Float[np.ndarray, "batch 21 3 3"]:
    """Covariances of views as weights: Σ_j + (σ² + 1 mm²) I, with σ² the mean variance of a coordinate of the hand.

    Positive definite for any views; joints still weigh up to twice as much as the mean one.
    """
    mean = np.trace(covariance_mm2, axis1=-2, axis2=-1).mean(-1) / 3
    floor = (mean + _LEAST_MM**2)[:, None, None, None]
    weights: np.ndarray = covariance_mm2 + floor * np.eye(3)
    return weights


def correct_to_hands(
    joints_mm: Float[np.ndarray, "batch 21 3"],
    hands: Hands,
    covariance_mm2: Float[np.ndarray, "batch 21 3 3"] | None = None,
    limits: bool = True,
) -> Float[np.ndarray, "batch 21 3"]:
    """Bone lengths and rigid palm by least squares (`project_to_skeleton`), then joint limits (`clamp_to_limits`).

    Lengths alone can make a pose worse and limits mend it (S. Chen's master thesis, Table 7.4); the order is that of
    its Algorithm 5.1 with the walk along the fingers replaced by the projection. The lengths stay exact.

    Args:
        joints_mm: estimates in any right-handed frame, near the scale of the hands.
        hands: lengths, palm and side of every row.
        covariance_mm2: of the joints over views, of any rank; none: isotropic and equal.
        limits: whether to clamp angles at all.

    Raises:
        ValueError: a number is not finite, or a length is not above zero.
    """
    mirror = np.ones((len(joints_mm), 1, 3), joints_mm.dtype)
    if hands.left is not None:
        mirror[hands.left, :, 0] = -1
    weights = None
    if covariance_mm2 is not None:
        weights = regularised(covariance_mm2) * mirror[..., None] * mirror[..., None, :]
    palm_mm = _reaching(hands.palm_mm, hands.lengths_mm)
    projected = project_to_skeleton(joints_mm * mirror, hands.lengths_mm, palm_mm, weights)
    corrected: np.ndarray = (clamp_to_limits(projected) if limits else projected) * mirror
    return corrected


def _reaching(
    palm_mm: Float[np.ndarray, "batch 6 3"], lengths_mm: Float[np.ndarray, "batch 20"]
) -> Float[np.ndarray, "batch 6 3"]:
    """The palm with every finger's base as far from the wrist as its bone is long."""
    arms_mm = palm_mm[:, 1:] - palm_mm[:, :1]
    arms_mm = arms_mm * (lengths_mm[:, PALM[1:] - 1] / np.linalg.norm(arms_mm, axis=-1))[..., None]
    reaching: np.ndarray = np.concatenate([np.zeros_like(palm_mm[:, :1]), arms_mm], axis=1)
    return reaching
