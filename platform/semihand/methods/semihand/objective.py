"""What one optimiser step of SemiHand minimises: views of source and target crops, and eq. 1 over them.

Where the network has several stacks, every stack learns from truth and labels; the last one alone is held to
be consistent.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

import torch
from jaxtyping import Float
from pydantic import BaseModel, Field
from torch import Tensor

from semihand.methods.semihand.augmentation import (
    AppearanceConfig,
    PerturbationConfig,
    WarpConfig,
    as_float,
    change_appearance,
    change_background,
    random_perturbation,
    random_warp,
    warp_pictures,
    warp_points,
)
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.cross_modal import cross_modal_loss
from semihand.methods.semihand.losses import (
    LossConfig,
    heatmap_loss,
    label_loss,
    supervised_loss,
    view_consistency_loss,
)
from semihand.methods.semihand.network import Prediction
from semihand.methods.semihand.radii import RadiusNetwork


class ObjectiveConfig(BaseModel, frozen=True, extra="forbid"):
    """The losses and the views they are taken on."""

    losses: LossConfig = Field(default=LossConfig(), description="weights of the losses")
    warp: WarpConfig = Field(default=WarpConfig(), description="how far a crop is turned, scaled and moved")
    source_appearance: AppearanceConfig = Field(
        default=AppearanceConfig(), description="how far the pixels of source crops change"
    )
    target_appearance: AppearanceConfig = Field(
        default=AppearanceConfig(background=0.0, skin=0.0, noise=0.03, blur=0.2),
        description="how far the pixels of target crops change; background and skin do nothing without a mask",
    )
    consistency: Literal["teacher", "student"] = Field(
        default="teacher",
        description="whose prediction for the crop a view must agree with; the paper has the student's own",
    )
    consistency_view: Literal["diverse", "perturbed"] = Field(
        default="diverse",
        description="diverse: the strong view that labels are learned on; perturbed: a gentle one (the paper)",
    )
    perturbation: PerturbationConfig = Field(
        default=PerturbationConfig(), description="the perturbed view, which costs one more pass"
    )
    consistency_every: int = Field(
        default=1, ge=1, le=16, description="consistency at every n-th step alone, weighed n times: fewer passes"
    )


class Network(Protocol):
    """A `HandNetwork`, or what wraps one for several workers."""

    def __call__(self, crops: Float[Tensor, "batch 3 rows columns"]) -> Prediction: ...


class View(NamedTuple):
    """Random views of some crops, and how they came about."""

    pictures: Float[Tensor, "batch 3 rows columns"]
    truth: Prediction  # of the view; its mask_logits hold the mask itself, at the network's mask resolution
    warp: Float[Tensor, "batch 2 3"]


def source_view(crops: Crops, config: ObjectiveConfig, generator: torch.Generator) -> View:
    """The strongest augmentation: background and skin through the mask, warp, colour, blur, patch, noise."""
    pictures, masks = as_float(crops.pictures), as_float(crops.masks)
    warp = random_warp(crops.num_rows, config.warp, generator).to(pictures.device)
    pictures, masks = warp_pictures(pictures, warp), warp_pictures(masks, warp, padding="zeros")
    known = crops.has_mask.view(-1, 1, 1, 1)
    replaced = change_background(pictures, masks, config.source_appearance, generator)
    pictures = replaced * known + pictures * (1 - known)
    pictures = change_appearance(pictures, config.source_appearance, generator)
    return View(pictures, _truth(crops, masks, warp), warp)


def target_view(crops: Crops, config: ObjectiveConfig, generator: torch.Generator) -> View:
    """The same warps, and changes of appearance that need no mask."""
    pictures, masks = as_float(crops.pictures), as_float(crops.masks)
    warp = random_warp(crops.num_rows, config.warp, generator).to(pictures.device)
    pictures, masks = warp_pictures(pictures, warp), warp_pictures(masks, warp, padding="zeros")
    pictures = change_appearance(pictures, config.target_appearance, generator)
    return View(pictures, _truth(crops, masks, warp), warp)


def perturbed_view(crops: Crops, config: ObjectiveConfig, generator: torch.Generator) -> View:
    """T of eq. 10: the crops moved or turned, their appearance as it is."""
    pictures, masks = as_float(crops.pictures), as_float(crops.masks)
    warp = random_perturbation(crops.num_rows, config.perturbation, generator).to(pictures.device)
    pictures, masks = warp_pictures(pictures, warp), warp_pictures(masks, warp, padding="zeros")
    return View(pictures, _truth(crops, masks, warp), warp)


def _truth(crops: Crops, masks: Tensor, warp: Tensor) -> Prediction:
    small = torch.nn.functional.avg_pool2d(masks, 2)[:, 0]
    return Prediction(warp_points(crops.uv, warp), crops.depth, small)


def source_loss(predicted: Prediction, view: View, crops: Crops, config: LossConfig) -> Float[Tensor, ""]:
    """L_sup (eq. 3) over joints that the view still shows, summed over the stacks."""
    visible = _inside(view.truth.uv) * crops.joint_weight
    loss = torch.zeros(())
    for said in predicted.stacks():
        loss = loss + supervised_loss(said, view.truth, visible, crops.has_mask, config)
        if config.heatmap_weight:
            loss = loss + config.heatmap_weight * heatmap_loss(said, view.truth.uv, visible, config.heatmap_px)
    return loss


def labels_loss(predicted: Prediction, view: View, crops: Crops, config: LossConfig) -> Float[Tensor, ""]:
    """L_unsup (eq. 4) over joints that the view still shows, summed over the stacks."""
    visible = _inside(view.truth.uv) * crops.joint_weight
    loss = torch.zeros(())
    for said in predicted.stacks():
        loss = loss + label_loss(said, view.truth, visible, config)
        if config.label_heatmap_weight:
            loss = loss + config.label_heatmap_weight * heatmap_loss(said, view.truth.uv, visible, config.heatmap_px)
    return loss


def registration_loss(predicted: Prediction, view: View, crops: Crops, config: LossConfig) -> Float[Tensor, ""]:
    """ℓ(r, p) of eqs. 5 and 6, r the corrected label, selected or not; summed over the stacks."""
    registered = Prediction(warp_points(crops.registered_uv, view.warp), crops.registered_depth, view.truth.mask_logits)
    visible = _inside(registered.uv) * crops.registered_weight
    return sum((label_loss(said, registered, visible, config) for said in predicted.stacks()), torch.zeros(()))


def consistency_loss(predicted: Prediction, view: View, of_crop: Prediction, config: LossConfig) -> Float[Tensor, ""]:
    """L_vc (eq. 10): the prediction for the views against the warped prediction for the crops."""
    mask = torch.sigmoid(of_crop.mask_logits).unsqueeze(1)
    moved = Prediction(
        warp_points(of_crop.uv, view.warp),
        of_crop.depth,
        warp_pictures(mask, view.warp, padding="zeros")[:, 0],
    )
    inside = warp_pictures(torch.ones_like(mask), view.warp, padding="zeros")[:, 0]
    return view_consistency_loss(predicted, moved, inside, config)


def mask_loss(predicted: Prediction, radii: RadiusNetwork) -> Float[Tensor, ""]:
    """L_cc (eq. 11): the predicted pose against the predicted mask, which it cannot change."""
    return cross_modal_loss(predicted.uv, torch.sigmoid(predicted.mask_logits), radii)


def weighted_sum(losses: Mapping[str, Float[Tensor, ""]], config: LossConfig) -> Float[Tensor, ""]:
    """L of eq. 1, of as many terms as there are."""
    weights = {
        "supervised": 1.0,
        "labels": config.label_weight,
        "registration": config.registration_weight,
        "consistency": config.consistency_weight,
        "cross_modal": config.cross_modal_weight,
    }
    return sum((weights[name] * loss for name, loss in losses.items()), torch.zeros(()))


def _inside(uv: Float[Tensor, "batch 21 2"]) -> Float[Tensor, "batch 21"]:
    """1 where a joint lies in the view or at most a few px beyond its edge."""
    return ((uv > -4) & (uv < 67)).all(-1).float()
