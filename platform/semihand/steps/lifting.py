"""From the views of a pass to poses in the original pictures and in the camera frame."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from semihand.hand.bones import scale_to_lengths
from semihand.hand.camera import lift, root_depth_from_bones, root_depth_from_scale
from semihand.hand.crops import apply_affine, invert_affine
from semihand.hand.skeleton import REFERENCE_BONE
from semihand.methods.semihand.batches import pose_in_crop
from semihand.methods.semihand.labeller import Views
from semihand.methods.semihand.losses import instability
from semihand.steps.cropping import Cameras


class Poses(NamedTuple):
    """What the views of a pass amount to, in the original pictures and in the camera frame."""

    uv_px: Float[np.ndarray, "batch 21 2"]
    joints_mm: Float[np.ndarray, "batch 21 3"]
    spread_grid_px: Float[np.ndarray, "batch 21"]  # px of a 64 px crop
    spread_px: Float[np.ndarray, "batch 21"]
    covariance_mm2: Float[np.ndarray, "batch 21 3 3"]
    stability: Float[np.ndarray, " batch"]
    mask_agreement: Float[np.ndarray, " batch"]
    masks: Float[np.ndarray, "batch rows columns"]


class Halves(NamedTuple):
    """The consensus of every second view, and that of the others, which knows nothing of the first."""

    even_mm: Float[np.ndarray, "batch 21 3"]
    even_covariance_mm2: Float[np.ndarray, "batch 21 3 3"]
    odd_mm: Float[np.ndarray, "batch 21 3"]


def lifted(views: Views, cameras: Cameras, lengths_mm: Float[np.ndarray, "batch 20"]) -> Poses:
    """Into the original picture, and into space at the depth where the bones have their subject's lengths.

    The reference bone gives the depth (Iqbal et al., ECCV 2018); all bones together then correct the scale.
    """
    uv, depth, masks, views_uv, views_depth, stability, agreement = (
        column.cpu().numpy().astype(np.float64) for column in views
    )
    place = _Place(uv, depth, cameras, lengths_mm)
    uv_px, each_uv_px = place.in_picture(uv), place.in_picture(views_uv)
    offset = (place.in_space(each_uv_px, views_depth) - place.joints_mm) * place.factor
    return Poses(
        uv_px=uv_px,
        joints_mm=place.joints_mm * place.factor,
        spread_grid_px=np.sqrt(np.square(views_uv - uv).sum(-1).mean(0)),
        spread_px=np.sqrt(np.square(each_uv_px - uv_px).sum(-1).mean(0)),
        covariance_mm2=_covariance(offset),
        stability=stability,
        mask_agreement=agreement,
        masks=masks,
    )


def halves(views: Views, cameras: Cameras, lengths_mm: Float[np.ndarray, "batch 20"]) -> Halves:
    """The even and the odd views apart, at the distance and size that all views give the hand."""
    uv, depth, views_uv, views_depth = (
        column.cpu().numpy().astype(np.float64) for column in (views.uv, views.depth, views.views_uv, views.views_depth)
    )
    place = _Place(uv, depth, cameras, lengths_mm)
    each_mm = place.in_space(place.in_picture(views_uv), views_depth) * place.factor
    even_mm, odd_mm = (
        place.in_space(place.in_picture(np.median(views_uv[start::2], 0)), np.median(views_depth[start::2], 0))
        * place.factor
        for start in (0, 1)
    )
    return Halves(even_mm, _covariance(each_mm[::2] - even_mm), odd_mm)


def divergence_mm(
    a_mm: Float[np.ndarray, "batch 21 3"], b_mm: Float[np.ndarray, "batch 21 3"], root: int
) -> Float[np.ndarray, " batch"]:
    """Mean distance between the joints of two poses, each relative to its own root, mm."""
    away = (a_mm - a_mm[:, [root]]) - (b_mm - b_mm[:, [root]])
    mean: np.ndarray = np.linalg.norm(away, axis=-1).mean(-1)
    return mean


def instability_about(
    joints_mm: Float[np.ndarray, "batch 21 3"], views: Views, cameras: Cameras, depth_weight: float
) -> Float[np.ndarray, " batch"]:
    """`instability` of the views about a pose in space instead of their own consensus; NaN behind the camera."""
    uv, depth = (torch.from_numpy(column) for column in pose_in_crop(joints_mm, *cameras))
    found: np.ndarray = instability(uv, depth, views.views_uv.cpu(), views.views_depth.cpu(), depth_weight).numpy()
    return found


class _Place:
    """Where the consensus puts the hands: one depth and one factor a row, for all its views."""

    def __init__(self, uv: np.ndarray, depth: np.ndarray, cameras: Cameras, lengths_mm: np.ndarray) -> None:
        self._back, self._cameras = invert_affine(cameras.affine), cameras
        self._scale_mm = lengths_mm[:, REFERENCE_BONE]
        uv_px, K, lens = self.in_picture(uv), cameras.intrinsics, cameras.distortion
        root = root_depth_from_scale(uv_px, depth, K, self._scale_mm, lens)
        self._root_mm = np.where(np.isfinite(root), root, root_depth_from_bones(uv_px, depth, K, lengths_mm, lens))
        self.joints_mm = self.in_space(uv_px, depth)
        self.factor = scale_to_lengths(self.joints_mm, lengths_mm)[:, None, None]

    def in_picture(self, uv: np.ndarray) -> np.ndarray:
        """Pixels of a 64 px crop as pixels of the picture."""
        return apply_affine(self._back, uv)

    def in_space(self, uv_px: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Camera frame, mm, before the factor."""
        K, lens = self._cameras.intrinsics, self._cameras.distortion
        return lift(uv_px, depth, K, self._scale_mm, self._root_mm, lens)


def _covariance(offset_mm: np.ndarray) -> np.ndarray:
    covariance: np.ndarray = np.einsum("vbji,vbjk->bjik", offset_mm, offset_mm) / len(offset_mm)
    return covariance
