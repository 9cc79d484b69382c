"""The paired test: a correction is kept only where what it never saw agrees with it at least as well as before.

After the acceptance test of Neverova, Wolf, Nebout and Taylor (CVIU 2017): a repaired label replaces the raw one only
if other evidence fits it better. Here that is a second set of views, and the teacher's mask.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from semihand.hand.camera import project
from semihand.hand.circles import circle_centres, circle_depths_mm, generic_radii_mm, silhouette
from semihand.hand.crops import apply_affine
from semihand.methods.semihand.network import GRID_PX
from semihand.steps.cropping import Cameras
from semihand.steps.lifting import Halves

LEAST_OVERLAP_CHANGE = -0.01  # what noise of 3 mm a joint costs the true pose of the generic hand
_SOFTNESS = 2.0  # of the silhouette's edge, per px of the mask


class Evidence(NamedTuple):
    """What a pass says of its hands beside the label; row for row."""

    halves: Halves
    masks: Float[np.ndarray, "batch rows columns"]  # mean of the views' masks, 0..1
    cameras: Cameras


def closer_to(
    reference_mm: Float[np.ndarray, "batch 21 3"],
    raw_mm: Float[np.ndarray, "batch 21 3"],
    corrected_mm: Float[np.ndarray, "batch 21 3"],
) -> Bool[np.ndarray, " batch"]:
    """Whether the corrected pose lies no farther from a reference than the raw one, by the sum of squares.

    Of squares, because an independent error of the reference adds the same to both sides on average.
    """
    raw, corrected = (np.square(pose_mm - reference_mm).sum((1, 2)) for pose_mm in (raw_mm, corrected_mm))
    result: np.ndarray = corrected <= raw
    return result


def mask_agrees(
    raw_mm: Float[np.ndarray, "batch 21 3"],
    corrected_mm: Float[np.ndarray, "batch 21 3"],
    lengths_mm: Float[np.ndarray, "batch 20"],
    evidence: Evidence,
) -> Bool[np.ndarray, " batch"]:
    """Whether the corrected silhouette overlaps the mask as much as the raw one, but for `LEAST_OVERLAP_CHANGE`."""
    raw, corrected = (silhouette_overlap(pose, lengths_mm, evidence) for pose in (raw_mm, corrected_mm))
    result: np.ndarray = corrected - raw >= LEAST_OVERLAP_CHANGE
    return result


def silhouette_overlap(
    joints_mm: Float[np.ndarray, "batch 21 3"], lengths_mm: Float[np.ndarray, "batch 20"], evidence: Evidence
) -> Float[np.ndarray, " batch"]:
    """Soft intersection over union of the teacher's mask and the 55 circles of a pose, 0..1.

    Radii are those of the generic hand in proportion to the bones; NaN where a joint is not in front of the camera.

    Args:
        joints_mm: camera frame.
        lengths_mm: of the subjects' bones, which the radii follow.
        evidence: masks of the crops and the cameras that saw them.
    """
    cameras, masks = evidence.cameras, torch.from_numpy(evidence.masks).float()
    share = masks.shape[-1] / GRID_PX
    uv_px = project(joints_mm, cameras.intrinsics, cameras.distortion)
    uv = (torch.from_numpy(apply_affine(cameras.affine, uv_px)) + 0.5) * share - 0.5
    zoom = np.sqrt(np.abs(np.linalg.det(cameras.affine[:, :, :2])))
    px = torch.from_numpy(zoom * (cameras.intrinsics[:, 0, 0] + cameras.intrinsics[:, 1, 1]) / 2 * share)
    radii = generic_radii_mm(torch.from_numpy(lengths_mm)) * px[:, None] / circle_depths_mm(torch.from_numpy(joints_mm))
    drawn = silhouette(circle_centres(uv).float(), radii.float(), masks.shape[-1], _SOFTNESS)
    both = torch.minimum(masks, drawn).sum((1, 2))
    either = torch.maximum(masks, drawn).sum((1, 2)).clamp(min=1e-6)
    overlap: np.ndarray = (both / either).numpy()
    return overlap
