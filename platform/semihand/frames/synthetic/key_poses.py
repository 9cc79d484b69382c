"""The named poses that all sampled poses mix: degrees, read as a table."""

import numpy as np
from jaxtyping import Float

from semihand.hand.finger_axes import OWNERS

_Finger = tuple[int, int, int, int]  # MCP flexion, MCP abduction (towards the thumb), PIP, DIP flexion
_Thumb = tuple[int, int, int, int, int]  # CMC flexion, abduction, twist; MCP, IP flexion

_STRAIGHT: _Finger = (3, 0, 4, 2)
_CURLED: _Finger = (78, 0, 98, 58)
_OUT: _Thumb = (-6, 2, 0, 0, 0)
_ALONG: _Thumb = (12, -8, 0, 8, 4)
_ACROSS: _Thumb = (20, 7, 21, 29, 28)
_OVER_FIST: _Thumb = (13, 19, 6, 35, 37)


def _pose(thumb: _Thumb, index: _Finger, middle: _Finger, ring: _Finger, little: _Finger) -> Float[np.ndarray, "15 3"]:
    angles = np.zeros((15, 3))
    base, middle_joint, last = (owner - 1 for owner in OWNERS["thumb"])
    angles[base] = thumb[:3]
    angles[middle_joint, 0], angles[last, 0] = thumb[3:]
    for finger, (mcp, abduction, pip, dip) in zip(
        ("index", "middle", "ring", "little"), (index, middle, ring, little), strict=True
    ):
        owners = OWNERS[finger]
        angles[owners[0] - 1, :2] = mcp, abduction
        angles[owners[1] - 1, 0], angles[owners[2] - 1, 0] = pip, dip
    return angles


KEY_POSES: dict[str, Float[np.ndarray, "15 3"]] = {
    "flat": _pose(_ALONG, (2, -4, 2, 1), (2, 0, 2, 1), (2, 3, 2, 1), (2, 6, 2, 1)),
    "open": _pose(_OUT, (0, 5, 4, 2), (0, 0, 4, 2), (0, -4, 4, 2), (0, -7, 5, 3)),
    "relaxed": _pose((6, 10, 4, 10, 14), (20, 0, 25, 12), (26, 0, 30, 14), (30, 0, 32, 15), (32, 0, 32, 15)),
    "fist": _pose(_OVER_FIST, _CURLED, _CURLED, _CURLED, (78, 4, 96, 58)),
    "point": _pose(_ACROSS, _STRAIGHT, _CURLED, _CURLED, _CURLED),
    "victory": _pose((31, 1, 20, 29, 25), (2, 8, 4, 2), (2, -6, 4, 2), (76, 0, 96, 55), (76, 2, 94, 55)),
    "three": _pose(_OUT, (2, 6, 4, 2), (2, -4, 4, 2), (74, 0, 94, 52), (74, 2, 92, 52)),
    "four": _pose((42, 2, 6, 45, 42), (2, 4, 4, 2), (2, 0, 4, 2), (2, -3, 4, 2), (4, -6, 4, 2)),
    "grasp": _pose((10, 26, 10, 14, 16), (42, 2, 42, 22), (46, 0, 44, 24), (50, 0, 46, 24), (52, 0, 44, 22)),
    "claw": _pose((4, 20, 6, 18, 30), (10, 5, 58, 36), (10, 0, 60, 38), (10, -4, 60, 38), (10, -8, 56, 34)),
    "hook": _pose(_ALONG, (8, 0, 88, 50), (8, 0, 92, 52), (8, 0, 92, 52), (8, 0, 88, 48)),
    "table": _pose(_ALONG, (74, 0, 6, 4), (76, 0, 6, 4), (76, 0, 6, 4), (74, 0, 6, 4)),
    "thumb_up": _pose((-12, 0, 0, -4, -6), _CURLED, _CURLED, _CURLED, _CURLED),
    "horns": _pose(_ACROSS, _STRAIGHT, _CURLED, (78, 0, 98, 56), (4, -6, 4, 2)),
    "gun": _pose(_OUT, _STRAIGHT, (70, 0, 92, 52), _CURLED, _CURLED),
    # thumb against each fingertip and all in a ring: solved for touching pads, then written down
    "pinch_index": _pose((25, 13, 10, 12, 14), (50, 5, 51, 28), (3, 0, 5, 3), (3, -3, 5, 3), (4, -6, 6, 3)),
    "pinch_middle": _pose((35, 19, 12, 17, 10), (4, 8, 5, 3), (55, 13, 51, 29), (3, -3, 5, 3), (4, -6, 6, 3)),
    "pinch_ring": _pose((41, 25, 8, 25, 27), (4, 5, 5, 3), (3, 0, 5, 3), (52, 2, 51, 30), (4, -6, 6, 3)),
    "pinch_little": _pose((46, 29, 16, 20, 12), (4, 5, 5, 3), (3, 0, 5, 3), (3, -3, 5, 3), (65, -4, 45, 28)),
    "letter_o": _pose((28, 12, 10, 7, 18), (48, 1, 52, 28), (48, 0, 50, 28), (52, 0, 48, 28), (56, 2, 46, 26)),
}
