"""What the teacher says of a crop: several test-time views, their consensus and how far they disagree."""

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
    warp_pictures,
    warp_points,
)
from semihand.methods.semihand.losses import instability
from semihand.methods.semihand.network import HandNetwork


class ViewConfig(BaseModel, frozen=True, extra="forbid"):
    """The test-time views of a crop."""

    num_views: Annotated[int, Field(ge=2, le=64)] = 8  # the first is the crop itself
    warp: WarpConfig = WarpConfig(rotation_deg=30.0, scale=1.15, translation_px=3.0)
    depth_weight: Annotated[float, Field(gt=0)] = 50.0  # λ_d of the stability in eq. 8


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
    depth_weight: float,
) -> Views:
    """Predict every view of every crop, bring the answers back to the crop, and take their median.

    The median is the consensus because one view that sees another hand would pull a mean along.
    """
    num_views, num = warps.shape[:2]
    flat = warps.flatten(0, 1)
    pictures = as_float(crops).repeat(num_views, 1, 1, 1)
    predicted = network(warp_pictures(pictures, flat))
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


def merge_views(a: Views, b: Views, depth_weight: float) -> Views:
    """Two teachers' views of the same crops as one set: the mean of both consensus poses, and all views beside it."""
    uv, depth = (a.uv + b.uv) / 2, (a.depth + b.depth) / 2
    views_uv, views_depth = torch.cat([a.views_uv, b.views_uv]), torch.cat([a.views_depth, b.views_depth])
    return Views(
        uv,
        depth,
        (a.mask + b.mask) / 2,
        views_uv,
        views_depth,
        instability(uv, depth, views_uv, views_depth, depth_weight),
        (a.mask_agreement + b.mask_agreement) / 2,
    )


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
