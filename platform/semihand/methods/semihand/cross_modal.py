"""Cross-modal consistency of SemiHand (eqs. 11 to 14): the 2D pose, drawn as 55 circles, against the mask.

Both losses are means over the mask's pixels, where the paper prints sums: a weight then means the same at every
resolution of the mask. All lengths are in pixels of a 64 px crop.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from semihand.hand.circles import circle_centres, signed_distance_px
from semihand.methods.semihand.network import GRID_PX
from semihand.methods.semihand.radii import RadiusNetwork

SOFTNESS_PER_PX = 2.0  # the slope with which a pixel of a 32 x 32 mask, 2 px wide, fills up as an edge crosses it


def hand_distance(
    uv: Float[Tensor, "batch 21 2"], radii: Float[Tensor, "batch 55"], size: int
) -> Float[Tensor, "batch {size} {size}"]:
    """How far the centre of every cell of a size x size mask lies outside the circles; below zero inside.

    Args:
        uv: joints in px of a 64 px crop.
        radii: of G(uv), same px.
        size: cells a side; cell c has its centre at (c + 0.5) * 64 / size - 0.5 px.
    """
    cell_px = GRID_PX / size
    centres = (circle_centres(uv) + 0.5) / cell_px - 0.5
    distance: Tensor = signed_distance_px(centres, radii / cell_px, size) * cell_px
    return distance


def pose_to_mask_loss(
    distance: Float[Tensor, "batch rows columns"], mask: Float[Tensor, "batch rows columns"]
) -> Float[Tensor, ""]:
    """L_m2d of eq. 12, ‖R(G(uv)) − w‖₁, mean over the pixels; R is soft, so that it has a gradient.

    Args:
        distance: of `hand_distance`.
        mask: 0..1; no gradient reaches it, so that a bad pose cannot ruin it.
    """
    return (torch.sigmoid(-SOFTNESS_PER_PX * distance) - mask.detach()).abs().mean()


def mask_to_pose_loss(
    distance: Float[Tensor, "batch rows columns"], mask: Float[Tensor, "batch rows columns"]
) -> Float[Tensor, ""]:
    """L_d2m of eqs. 13 and 14, px, mean over the pixels: mask that no circle reaches, circles that leave the mask.

    Where the mask is neither 0 nor 1 both branches of eq. 14 count by their share.
    """
    mask = mask.detach()
    return (mask * distance.clamp(min=0) + (1 - mask) * (-distance).clamp(min=0)).mean()


def cross_modal_loss(
    uv: Float[Tensor, "batch 21 2"], mask: Float[Tensor, "batch rows columns"], radii: RadiusNetwork
) -> Float[Tensor, ""]:
    """L_cc of eq. 11, L_m2d + L_d2m, for square masks of any resolution.

    Args:
        uv: joints in px of a 64 px crop.
        mask: 0..1; taken as it is, without gradient.
        radii: the frozen network; the joints' gradient passes through it.
    """
    distance = hand_distance(uv, radii(uv), mask.shape[-1])
    return pose_to_mask_loss(distance, mask) + mask_to_pose_loss(distance, mask)
