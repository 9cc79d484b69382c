"""Hands to test with: a plain right hand built from angles and lengths, and random poses around it."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

# Wrist to base, then base to tip, for thumb to little; an adult's proportions.
SAMPLE_LENGTHS_MM = np.array(
    [[42, 44, 33, 27], [92, 42, 26, 22], [89, 46, 29, 24], [83, 42, 27, 23], [79, 33, 20, 19]], float
)
# Direction of wrist to base in the palm's plane, degrees from straight up, positive to the thumb's side.
_FAN_DEG = np.array([48.0, 14.0, 0.0, -13.0, -26.0])


def right_hand_mm(bend_deg: float | np.ndarray = 12.0, depth_mm: float = 450.0) -> np.ndarray:
    """A right hand in the camera frame: palm to the camera, fingers up, so the thumb is at image right.

    Every joint after the base bends by `bend_deg` towards the palm, that is towards the camera.
    """
    bends = np.broadcast_to(np.asarray(bend_deg, float), (5, 3))
    joints = [np.array([0.0, 60.0, depth_mm])]
    for fan_deg, lengths, bend in zip(_FAN_DEG, SAMPLE_LENGTHS_MM, bends, strict=True):
        fan = np.radians(fan_deg)
        along, across = np.array([np.sin(fan), -np.cos(fan), 0.0]), np.array([0.0, 0.0, -1.0])
        point = joints[0]
        for length, angle in zip(lengths, np.radians([0.0, *np.cumsum(bend)]), strict=True):
            point = point + length * (np.cos(angle) * along + np.sin(angle) * across)
            joints.append(point)
    return np.array(joints)


def random_hands_mm(num_hands: int, seed: int) -> np.ndarray:
    """Right hands of differing pose, orientation, size and place, all in front of the camera."""
    rng = np.random.default_rng(seed)
    hands = np.array([right_hand_mm(rng.uniform(0, 55, (5, 3))) for _ in range(num_hands)])
    turned = np.einsum("nij,nkj->nki", Rotation.random(num_hands, random_state=seed).as_matrix(), hands - hands[:, :1])
    shift = np.stack(
        [rng.uniform(-60, 60, num_hands), rng.uniform(-60, 60, num_hands), rng.uniform(400, 900, num_hands)]
    )
    return turned * rng.uniform(0.7, 1.2, (num_hands, 1, 1)) + shift.T[:, None]


def possible_hands_mm(num: int, seed: int) -> np.ndarray:
    """Right hands of differing pose, orientation, size and place, all inside the limits of their joints."""
    rng = np.random.default_rng(seed)
    poses = np.array([right_hand_mm(rng.uniform(2, 43, (5, 3))) for _ in range(num)])
    turns = Rotation.random(num, random_state=seed).as_matrix()
    turned = np.einsum("nij,nkj->nki", turns, poses - poses[:, :1]) * rng.uniform(0.8, 1.2, (num, 1, 1))
    return turned + rng.uniform([-60, -60, 400], [60, 60, 700], (num, 1, 3))


@st.composite
def hands(draw: st.DrawFn) -> np.ndarray:
    """(3, 21, 3) differing hands, mm."""
    return random_hands_mm(3, draw(st.integers(0, 2**32 - 1)))


@st.composite
def lengths(draw: st.DrawFn) -> np.ndarray:
    """(3, 20) differing bone lengths, 5 to 120 mm."""
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).uniform(5, 120, (3, 20))
