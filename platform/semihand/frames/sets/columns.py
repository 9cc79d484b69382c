"""Columns of FRAMES from what data sets say: cameras, joints, boxes."""

import numpy as np
from jaxtyping import Bool, Float

from semihand.frames.errors import BadFrame
from semihand.frames.sets.reader import Row
from semihand.hand.axes import is_rotation
from semihand.hand.camera import project

# A hand's outline lies beyond its joints by half a finger, 8 mm of a hand's 180.
_SKIN_SHARE = 0.05
_LEAST_JOINTS = 2


def camera(K: Float[np.ndarray, "3 3"]) -> Row:
    """The columns of a pinhole camera that was given.

    Raises:
        BadFrame: bad_camera, the matrix is none of intrinsics.
    """
    fx, fy, cx, cy = (float(K[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not (np.isfinite(K).all() and fx > 0 and fy > 0):
        raise BadFrame("bad_camera", f"intrinsics are {np.asarray(K).tolist()}")
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "intrinsics_source": "given"}


def pose_of_camera(R: Float[np.ndarray, "3 3"], t_mm: Float[np.ndarray, "3"]) -> Row:
    """The columns of a camera that stands at X_camera = R X_world + t.

    Raises:
        BadFrame: bad_camera, the matrix is no rotation.
    """
    if not is_rotation(R):
        raise BadFrame("bad_camera", f"the camera's rotation is {np.asarray(R).tolist()}")
    return {"world_to_camera": np.concatenate([R, t_mm[:, None]], axis=1).reshape(-1)}


def joints_in_space(
    joints_mm: Float[np.ndarray, "21 3"],
    K: Float[np.ndarray, "3 3"],
    valid: Bool[np.ndarray, "21"] | None = None,
) -> Row:
    """Joints of the camera frame, where they lie in the picture, and the box that they span.

    Raises:
        BadFrame: bad_truth, a joint lies behind the camera.
    """
    known = np.isfinite(joints_mm).all(-1) & (True if valid is None else valid)
    joints_mm = np.where(known[:, None], joints_mm, np.nan)
    if (joints_mm[known, 2] <= 0).any():
        raise BadFrame("bad_truth", "joints lie behind the camera")
    return joints_in_picture(project(joints_mm, K), known) | {"joints_mm": joints_mm}


def joints_in_picture(uv_px: Float[np.ndarray, "21 2"], valid: Bool[np.ndarray, "21"]) -> Row:
    """Joints in the picture, and the box that they span."""
    uv_px = np.where(valid[:, None], uv_px, np.nan)
    row: Row = {"joints_uv_px": uv_px, "joints_valid": valid}
    if valid.sum() >= _LEAST_JOINTS:
        row |= {"bbox_px": box_around(uv_px[valid]), "box_source": "truth"}
    return row


def box_around(uv_px: Float[np.ndarray, "joints 2"]) -> list[float]:
    """The box of a hand whose joints lie here, its skin in it."""
    low, high = uv_px.min(0), uv_px.max(0)
    skin = _SKIN_SHARE * (high - low).max()
    low, high = low - skin, high + skin
    return [float(number) for number in (*low, *(high - low))]
