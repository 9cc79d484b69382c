"""Axes: whether three are a right-handed system, and which of a camera's point the wrong way, told from where joints
appear in the picture."""

import numpy as np
from jaxtyping import Bool, Float

ROTATION_TOLERANCE = 1e-3  # manifests round rotations to four or five digits

# |correlation| of where joints are seen and where they lie; it is 1 but for noise, and a hand held end-on has little.
_LEAST_CORRELATION = 0.5


def is_rotation(matrices: Float[np.ndarray, "*batch 3 3"]) -> Bool[np.ndarray, "*batch"]:
    """Whether R R^T is 1 but for rounding, and det R = +1."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max(axis=(-1, -2))
        rotates: np.ndarray = np.asarray((error <= ROTATION_TOLERANCE) & (np.linalg.det(matrices) > 0))
    return rotates


def depth_signs(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch"]:
    """1 where all joints lie before the camera, -1 where all lie behind it, 0 where it is in their midst or unknown."""
    z = joints_mm[..., 2]
    ahead, behind = (~(z <= 0)).all(-1), (~(z >= 0)).all(-1)
    signs: np.ndarray = np.where(np.isfinite(z).any(-1), ahead.astype(float) - behind, 0.0)
    return signs


def axis_signs(
    joints_mm: Float[np.ndarray, "*batch 21 3"], uv_px: Float[np.ndarray, "*batch 21 2"]
) -> Float[np.ndarray, "*batch 3"]:
    """What each axis has to be multiplied by to be x right, y down, z forward: 1 or -1, 0 where it cannot be told.

    Behind a pinhole of any focal length u = f x / z + c, so that u grows with x / |z| if x points to the right, and v
    with y / |z| if y points down, whichever way z points. No intrinsics are needed. Joints about the origin (relative
    to a root) are taken as far away: u grows with x.

    Args:
        joints_mm: joints in the camera's frame as its owner has it, any unit; NaN: not known.
        uv_px: the same joints in the picture.
    """
    depth = depth_signs(joints_mm)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(depth[..., None] == 0, 1.0, np.abs(joints_mm[..., 2]))
        correlation = _correlation(joints_mm[..., :2] / scale[..., None], uv_px)
    sideways = np.where(np.abs(correlation) >= _LEAST_CORRELATION, np.sign(correlation), 0.0)
    signs: np.ndarray = np.concatenate([sideways, depth[..., None]], axis=-1)
    return signs


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Over the joints, of those that both know; 0 where one does not vary."""
    known = np.isfinite(first) & np.isfinite(second)
    count = np.maximum(known.sum(-2, keepdims=True), 1)
    centred = []
    for values in (first, second):
        values = np.where(known, values, 0.0)
        centred.append(np.where(known, values - values.sum(-2, keepdims=True) / count, 0.0))
    spread = np.sqrt((centred[0] ** 2).sum(-2) * (centred[1] ** 2).sum(-2))
    correlation: np.ndarray = (centred[0] * centred[1]).sum(-2) / np.maximum(spread, 1e-12)
    return correlation
