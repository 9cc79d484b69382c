"""Hand poses: named ones, mixtures of them, all inside joint limits and without fingers through fingers.

A pose is an array of angles in degrees, 15 joints in MANO's order by (flexion, abduction, twist) about the axes of
`semihand.hand.finger_axes`, zero for the flat hand.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic.collisions import overlap_mm
from semihand.frames.synthetic.key_poses import KEY_POSES
from semihand.hand.finger_axes import OWNERS, joint_axes
from semihand.hand.mano import MANO_PARENTS, SEMIHAND_FROM_MANO

Angles = Float[np.ndarray, "*batch 15 3"]

_NUM_CANDIDATES = 4
_MAX_OVERLAP_MM = 3.0  # flesh gives way by about this much where fingers press on each other


def _limits() -> tuple[Float[np.ndarray, "15 3"], Float[np.ndarray, "15 3"]]:
    """Least and greatest angle; inside the limits of Chen's thesis, table 6.1 (flexion, extension, abduction)."""
    low, high = np.zeros((15, 3)), np.zeros((15, 3))
    for finger, owners in OWNERS.items():
        base, middle, last = (owner - 1 for owner in owners)
        if finger == "thumb":
            low[base], high[base] = (-20, -20, -25), (48, 40, 40)
            low[middle], high[middle] = (-8, -4, -4), (45, 4, 4)
            low[last], high[last] = (-9, 0, 0), (45, 0, 0)
        else:
            low[base], high[base] = (-22, -18, -6), (88, 20, 6)
            low[middle], high[middle] = (-3, 0, 0), (112, 0, 0)
            low[last], high[last] = (-4, 0, 0), (78, 0, 0)
    return low, high


LOWEST_DEG, HIGHEST_DEG = _limits()


def sample_pose(
    rng: np.random.Generator, families: Mapping[str, float], spread: float, rest_joints_m: Float[np.ndarray, "21 3"]
) -> Float[np.ndarray, "15 3"]:
    """A pose around the named families, drawn anew a few times until its fingers keep clear of each other.

    Args:
        rng: where chance comes from.
        families: weight of each name in `KEY_POSES`.
        spread: 0 gives the named poses alone, 1 the full natural variety around and between them.
        rest_joints_m: the hand that is posed.
    """
    for _ in range(_NUM_CANDIDATES):
        pose = _candidate(rng, families, spread)
        if overlap_mm(forward_joints_mm(pose, rest_joints_m)) <= _MAX_OVERLAP_MM:
            return pose
    return loosened(pose, rest_joints_m)


def loosened(pose: Float[np.ndarray, "15 3"], rest_joints_m: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "15 3"]:
    """The pose, opened towards the relaxed hand as far as its fingers need to come apart."""
    shares = np.linspace(0.0, 1.0, 11)[:, None, None]
    opened = (1 - shares) * pose + shares * KEY_POSES["open"]
    overlaps = overlap_mm(forward_joints_mm(opened, rest_joints_m))
    return np.asarray(opened[np.flatnonzero(overlaps <= max(_MAX_OVERLAP_MM, overlaps.min()))[0]])


def within_limits(pose: Angles) -> Angles:
    """The pose with every angle brought inside its joint's limits."""
    return np.asarray(np.clip(pose, LOWEST_DEG, HIGHEST_DEG))


def to_axis_angle(pose: Angles, rest_joints_m: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "*batch 45"]:
    """MANO's pose vector (radians, flat hand zero): abduction about the parent's axes, then flexion, then twist."""
    return np.asarray(_rotations(pose, rest_joints_m).as_rotvec().reshape(*pose.shape[:-2], 45))


def forward_joints_mm(pose: Angles, rest_joints_m: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "*batch 21 3"]:
    """The 21 posed joints with the wrist unmoved, as the layer would place them (tips rigid on the last bone)."""
    mano_rest = np.empty((21, 3))
    mano_rest[list(SEMIHAND_FROM_MANO)] = rest_joints_m * 1000.0
    local = _rotations(pose, rest_joints_m).as_matrix().reshape(*pose.shape[:-2], 15, 3, 3)
    turned = np.broadcast_to(np.eye(3), (*pose.shape[:-2], 16, 3, 3)).copy()
    joints = np.broadcast_to(mano_rest, (*pose.shape[:-2], 21, 3)).copy()
    for joint in range(1, 16):
        parent = MANO_PARENTS[joint]
        turned[..., joint, :, :] = turned[..., parent, :, :] @ local[..., joint - 1, :, :]
        joints[..., joint, :] = joints[..., parent, :] + turned[..., parent, :, :] @ (
            mano_rest[joint] - mano_rest[parent]
        )
    for tip, last in zip(range(16, 21), (15, 3, 6, 12, 9), strict=True):
        joints[..., tip, :] = joints[..., last, :] + turned[..., last, :, :] @ (mano_rest[tip] - mano_rest[last])
    return joints[..., list(SEMIHAND_FROM_MANO), :]


def _rotations(pose: Angles, rest_joints_m: Float[np.ndarray, "21 3"]) -> Rotation:
    radians = np.deg2rad(pose).reshape(-1, 15, 3)
    vectors = radians[..., None] * _axes(rest_joints_m.tobytes())
    flexion, abduction, twist = (Rotation.from_rotvec(vectors[:, :, axis].reshape(-1, 3)) for axis in range(3))
    return abduction * flexion * twist


@lru_cache(maxsize=8)
def _axes(rest_joints: bytes) -> Float[np.ndarray, "15 3 3"]:
    return joint_axes(np.frombuffer(rest_joints).reshape(21, 3))


def _candidate(rng: np.random.Generator, families: Mapping[str, float], spread: float) -> Float[np.ndarray, "15 3"]:
    names, weights = list(families), np.array(list(families.values()))
    chosen = rng.choice(len(names), size=2, p=weights / weights.sum())
    first, second = (KEY_POSES[names[k]] for k in chosen)
    blend = spread * rng.beta(0.6, 1.4)
    noise = _natural_noise(rng)
    return within_limits((1 - blend) * first + blend * second + spread * noise)


def _natural_noise(rng: np.random.Generator) -> Float[np.ndarray, "15 3"]:
    """Correlated: all fingers curl together somewhat, and a finger's middle and last joints go together."""
    whole_hand, tightness = rng.normal(0, 7), rng.normal(0, 4)
    fingers, joints = rng.normal(0, 9, 5), rng.normal(0, 3.5, (15, 3))
    noise = joints * np.array([1.0, 0.9, 0.6])
    for row, owners in enumerate(OWNERS.values()):
        base, middle, last = (owner - 1 for owner in owners)
        noise[base, 0] += whole_hand + fingers[row]
        noise[middle, 0] += whole_hand + 0.9 * fingers[row] + tightness
        noise[last, 0] += 0.6 * (whole_hand + fingers[row]) + tightness
    return np.asarray(noise)
