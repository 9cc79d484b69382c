"""Joint angles of a posed hand, and whether they stay inside the limits of an anatomy.

Angles and limits follow the kinematic layer of S. Chen's master thesis (Algorithm 5.1, Table 6.1), whose
right direction r_k and palm normals e_k are taken from the code released with it. Each finger is seen as
three joints along four bones, the first from the wrist to the finger's base: MCP, PIP, DIP; for the thumb
these are CMC, MCP, IP.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from semihand.hand.skeleton import FINGERS, WRIST

_JOINTS = np.asarray(list(FINGERS.values()))
_THUMB, _INDEX, _MIDDLE, _RING, _LITTLE = _JOINTS[:, 0]
# r_k runs from the first to the second of these bases, towards the thumb's side; one pair a finger.
_RIGHT_FROM = np.asarray([_INDEX, _RING, _RING, _LITTLE, _LITTLE])
_RIGHT_TO = np.asarray([_THUMB, _INDEX, _INDEX, _MIDDLE, _MIDDLE])
# e_k is normal to the wrist and these two bases and looks out of the palm.
_PALM_NEAR = np.asarray([_THUMB, _INDEX, _MIDDLE, _MIDDLE, _RING])
_PALM_FAR = np.asarray([_INDEX, _MIDDLE, _RING, _RING, _LITTLE])

# Degrees, thumb to little, each base to tip (Table 6.1); the thumb's last joint takes the fingers' DIP limit.
MAX_FLEXION_DEG = np.asarray([[45.0, 45.0, 90.0], *[[90.0, 135.0, 90.0]] * 4])
MAX_EXTENSION_DEG = np.asarray([[45.0, 10.0, 45.0]] * 5)
MAX_ABDUCTION_DEG = np.asarray([30.0] * 5)
# Bones with less of their length in the palm's plane have no sideways angle to speak of (released code).
_LEAST_IN_PLANE = 0.3
_MARGIN_DEG = 1e-3  # a clamped angle lies this far inside its limit, so that rounding does not put it outside


class JointAngles(NamedTuple):
    """Angles in degrees, fingers from thumb to little.

    Attributes:
        flexion_deg: (..., 5, 3) bend between consecutive bones, base to tip; positive towards the palm.
        abduction_deg: (..., 5) sideways turn of the first bone in the palm's plane, positive towards the
            little finger's side; NaN where the finger is bent by over 90° or stands on the palm.
    """

    flexion_deg: np.ndarray
    abduction_deg: np.ndarray


def joint_angles(joints_mm: Float[np.ndarray, "*batch 21 3"], hand: Literal["left", "right"] = "right") -> JointAngles:
    """Flexion of the 15 finger joints and abduction of the five fingers.

    Flexion is the angle between consecutive bones, signed by (b_i x b_i+1) · r_k; abduction the angle
    between wrist → base and base → next joint, both projected on the palm's plane, signed by e_k (thesis,
    sections 5.5 and 5.7).

    Args:
        joints_mm: joints in any right-handed frame (the camera frame is one).
        hand: the side; a left hand is mirrored first.

    Returns:
        The angles; NaN where two joints that span a bone coincide.
    """
    joints_mm = joints_mm * np.asarray([1, 1, 1] if hand == "right" else [-1, 1, 1], joints_mm.dtype)
    wrist_mm = np.broadcast_to(joints_mm[..., [[WRIST]] * 5, :], (*joints_mm.shape[:-2], 5, 1, 3))
    chain_mm = np.concatenate([wrist_mm, joints_mm[..., _JOINTS, :]], axis=-2)
    bones = _unit(np.diff(chain_mm, axis=-2))
    before, after = bones[..., :-1, :], bones[..., 1:, :]
    right = _unit(joints_mm[..., _RIGHT_TO, :] - joints_mm[..., _RIGHT_FROM, :])
    turn = np.cross(before, after)
    bend = np.arctan2(np.linalg.norm(turn, axis=-1), (before * after).sum(-1))
    flexion_deg = np.degrees(np.where((turn * right[..., None, :]).sum(-1) < 0, -bend, bend))
    return JointAngles(flexion_deg, _sideways_deg(_palm_normals(joints_mm), before[..., 0, :], after[..., 0, :]))


def _palm_normals(joints_mm: np.ndarray) -> np.ndarray:
    near_mm = joints_mm[..., _PALM_NEAR, :]
    return _unit(np.cross(near_mm - joints_mm[..., None, WRIST, :], joints_mm[..., _PALM_FAR, :] - near_mm))


def _sideways_deg(normal: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    in_plane = after - (after * normal).sum(-1, keepdims=True) * normal
    across = (np.cross(before, in_plane) * normal).sum(-1)
    along = (before * in_plane).sum(-1) - (before * normal).sum(-1) * (in_plane * normal).sum(-1)
    measurable = (np.linalg.norm(in_plane, axis=-1) >= _LEAST_IN_PLANE) & ((before * after).sum(-1) >= 0)
    return np.where(measurable, np.degrees(np.arctan2(across, along)), np.nan)


def within_limits(
    joints_mm: Float[np.ndarray, "*batch 21 3"], hand: Literal["left", "right"] = "right"
) -> Float[np.ndarray, "*batch 20"]:
    """1 where an angle is inside its limits, 0 where not, NaN where it cannot be measured.

    Returns:
        15 flexions (thumb to little, each base to tip), then 5 abductions.
    """
    flexion_deg, abduction_deg = joint_angles(joints_mm, hand)
    flexion_ok = (flexion_deg <= MAX_FLEXION_DEG) & (flexion_deg >= -MAX_EXTENSION_DEG)
    angles = np.concatenate([flexion_deg.reshape(*flexion_deg.shape[:-2], 15), abduction_deg], axis=-1)
    inside = np.concatenate(
        [flexion_ok.reshape(*flexion_ok.shape[:-2], 15), np.abs(abduction_deg) <= MAX_ABDUCTION_DEG], axis=-1
    )
    return np.where(np.isnan(angles), np.nan, inside.astype(joints_mm.dtype))


def share_within_limits(
    joints_mm: Float[np.ndarray, "*batch 21 3"], hand: Literal["left", "right"] = "right"
) -> Float[np.ndarray, "*batch"]:
    """Share of a pose's measurable angles (15 flexions, 5 abductions) inside the limits of Table 6.1.

    Label-free; any root, scale and right-handed frame. NaN where no angle can be measured.
    """
    inside = within_limits(joints_mm, hand)
    measured = np.isfinite(inside).sum(-1)
    share: np.ndarray = np.where(measured > 0, np.nansum(inside, -1) / np.maximum(measured, 1), np.nan)
    return share


def clamp_to_limits(
    joints_mm: Float[np.ndarray, "*batch 21 3"], hand: Literal["left", "right"] = "right"
) -> Float[np.ndarray, "*batch 21 3"]:
    """Turn what is bent or spread too far back to its limit, from the bases to the tips; bone lengths stay.

    The rectifications of abduction and of flexion and extension in the thesis' Algorithm 5.1: a finger is turned
    about the palm's normal by the excess of its abduction, then each joint with all that follows it about the normal
    of its own bend. Twice, because a finger bent back afterwards may have left the abduction's limits. The algorithm's
    other steps, planar fingers and limits of twist and of the outer joints' abduction, are not taken.

    Args:
        joints_mm: joints in any right-handed frame; wrist and finger bases stay where they are.
        hand: the side; a left hand is mirrored on the way in and back on the way out.
    """
    mirror = np.asarray([1, 1, 1] if hand == "right" else [-1, 1, 1], joints_mm.dtype)
    joints_mm = joints_mm * mirror
    right = _unit(joints_mm[..., _RIGHT_TO, :] - joints_mm[..., _RIGHT_FROM, :])
    normal = _palm_normals(joints_mm)
    bases_mm = joints_mm[..., _JOINTS[:, 0], :]
    first = _unit(bases_mm - joints_mm[..., None, WRIST, :])
    bones_mm = np.diff(joints_mm[..., _JOINTS, :], axis=-2)
    for _ in range(2):
        abduction = np.radians(_sideways_deg(normal, first, _unit(bones_mm[..., 0, :])))
        limit = np.radians(MAX_ABDUCTION_DEG - _MARGIN_DEG)
        excess = np.nan_to_num(np.clip(abduction, -limit, limit) - abduction)
        bones_mm = _turned(bones_mm, normal, excess)
        before = first
        for joint in range(3):
            turn = np.cross(before, _unit(bones_mm[..., joint, :]))
            bend = np.arctan2(np.linalg.norm(turn, axis=-1), (before * _unit(bones_mm[..., joint, :])).sum(-1))
            backwards = (turn * right).sum(-1) < 0
            limits = np.where(backwards, MAX_EXTENSION_DEG[:, joint], MAX_FLEXION_DEG[:, joint]) - _MARGIN_DEG
            back = np.nan_to_num(np.minimum(np.radians(limits) - bend, 0))
            bones_mm = np.concatenate(
                [bones_mm[..., :joint, :], _turned(bones_mm[..., joint:, :], _unit(turn), back)], axis=-2
            )
            before = _unit(bones_mm[..., joint, :])
    clamped: np.ndarray = joints_mm.copy()
    clamped[..., _JOINTS[:, 1:], :] = bases_mm[..., None, :] + np.cumsum(bones_mm, axis=-2)
    clamped *= mirror
    return clamped


def _turned(bones_mm: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """A finger's bones turned about its axis (Rodrigues); a finger with nothing to turn stays bit for bit."""
    axis = axis[..., None, :]
    cos, sin = np.cos(angle)[..., None, None], np.sin(angle)[..., None, None]
    along = (bones_mm * axis).sum(-1, keepdims=True) * axis
    turned = bones_mm * cos + np.cross(axis, bones_mm) * sin + along * (1 - cos)
    return np.where(angle[..., None, None] == 0, bones_mm, turned)


def _unit(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        units: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return units
