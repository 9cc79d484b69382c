"""The losses of SemiHand, numbered as in the paper (Yang, Chen and Yao, ICCV 2021)."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from semihand.methods.semihand.network import GRID_PX, Prediction


class LossConfig(BaseModel, frozen=True, extra="forbid"):
    """Weights of the losses; the λ are the paper's."""

    depth_weight: PositiveFloat = Field(
        default=50.0,
        description="lambda_d: a reference bone of depth weighs as much as the root of this in px of a 64 px crop",
    )
    mask_weight: NonNegativeFloat = Field(default=100.0, description="lambda_w: weight of the predicted mask's error")
    consistency_weight: NonNegativeFloat = Field(
        default=0.1, description="lambda_c: weight of the views' agreement (L_vc); 0: off"
    )
    # In the paper L_d2m is a sum over the pixels: as a mean it does not depend on the mask's resolution.
    cross_modal_weight: NonNegativeFloat = Field(
        default=0.0,
        description="weight of the pose's fit into the predicted mask (L_cc); 0.1 in the paper; 0: off",
    )
    label_weight: NonNegativeFloat = Field(
        default=1.0, description="weight of selected labels (L_unsup); 1 in the paper"
    )
    registration_weight: NonNegativeFloat = Field(
        default=0.0,
        description="weight of every label's corrected pose, selected or not (eqs. 5 and 6); 1 in the paper; 0: off",
    )
    # Soft-argmax alone is slow to learn where to look, because wide heatmaps give it hardly a gradient.
    heatmap_weight: NonNegativeFloat = Field(
        default=3.0,
        description="weight of heatmaps against a Gaussian about the truth, on source crops; 0, as in the paper: off",
    )
    label_heatmap_weight: NonNegativeFloat = Field(
        default=0.0, description="heatmap_weight of pseudo-labels, weighted by them as L_unsup is; 0: off"
    )
    heatmap_px: PositiveFloat = Field(
        default=2.0, description="standard deviation of these Gaussians, px of a 64 px crop"
    )
    distance: Literal["squared", "huber"] = Field(
        default="huber", description="squared, as in the paper, or huber, which bounds what one joint can say"
    )
    huber_px: float = Field(default=2.0, gt=0, description="where the Huber distance turns linear, px of a 64 px crop")


def pose_distance(a: Prediction, b: Prediction, config: LossConfig) -> Float[Tensor, "batch 21"]:
    """ℓ of eq. 2 for every joint: ‖uv₁ − uv₂‖² + λ_d ‖d₁ − d₂‖², px² of a 64 px crop.

    With `distance="huber"` the square grows into a straight line beyond `huber_px`. Where the depth of `b` is NaN,
    only its place in the picture is known: the depth term is 0.
    """
    depth = torch.where(b.depth.isnan(), a.depth.detach(), b.depth)
    squared = (a.uv - b.uv).square().sum(-1) + config.depth_weight * (a.depth - depth).square()
    if config.distance == "squared":
        return squared
    delta = config.huber_px
    root = (squared + 1e-12).sqrt()
    return torch.where(root <= delta, squared, 2 * delta * root - delta**2)


def mask_distance(
    mask_logits: Float[Tensor, "batch rows columns"], mask: Float[Tensor, "batch rows columns"]
) -> Float[Tensor, " batch"]:
    """‖w₁ − w₂‖₁ of eqs. 3 and 10, mean over the pixels."""
    return (torch.sigmoid(mask_logits) - mask).abs().flatten(1).mean(1)


def supervised_loss(
    predicted: Prediction,
    truth: Prediction,
    joint_weight: Float[Tensor, "batch 21"],
    mask_weight: Float[Tensor, " batch"],
    config: LossConfig,
) -> Float[Tensor, ""]:
    """L_sup of eq. 3: ℓ(p, p_gt) + λ_w ‖w − w_gt‖₁; `truth.mask_logits` holds the mask itself, 0..1."""
    pose = (pose_distance(predicted, truth, config) * joint_weight).mean()
    mask = (mask_distance(predicted.mask_logits, truth.mask_logits) * mask_weight).mean()
    return pose + config.mask_weight * mask


def heatmap_loss(
    predicted: Prediction, uv: Float[Tensor, "batch 21 2"], joint_weight: Float[Tensor, "batch 21"], sigma_px: float
) -> Float[Tensor, ""]:
    """Cross-entropy from a Gaussian about each true joint to its heatmap (after DSNT, Nibali et al. 2018)."""
    assert predicted.log_heat is not None
    side = math.isqrt(predicted.log_heat.shape[-1])
    centres = (torch.arange(side, device=uv.device) + 0.5) * (GRID_PX / side) - 0.5
    # a Gaussian's columns and rows are apart, also where the map's edge cuts it off
    along = torch.softmax(-(uv.unsqueeze(-1) - centres).square() / (2 * sigma_px**2), dim=-1)
    heat = predicted.log_heat.reshape(*uv.shape[:-1], side, side)
    entropy = -torch.einsum("bjvu,bju,bjv->bj", heat, along[:, :, 0], along[:, :, 1])
    return (entropy * joint_weight).mean()


def label_loss(
    predicted: Prediction, label: Prediction, joint_weight: Float[Tensor, "batch 21"], config: LossConfig
) -> Float[Tensor, ""]:
    """L_unsup of eq. 4: 1(C(p̂) ≤ τ) ℓ(p, p̂), the gate being the weight 0 or 1 (or anything between) of a joint."""
    return (pose_distance(predicted, label, config) * joint_weight).mean()


def view_consistency_loss(
    of_view: Prediction, view_of: Prediction, inside: Float[Tensor, "batch rows columns"], config: LossConfig
) -> Float[Tensor, ""]:
    """L_vc of eq. 10: ℓ(f(p; T(x)), T(f(p; x))) + ‖f(w; T(x)) − T(f(w; x))‖₁.

    Args:
        of_view: the prediction for the transformed crop.
        view_of: the transformed prediction for the crop; `mask_logits` holds the mask itself, 0..1.
        inside: 1 where the transformed crop shows the crop, 0 where it came from beyond its edge.
        config: the weights.
    """
    pose = pose_distance(of_view, view_of, config).mean()
    difference = (torch.sigmoid(of_view.mask_logits) - view_of.mask_logits).abs() * inside
    return pose + difference.mean()


def instability(
    consensus_uv: Float[Tensor, "batch 21 2"],
    consensus_depth: Float[Tensor, "batch 21"],
    views_uv: Float[Tensor, "views batch 21 2"],
    views_depth: Float[Tensor, "views batch 21"],
    depth_weight: float,
) -> Float[Tensor, " batch"]:
    """First term of C(p̂), eq. 8: ℓ(T(p̂), f(p|θ; T(x))), mean over views and joints; px² of a 64 px crop.

    The views are compared in the frame of the crop; the transforms are similarities of about unit scale, so the
    distance is the same one up to that scale.
    """
    uv = (views_uv - consensus_uv).square().sum(-1)
    depth = (views_depth - consensus_depth).square()
    return (uv + depth_weight * depth).mean(dim=(0, 2))
