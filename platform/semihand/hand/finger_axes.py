"""The axes that a hand model's finger joints turn about, read from its flat rest hand."""

import numpy as np
from jaxtyping import Float

from semihand.hand.skeleton import FINGERS

#: MANO joint that moves the bone starting at each finger's first three joints
OWNERS = {"thumb": (13, 14, 15), "index": (1, 2, 3), "middle": (4, 5, 6), "ring": (10, 11, 12), "little": (7, 8, 9)}


def joint_axes(rest_joints: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "15 3 3"]:
    """Flexion, abduction and twist axes (rows) of the 15 finger joints in MANO's order, of any right hand.

    Positive flexion curls a finger into the palm (the thumb across it), positive abduction moves a finger to the
    thumb's side (the thumb out of the palm's plane), positive twist turns about the bone, base to tip.
    """
    distal = rest_joints[9] - rest_joints[0]
    palmar = _unit(np.cross(rest_joints[5] - rest_joints[17], distal))
    radial = _unit(np.cross(distal, palmar))
    axes = np.zeros((15, 3, 3))
    for finger, (first, *_) in FINGERS.items():
        into_palm = 0.1 * palmar - 0.995 * radial if finger == "thumb" else palmar
        for bone, owner in enumerate(OWNERS[finger]):
            along = _unit(rest_joints[first + bone + 1] - rest_joints[first + bone])
            flexion = _unit(np.cross(along, into_palm))
            axes[owner - 1] = flexion, np.cross(along, flexion), along
    return axes


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return np.asarray(vector / np.linalg.norm(vector))
