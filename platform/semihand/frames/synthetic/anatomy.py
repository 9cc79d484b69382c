"""The measures of the generic hand: bones and flesh.

Anatomical frame: (radial, distal, dorsal) in mm, wrist joint at the origin, flat right hand. Bone lengths: means
of Buryanov & Kotiuk, Proportions of hand segments, Int. J. Morphol. 28(3), 2010, with their soft tissue added at
the tips and 27 mm of carpus between wrist and metacarpals.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from semihand.hand.finger_axes import OWNERS
from semihand.hand.skeleton import FINGERS

#: proximal, middle, distal with soft tissue; for the thumb metacarpal, proximal, distal
PHALANGES_MM = {
    "thumb": (46.2, 31.6, 27.3),
    "index": (39.8, 22.4, 19.7),
    "middle": (44.6, 26.3, 21.4),
    "ring": (41.4, 25.7, 21.3),
    "little": (32.7, 18.1, 19.7),
}
#: first joint of each finger: thumb CMC, MCP of the others (metacarpal plus carpus from the wrist)
BASES_MM = {
    "thumb": (19.0, 21.0, -9.0),
    "index": (23.5, 92.0, -1.0),
    "middle": (2.0, 91.6, 0.5),
    "ring": (-17.0, 83.3, -1.0),
    "little": (-33.0, 73.6, -5.0),
}
_SPREAD_DEG = {"index": 6.0, "middle": 0.5, "ring": -5.5, "little": -13.0}
_THUMB_DIRECTIONS = ((0.63, 0.72, -0.28), (0.51, 0.84, -0.18), (0.43, 0.89, -0.14))
#: flesh radius at each finger's four joints, base to tip
RADII_MM = {
    "thumb": (14.5, 11.3, 9.9, 7.6),
    "index": (10.6, 9.1, 7.8, 6.3),
    "middle": (10.8, 9.2, 8.0, 6.5),
    "ring": (10.2, 8.6, 7.5, 6.1),
    "little": (9.0, 7.5, 6.5, 5.3),
}
#: (radial, distal, dorsal) to MANO's axes: fingers along -x, back of the hand +y, thumb towards +z
TO_MANO = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


class Capsule(NamedTuple):
    """A tapered capsule of flesh, and the MANO joint that carries it."""

    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    start_radius_mm: float
    end_radius_mm: float
    owner: int


#: The flesh of the palm beside the five metacarpal bones: wrist, ball of the thumb, heel, web of the thumb.
PALM_FLESH = (
    Capsule((12.0, 12.0, -2.0), (11.0, -12.0, -0.5), 15.0, 14.5, 0),
    Capsule((0.0, 12.0, -2.0), (0.0, -14.0, -0.5), 16.0, 16.0, 0),
    Capsule((-11.0, 12.0, -2.0), (-10.5, -12.0, -0.5), 15.0, 14.0, 0),
    Capsule((14.0, 26.0, -6.0), (23.5, 88.0, -3.5), 14.0, 11.5, 0),
    Capsule((3.0, 24.0, -4.0), (2.0, 88.0, -2.5), 14.0, 11.8, 0),
    Capsule((-8.0, 24.0, -4.5), (-16.5, 80.0, -3.5), 13.5, 11.5, 0),
    Capsule((-18.0, 22.0, -6.0), (-32.0, 70.0, -7.0), 13.5, 10.3, 0),
    Capsule((-22.0, 22.0, -11.0), (-30.0, 52.0, -11.0), 12.0, 10.0, 0),
    Capsule((16.0, 26.0, -14.0), (32.0, 46.0, -17.0), 13.0, 11.0, 13),
    Capsule((24.0, 44.0, -9.0), (33.0, 58.0, -11.0), 9.0, 7.0, 13),
)


def rest_joints_mm() -> Float[np.ndarray, "21 3"]:
    """The flat hand's 21 joints, anatomical frame, tips on the skin."""
    joints = np.zeros((21, 3))
    for finger, (first, *_) in FINGERS.items():
        joints[first] = BASES_MM[finger]
        for bone, length_mm in enumerate(PHALANGES_MM[finger]):
            joints[first + bone + 1] = joints[first + bone] + length_mm * _direction(finger, bone)
    return joints


def finger_flesh(finger: str) -> tuple[Capsule, ...]:
    """The three capsules of a finger; the last ends a radius short of the tip."""
    joints, radii, first = rest_joints_mm(), RADII_MM[finger], FINGERS[finger][0]
    capsules = []
    for bone, owner in enumerate(OWNERS[finger]):
        start, end = joints[first + bone], joints[first + bone + 1]
        if bone == 2:
            end = end - radii[3] * (end - start) / np.linalg.norm(end - start)
        capsules.append(Capsule(tuple(start), tuple(end), radii[bone], radii[bone + 1], owner))
    return tuple(capsules)


def _direction(finger: str, bone: int) -> Float[np.ndarray, "3"]:
    if finger == "thumb":
        return _unit(np.array(_THUMB_DIRECTIONS[bone]))
    angle = np.deg2rad(_SPREAD_DEG[finger])
    return np.array([np.sin(angle), np.cos(angle), 0.0])


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return np.asarray(vector / np.linalg.norm(vector))
