"""What one optimiser step of SemiHand minimises: views of source and target crops, and eq. 1 over them."""

from typing import Literal, NamedTuple, Protocol

import torch
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor

from semihand.methods.semihand.augmentation import (
    AppearanceConfig,
    WarpConfig,
    as_float,
    change_appearance,
    change_background,
    random_warp,
    warp_pictures,
    warp_points,
)
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.losses import (
    LossConfig,
    heatmap_loss,
    label_loss,
    supervised_loss,
    view_consistency_loss,
)
from semihand.methods.semihand.network import Prediction


class ObjectiveConfig(BaseModel, frozen=True, extra="forbid"):
    """The losses and the views they are taken on."""

    losses: LossConfig = LossConfig()
    warp: WarpConfig = WarpConfig()
    source_appearance: AppearanceConfig = AppearanceConfig()
    target_appearance: AppearanceConfig = AppearanceConfig(background=0.0, skin=0.0, noise=0.03, blur=0.2)
    # Whose prediction for the crop itself the student's view must agree with: the EMA teacher's, or, as
    # printed in the paper, the student's own.
    consistency: Literal["teacher", "student"] = "teacher"


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


def _truth(crops: Crops, masks: Tensor, warp: Tensor) -> Prediction:
    small = torch.nn.functional.avg_pool2d(masks, 2)[:, 0]
    return Prediction(warp_points(crops.uv, warp), crops.depth, small)


def source_loss(predicted: Prediction, view: View, crops: Crops, config: LossConfig) -> Float[Tensor, ""]:
    """L_sup (eq. 3) over joints that the view still shows."""
    visible = _inside(view.truth.uv) * crops.joint_weight
    loss = supervised_loss(predicted, view.truth, visible, crops.has_mask, config)
    if config.heatmap_weight:
        loss = loss + config.heatmap_weight * heatmap_loss(predicted, view.truth.uv, visible, config.heatmap_px)
    return loss


def target_losses(
    predicted: Prediction, view: View, crops: Crops, of_crop: Prediction, config: LossConfig
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """L_unsup (eq. 4) and L_vc (eq. 10) of target views; `of_crop` is the prediction for the crops themselves."""
    visible = _inside(view.truth.uv) * crops.joint_weight
    labels = label_loss(predicted, view.truth, visible, config)
    if config.label_heatmap_weight:
        labels = labels + config.label_heatmap_weight * heatmap_loss(
            predicted, view.truth.uv, visible, config.heatmap_px
        )
    mask = torch.sigmoid(of_crop.mask_logits).unsqueeze(1)
    moved = Prediction(
        warp_points(of_crop.uv, view.warp),
        of_crop.depth,
        warp_pictures(mask, view.warp, padding="zeros")[:, 0],
    )
    inside = warp_pictures(torch.ones_like(mask), view.warp, padding="zeros")[:, 0]
    return labels, view_consistency_loss(predicted, moved, inside, config)


def _inside(uv: Float[Tensor, "batch 21 2"]) -> Float[Tensor, "batch 21"]:
    """1 where a joint lies in the view or at most a few px beyond its edge."""
    return ((uv > -4) & (uv < 67)).all(-1).float()
