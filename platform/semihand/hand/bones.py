"""Bones: measuring their lengths, and putting a pose onto given lengths (registration P)."""

import numpy as np
from jaxtyping import Float

from semihand.hand.skeleton import FINGERS, NUM_BONES, NUM_JOINTS, PARENTS, WRIST

_CHILDREN = np.arange(1, NUM_JOINTS)
_CHILD_PARENTS = np.asarray(PARENTS[1:])
# Joints at the same distance from the wrist, thumb to little: one step of the walk moves all five fingers.
_LEVELS = tuple(np.asarray(level) for level in zip(*FINGERS.values(), strict=True))


def bone_lengths(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch 20"]:
    """Lengths of the 20 bones in mm, any frame; bone k joins joint k + 1 to its parent."""
    lengths_mm: np.ndarray = np.sqrt(crossed_square_lengths(joints_mm, joints_mm))
    return lengths_mm


def crossed_square_lengths(
    a_mm: Float[np.ndarray, "*batch 21 3"], b_mm: Float[np.ndarray, "*batch 21 3"]
) -> Float[np.ndarray, "*batch 20"]:
    """Every bone of one measurement times the same bone of another, mm²: ‖b‖² on average, whatever the noise.

    Noise makes bones longer on average: at 5 mm a coordinate the mean of ‖b‖ is 1.3 mm too long for a bone of
    40 mm and 2.5 mm for one of 20 mm. In E[(b + e₁)·(b + e₂)] = ‖b‖² nothing has to be known of it, and what moves
    both ends of a bone alike is in neither e; only errors that both measurements share remain.

    Args:
        a_mm: poses in any frame.
        b_mm: the same poses measured again, with errors of their own.
    """
    square_mm2: np.ndarray = np.einsum("...i,...i->...", _bones(a_mm), _bones(b_mm))
    return square_mm2


def unbiased_lengths(square_mm2: Float[np.ndarray, "frames 20"]) -> Float[np.ndarray, " 20"]:
    """One subject's bone lengths in mm from `crossed_square_lengths`; 0 where a bone is lost in its noise."""
    lengths_mm: np.ndarray = np.sqrt(square_mm2.mean(0).clip(min=0))
    return lengths_mm


def scale_to_lengths(
    joints_mm: Float[np.ndarray, "*batch 21 3"], lengths_mm: Float[np.ndarray, "*lengths 20"]
) -> Float[np.ndarray, "*batch"]:
    """The factor that brings a pose closest to its subject's bone lengths, by least squares over all 20 bones.

    Multiplying a camera-frame pose by it moves every joint along its own ray, so that the 2D joints stay. One
    misjudged reference bone then no longer sizes the whole hand, which registration P could not mend.

    Args:
        joints_mm: estimated joints, camera frame.
        lengths_mm: the subject's bone lengths, mm.
    """
    bones_mm = bone_lengths(joints_mm)
    factor: np.ndarray = (bones_mm * lengths_mm).sum(-1) / np.square(bones_mm).sum(-1)
    return factor


def register_to_lengths(
    joints_mm: Float[np.ndarray, "*batch 21 3"], lengths_mm: Float[np.ndarray, "*lengths 20"]
) -> Float[np.ndarray, "*batch 21 3"]:
    """Give every bone its own length again, walking from the wrist to the tips.

    Each bone points from its registered parent to the estimated child, so that errors do not pile up
    along a finger: r[wrist] = p[wrist]; v = p[j] - r[parent(j)]; r[j] = r[parent(j)] + L[j] v / ||v||
    (registration P of SemiHand, Yang, Chen, Yao, ICCV 2021, section on label correction, r = P(p) of Eq. 5).

    P makes the pose feasible; it does not denoise (isotropic noise is as large after it as before). Put the
    estimate to the subject's scale first: where it is over a tenth too small, a registered parent overtakes
    its estimated child and the finger folds back.

    Args:
        joints_mm: estimated joints, camera frame.
        lengths_mm: the subject's bone lengths, all above zero; leading axes broadcast to the joints'.

    Returns:
        The registered joints, in the dtype of `joints_mm`; the wrist stays where it was.

    Raises:
        ValueError: a joint or length is not finite, a length is not above zero, or a registered parent and
            its estimated child coincide, so there is no direction to take. The message names index and value.
    """
    _check(joints_mm, "joints_mm", np.isfinite(joints_mm), "finite", "drop the frame or quarantine it")
    positive = np.isfinite(lengths_mm) & (lengths_mm > 0)
    _check(lengths_mm, "lengths_mm", positive, "finite and above 0", "measure the subject or give a template")
    lengths_mm = np.broadcast_to(lengths_mm, (*joints_mm.shape[:-2], NUM_BONES)).astype(joints_mm.dtype)
    registered: np.ndarray = np.empty_like(joints_mm)
    registered[..., WRIST, :] = joints_mm[..., WRIST, :]
    parents_mm = registered[..., [WRIST] * len(FINGERS), :]
    for level in _LEVELS:
        bones_mm = joints_mm[..., level, :] - parents_mm
        distance_mm = np.sqrt(np.einsum("...i,...i->...", bones_mm, bones_mm))
        _check_directions(distance_mm, level)
        bones_mm *= (lengths_mm[..., level - 1] / distance_mm)[..., None]
        parents_mm = parents_mm + bones_mm
        registered[..., level, :] = parents_mm
    return registered


def _bones(joints_mm: np.ndarray) -> np.ndarray:
    bones_mm: np.ndarray = joints_mm[..., _CHILDREN, :] - joints_mm[..., _CHILD_PARENTS, :]
    return bones_mm


def _check(values: np.ndarray, name: str, good: np.ndarray, limit: str, way_out: str) -> None:
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{name}{list(index)} is {values[index]}, but must be {limit}; {way_out}")


def _check_directions(distance_mm: np.ndarray, level: np.ndarray) -> None:
    # Below the smallest normal number the quotient overflows, so it counts as no direction too.
    undefined = distance_mm < np.finfo(distance_mm.dtype).tiny
    if undefined.any():
        *batch, finger = (int(i) for i in np.argwhere(undefined)[0])
        joint = int(level[finger])
        raise ValueError(
            f"joints_mm{[*batch, joint]} lies {distance_mm[(*batch, finger)]} mm from its registered parent "
            f"(joint {PARENTS[joint]}), but bone {joint - 1} needs a distance above 0 to have a direction; "
            "drop the frame or quarantine it"
        )
