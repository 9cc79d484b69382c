"""Alignments: what is taken out of a prediction before it is compared with the truth.

Every function returns the aligned prediction in the truth's place, so that the two can be subtracted as they
are. Each name says what is aligned; nothing else is.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float

from semihand.hand.bones import bone_lengths
from semihand.hand.skeleton import MIDDLE_MCP, REFERENCE_BONE

Joints = Float[np.ndarray, "*batch num_joints dim"]
Points = Float[np.ndarray, "*batch num_points 3"]
Joints21 = Float[np.ndarray, "*batch 21 3"]


def root_relative(joints: Joints, root: int = MIDDLE_MCP) -> Joints:
    """Joints relative to their root (-T). Root: given; scale: own; rotation: own. Any unit.

    SemiHand, Spurr, Yang and Iqbal use the middle MCP; FreiHAND, HO-3D and Kaviani the wrist (0).
    """
    centred: np.ndarray = joints - joints[..., root, None, :]
    return centred


def scale_and_root_known(
    pred_bones: Float[np.ndarray, "*batch 21 3"], truth_mm: Joints21, root: int = MIDDLE_MCP
) -> Joints21:
    """A prediction in reference-bone units, put to the truth's scale and root. Rotation: own.

    hand3d (Zimmermann & Brox, ICCV 2017) with root 0, SemiHand (Yang et al., ICCV 2021) with root 9: the
    scale is the true length of the middle finger's proximal bone. Works as well on a prediction in any other
    unit once it is divided by its own reference bone.

    Raises:
        ValueError: a number is not finite.
    """
    _check_finite(pred_bones=pred_bones, truth_mm=truth_mm)
    scale_mm = bone_lengths(truth_mm)[..., REFERENCE_BONE, None, None]
    placed: np.ndarray = root_relative(pred_bones, root) * scale_mm + truth_mm[..., root, None, :]
    return placed


def scale_aligned(pred_mm: Points, truth_mm: Points, root: int = MIDDLE_MCP) -> Points:
    """Root and best scale aligned, rotation own: the alignment of N-MPJPE (Rhodin et al., ECCV 2018).

    Both poses are root-centred; s = <p, g> / <p, p> over all coordinates of one pose.

    Raises:
        ValueError: a number is not finite, or all predicted joints coincide.
    """
    _check_poses(pred_mm, truth_mm)
    pred, truth = root_relative(pred_mm, root), root_relative(truth_mm, root)
    scale = _pose_sum(pred * truth) / _pose_sum(pred**2)
    aligned: np.ndarray = scale * pred + truth_mm[..., root, None, :]
    return aligned


def procrustes_aligned(pred_mm: Points, truth_mm: Points, allow_reflection: bool = False) -> Points:
    """Translation, rotation and scale aligned (PA): least squares, s = tr(S) / ||p||^2. No root.

    Args:
        pred_mm: prediction, at least 3 points a pose.
        truth_mm: truth.
        allow_reflection: let a mirrored hand pass for a right one, as scipy's orthogonal_procrustes and so
            FreiHAND's script do. By default the rotation is proper (determinant +1).

    Raises:
        ValueError: a number is not finite, or all predicted joints coincide.
    """
    _check_poses(pred_mm, truth_mm)
    pred_centre, truth_centre = pred_mm.mean(-2, keepdims=True), truth_mm.mean(-2, keepdims=True)
    pred, truth = pred_mm - pred_centre, truth_mm - truth_centre
    u, singular, vt = np.linalg.svd(np.swapaxes(pred, -1, -2) @ truth)
    if not allow_reflection:
        # The weakest direction is turned over where the best orthogonal matrix would be a mirror.
        sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0).astype(u.dtype)
        u[..., :, -1] *= sign[..., None]
        singular[..., -1] *= sign
    scale = singular.sum(-1)[..., None, None] / _pose_sum(pred**2)
    aligned: np.ndarray = scale * (pred @ (u @ vt)) + truth_centre
    return aligned


def sd_aligned(
    pred_mm: Points, truth_mm: Points, variant: Literal["norm", "least_squares", "projective"] = "norm"
) -> Points:
    """Scale and mean depth aligned (SD), x, y and rotation not; camera frame, absolute poses.

    Kaviani, Rahimi, Hartley (DICTA 2021) give it in words only: "aligning the overall scale and the mean
    depth of the predicted keypoints with the ground-truth". All three variants are reconstructions:

    * norm (SD-A, preferred): c + s (p - c) with s = ||g - c*|| / ||p - c||, c and c* the means of the joints;
      then the mean depth becomes the truth's.
    * least_squares (SD-A'): the same with s = <p - c, g - c*> / ||p - c||^2.
    * projective (SD-B): first k p with k = c*_z / c_z, which keeps every pixel, then the scale of norm.

    Raises:
        ValueError: a number is not finite, all predicted joints coincide, or (projective) a mean depth is
            not above zero.
    """
    _check_poses(pred_mm, truth_mm)
    truth_centre = truth_mm.mean(-2, keepdims=True)
    if variant == "projective":
        depth_mm = pred_mm[..., 2].mean(-1)
        if (depth_mm <= 0).any() or (truth_centre[..., 2] <= 0).any():
            raise ValueError(
                f"mean depth is {depth_mm.min()} mm, but variant 'projective' needs depths above 0; "
                "use absolute camera-frame joints or variant 'norm'"
            )
        pred_mm = pred_mm * (truth_centre[..., 2] / depth_mm[..., None])[..., None]
    centre = pred_mm.mean(-2, keepdims=True)
    pred, truth = pred_mm - centre, truth_mm - truth_centre
    spread = _pose_sum(pred**2)
    scale = _pose_sum(pred * truth) / spread if variant == "least_squares" else np.sqrt(_pose_sum(truth**2) / spread)
    aligned: np.ndarray = centre + scale * pred
    aligned[..., 2] += (truth_centre - centre)[..., 2]
    return aligned


def _pose_sum(values: np.ndarray) -> np.ndarray:
    total: np.ndarray = values.sum(axis=(-1, -2), keepdims=True)
    return total


def _check_poses(pred_mm: np.ndarray, truth_mm: np.ndarray) -> None:
    _check_finite(pred_mm=pred_mm, truth_mm=truth_mm)
    points = (pred_mm.max(-2) == pred_mm.min(-2)).all(-1)
    if points.any():
        index = [int(i) for i in np.argwhere(points)[0]]
        raise ValueError(f"pred_mm{index}: all joints coincide (extent 0 mm), so there is no scale; drop the pose")


def _check_finite(**values: np.ndarray) -> None:
    for name, value in values.items():
        wrong = ~np.isfinite(value)
        if wrong.any():
            index = [int(i) for i in np.argwhere(wrong)[0]]
            raise ValueError(f"{name}{index} is {value[wrong][0]}, but must be finite; drop the pose and count it")
