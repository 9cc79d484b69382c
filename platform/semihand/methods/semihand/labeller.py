"""What the teacher says of a crop: several test-time views, their consensus and how far they disagree."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import BaseModel, Field
from torch import Tensor

from semihand.methods.semihand.augmentation import (
    WarpConfig,
    as_float,
    invert_warp,
    random_warp,
    smooth_pictures,
    warp_pictures,
    warp_points,
)
from semihand.methods.semihand.losses import instability
from semihand.methods.semihand.network import HandNetwork

_LEAST_VARIANCE_PX2 = 1e-6
_MEAN_SHIFTS = 10


class ViewConfig(BaseModel, frozen=True, extra="forbid"):
    """The test-time views of a crop."""

    num_views: int = Field(
        default=8, ge=2, le=64, description="views that a label is agreed on by, the first the crop itself"
    )
    warp: WarpConfig = Field(
        default=WarpConfig(rotation_deg=30.0, scale=1.15, translation_px=3.0),
        description="how far the other views are turned, scaled and moved",
    )
    smoothing_px: tuple[Annotated[float, Field(ge=0, le=8)], ...] = Field(
        default=(0.0,),
        min_length=1,
        max_length=8,
        description="widths of Gaussians, px of a 64 px crop: all views of the crop smoothed by each; 0: as it is",
    )
    depth_weight: float = Field(default=50.0, gt=0, description="lambda_d of the stability in eq. 8: what depth counts")
    # Where views are of two minds, their median lies halfway.
    mode_px: Annotated[float, Field(gt=0, le=64)] | None = Field(
        default=None,
        description="agree on the mode of the poses, by a kernel of this width (px of a 64 px crop); None: median",
    )


class Views(NamedTuple):
    """Consensus and single views of a batch, in pixels of a 64 px crop and reference bones."""

    uv: Float[Tensor, "batch 21 2"]
    depth: Float[Tensor, "batch 21"]
    mask: Float[Tensor, "batch rows columns"]  # 0..1
    views_uv: Float[Tensor, "views batch 21 2"]
    views_depth: Float[Tensor, "views batch 21"]
    stability: Float[Tensor, " batch"]  # first term of C(p̂), eq. 8, px²; lower is better
    mask_agreement: Float[Tensor, " batch"]  # mean overlap of the views' masks with their mean, 0..1


def view_warps(frame_ids: list[str], config: ViewConfig) -> Float[Tensor, "views batch 2 3"]:
    """The warps of every frame's views; a function of its id alone, so that a label never depends on neighbours."""
    warps = []
    for frame_id in frame_ids:
        generator = torch.Generator().manual_seed(int(frame_id[:15], 16))
        warps.append(random_warp(config.num_views, config.warp, generator))
    stacked = torch.stack(warps, dim=1)
    stacked[0] = torch.eye(3)[:2]
    return stacked


@torch.no_grad()
def look(
    network: HandNetwork,
    crops: UInt8[Tensor, "batch 3 rows columns"],
    warps: Float[Tensor, "views batch 2 3"],
    config: ViewConfig,
) -> Views:
    """Predict every view of every crop, bring the answers back to the crop, and agree on a pose.

    The views of one smoothing agree on their median, because one view that sees another hand would pull a mean along.
    The smoothings then agree on their mean by inverse variance: which of them suits a camera's noise shows in how
    little their views differ, without any label. Or all views agree on their mode, weighed alike.
    """
    pictures = as_float(crops)
    looks = [_look(network, smooth_pictures(pictures, px), warps, config.depth_weight) for px in config.smoothing_px]
    variance_px2 = torch.stack([each.stability for each in looks]).clamp(min=_LEAST_VARIANCE_PX2)
    views = merge_views(looks, 1 / variance_px2, config.depth_weight)
    if config.mode_px is None:
        return views
    weights = (1 / variance_px2).repeat_interleave(len(warps), dim=0)
    uv, depth = mode_of_views(views.views_uv, views.views_depth, weights, config.mode_px, config.depth_weight)
    stability = instability(uv, depth, views.views_uv, views.views_depth, config.depth_weight)
    return views._replace(uv=uv, depth=depth, stability=stability)


def _look(
    network: HandNetwork,
    pictures: Float[Tensor, "batch 3 rows columns"],
    warps: Float[Tensor, "views batch 2 3"],
    depth_weight: float,
) -> Views:
    num_views, num = warps.shape[:2]
    flat = warps.flatten(0, 1)
    predicted = network(warp_pictures(pictures.repeat(num_views, 1, 1, 1), flat))
    back = invert_warp(flat)
    uv = warp_points(predicted.uv, back).view(num_views, num, *predicted.uv.shape[1:])
    depth = predicted.depth.view(num_views, num, -1)
    masks = warp_pictures(torch.sigmoid(predicted.mask_logits).unsqueeze(1), back, padding="zeros")
    masks = masks.view(num_views, num, *masks.shape[-2:])
    consensus_uv, consensus_depth = _median(uv), _median(depth)
    return Views(
        consensus_uv,
        consensus_depth,
        masks.mean(0),
        uv,
        depth,
        instability(consensus_uv, consensus_depth, uv, depth, depth_weight),
        _agreement(masks),
    )


def merge_views(looks: Sequence[Views], weights: Float[Tensor, "looks batch"], depth_weight: float) -> Views:
    """Several looks at the same crops as one: the weighted mean of their consensus poses, and all views beside it."""
    if len(looks) == 1:
        return looks[0]
    share = weights / weights.sum(0)

    def mean(name: str) -> Tensor:
        values = torch.stack([getattr(each, name) for each in looks])
        return (values * share.view(*share.shape, *[1] * (values.dim() - 2))).sum(0)

    uv, depth = mean("uv"), mean("depth")
    views_uv = torch.cat([each.views_uv for each in looks])
    views_depth = torch.cat([each.views_depth for each in looks])
    stability = instability(uv, depth, views_uv, views_depth, depth_weight)
    return Views(uv, depth, mean("mask"), views_uv, views_depth, stability, mean("mask_agreement"))


def mode_of_views(
    views_uv: Float[Tensor, "views batch 21 2"],
    views_depth: Float[Tensor, "views batch 21"],
    weights: Float[Tensor, "views batch"],
    width_px: float,
    depth_weight: float,
) -> tuple[Float[Tensor, "batch 21 2"], Float[Tensor, "batch 21"]]:
    """Where the views' poses lie densest: mean shift with a Gaussian kernel (Comaniciu, Meer, PAMI 2002).

    Where some views take the back of a hand for its palm, the median lies between both poses and is neither; the mode
    is the pose that more of the views see. Poses are compared whole, by the distance of eq. 8.

    Args:
        views_uv: px of a 64 px crop.
        views_depth: reference bones.
        weights: of the views, above zero.
        width_px: standard deviation of the kernel, root mean square over the joints.
        depth_weight: λ_d of eq. 8.

    Returns:
        uv and depth of the mode that is reached from the densest view.
    """
    depth = depth_weight**0.5 * views_depth
    poses = torch.cat([views_uv, depth.unsqueeze(-1)], dim=-1).flatten(2).transpose(0, 1)  # batch views 63
    weights = (weights / weights.sum(0)).T.unsqueeze(1)  # batch 1 views

    def nearness(centre: Float[Tensor, "batch centres 63"]) -> Float[Tensor, "batch centres views"]:
        square = (centre.unsqueeze(2) - poses.unsqueeze(1)).square().sum(-1) / views_uv.shape[2]
        return weights * torch.exp(-square / (2 * width_px**2))

    densest = nearness(poses).sum(-1).argmax(1)
    mode = poses[torch.arange(len(poses)), densest].unsqueeze(1)
    for _ in range(_MEAN_SHIFTS):
        near = nearness(mode)
        mode = near @ poses / near.sum(-1, keepdim=True)
    uvd = mode.view(len(poses), -1, 3)
    return uvd[..., :2], uvd[..., 2] / depth_weight**0.5


def _median(values: Tensor) -> Tensor:
    """The median over the first axis; of an even number the mean of the middle two."""
    ordered = values.sort(dim=0).values
    num = values.shape[0]
    return (ordered[(num - 1) // 2] + ordered[num // 2]) / 2


def _agreement(masks: Float[Tensor, "views batch rows columns"]) -> Float[Tensor, " batch"]:
    """Soft intersection over union of every mask with the mean mask, averaged over the views."""
    mean = masks.mean(0, keepdim=True)
    both = torch.minimum(masks, mean).sum(dim=(-1, -2))
    either = torch.maximum(masks, mean).sum(dim=(-1, -2)).clamp(min=1e-6)
    return (both / either).mean(0)


def as_crops(pictures: UInt8[np.ndarray, "batch rows columns 3"]) -> UInt8[Tensor, "batch 3 rows columns"]:
    """Pictures as the network's byte tensor."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
