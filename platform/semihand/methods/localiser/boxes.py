"""Boxes as left, top, right and bottom edges, px, the way a batch of pictures needs them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def extent(points_px: Float[Tensor, "*batch P 2"]) -> Float[Tensor, "*batch 4"]:
    """The edges about points, half a pixel beyond their centres."""
    return torch.cat([points_px.amin(-2) - 0.5, points_px.amax(-2) + 0.5], dim=-1)


def clipped(boxes_px: Float[Tensor, "B *K 4"], within_px: Float[Tensor, "B 4"]) -> Float[Tensor, "B *K 4"]:
    """What of the boxes lies within others, one for each picture; one that lies outside has no area."""
    bounds = within_px.view(len(within_px), *[1] * (boxes_px.ndim - 2), 4)
    low = torch.minimum(torch.maximum(boxes_px, bounds[..., [0, 1, 0, 1]]), bounds[..., [2, 3, 2, 3]])
    return low


def area(boxes_px: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Width times height; 0 where either is negative."""
    return (boxes_px[..., 2:] - boxes_px[..., :2]).clamp(min=0).prod(-1)


def overlaps(
    first_px: Float[Tensor, "*batch M 4"], second_px: Float[Tensor, "*batch K 4"]
) -> Float[Tensor, "*batch M K"]:
    """Intersection over union of every pair."""
    one, other = first_px.unsqueeze(-2), second_px.unsqueeze(-3)
    edges = torch.cat([torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])], -1)
    shared = area(edges)
    return shared / (area(one) + area(other) - shared).clamp(min=1e-6)


def squares(boxes_px: Float[Tensor, "*batch 4"], margin: float) -> Float[Tensor, "*batch 4"]:
    """Squares about the boxes' middles, their longer side times the margin."""
    middle = (boxes_px[..., :2] + boxes_px[..., 2:]) / 2
    half = margin / 2 * (boxes_px[..., 2:] - boxes_px[..., :2]).amax(-1, keepdim=True)
    return torch.cat([middle - half, middle + half], dim=-1)


def at_least(squares_px: Float[Tensor, "N 4"], side_px: float | Tensor) -> Float[Tensor, "N 4"]:
    """Squares, the smaller ones grown about their middles to this side."""
    middle = (squares_px[:, :2] + squares_px[:, 2:]) / 2
    half = ((squares_px[:, 2:] - squares_px[:, :2]) / 2).clamp(min=side_px / 2)
    return torch.cat([middle - half, middle + half], dim=1)


def without_repeats(
    boxes_px: Float[Tensor, "N 4"], scores: Float[Tensor, " N"], most_overlap: float
) -> Bool[Tensor, " N"]:
    """Which boxes stay when those that overlap a better one too much go (greedy non-maximum suppression)."""
    overlap = overlaps(boxes_px, boxes_px)
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    for place in scores.argsort(descending=True, stable=True).tolist():
        kept[place] = not bool((overlap[place] * kept > most_overlap).any())
    return kept
