"""Hands as several noisy views see them: a consensus, its covariance, and the evidence of the paired test."""

import numpy as np
import torch
from jaxtyping import Float

from semihand.hand.bones import bone_lengths
from semihand.hand.camera import intrinsics_matrix, project
from semihand.hand.circles import circle_centres, circle_depths_mm, generic_radii_mm, render_circles
from semihand.hand.crops import apply_affine, crop_affine, square_box
from semihand.steps.cropping import Cameras
from semihand.steps.lifting import Halves
from semihand.steps.paired_test import Evidence

_FOCAL_PX, _SIDE = 500.0, 32


def seen(truth_mm: Float[np.ndarray, "batch 21 3"]) -> tuple[Cameras, Float[np.ndarray, "batch 32 32"]]:
    """Cameras that see every hand in a crop of its own, and the masks of the circles of the true hands."""
    num = len(truth_mm)
    K = np.broadcast_to(intrinsics_matrix(_FOCAL_PX, _FOCAL_PX, 320.0, 240.0), (num, 3, 3))
    uv_px = project(truth_mm, K)
    low, high = uv_px.min(1), uv_px.max(1)
    affine = crop_affine(square_box(np.concatenate([low, high - low], 1), 1.3), 64)
    cameras = Cameras(K, np.zeros((num, 8)), affine)
    uv = (torch.from_numpy(apply_affine(affine, uv_px)) + 0.5) * _SIDE / 64 - 0.5
    px = torch.from_numpy(affine[:, :1, 0] * _FOCAL_PX * _SIDE / 64) / circle_depths_mm(torch.from_numpy(truth_mm))
    radii = generic_radii_mm(torch.from_numpy(bone_lengths(truth_mm))) * px
    return cameras, render_circles(circle_centres(uv), radii, _SIDE).numpy()


def looked_at(
    truth_mm: Float[np.ndarray, "batch 21 3"], sigma_mm: float, seed: int
) -> tuple[Float[np.ndarray, "batch 21 3"], Float[np.ndarray, "batch 21 3 3"], Evidence]:
    """A consensus of eight noisy views, their covariance, and what the even and the odd ones say apart."""
    views = truth_mm + np.random.default_rng(seed).normal(0, sigma_mm * 8**0.5, (8, *truth_mm.shape))

    def said(some: Float[np.ndarray, "views batch 21 3"]) -> tuple[np.ndarray, np.ndarray]:
        away = some - some.mean(0)
        return some.mean(0), np.einsum("vbji,vbjk->bjik", away, away) / len(some)

    cameras, masks = seen(truth_mm)
    evidence = Evidence(Halves(*said(views[::2]), said(views[1::2])[0]), masks, cameras)
    return *said(views), evidence
