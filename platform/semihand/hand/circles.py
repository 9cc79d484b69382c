"""The 55-circle hand: a mask of the hand from its 2D joints alone (SemiHand, ICCV 2021, G and R of Eq. 12).

Each finger's three bones are cut into thirds, the tip is left out: 9 circles a finger, 45 in all. Each of
the five wrist-to-finger-base bones is cut into thirds, its two inner points give 10 circles of the palm.
Torch, so that masks have gradients; pixels are counted from their centres.
"""

from itertools import pairwise

import torch
from jaxtyping import Float

from semihand.hand.skeleton import FINGERS, NUM_JOINTS, WRIST

NUM_CIRCLES = 55
NUM_FINGER_CIRCLES = 45

# Radius of each circle over the length of its bone, where none are learned: fitted to the masks of 160 poses of the
# generic hand, which the circles then overlap by 0.82 (intersection over union at 32 px).
_FINGER_RADII = (
    (0.40, 0.33, 0.30, 0.39, 0.38, 0.36, 0.39, 0.35, 0.25),
    (0.37, 0.31, 0.30, 0.46, 0.42, 0.40, 0.41, 0.34, 0.16),
    (0.62, 0.42, 0.30, 0.41, 0.39, 0.36, 0.40, 0.34, 0.18),
    (0.58, 0.49, 0.34, 0.39, 0.37, 0.34, 0.38, 0.32, 0.17),
    (0.33, 0.28, 0.27, 0.42, 0.41, 0.40, 0.33, 0.27, 0.12),
)  # three circles to each bone, base to tip; thumb to little
_PALM_RADII = ((1.09, 0.67), (0.31, 0.28), (0.40, 0.48), (0.36, 0.36), (0.28, 0.24))  # from the wrist outwards
_BONE_OF_CIRCLE = [f[0] + bone for f in FINGERS.values() for bone in range(3) for _ in range(3)] + [
    f[0] - 1 for f in FINGERS.values() for _ in range(2)
]


def _centre_weights() -> torch.Tensor:
    """The (55, 21) matrix from joints to circle centres: 9 a finger, thumb to little, then 2 a palm bone."""
    rows = []

    def add(start: int, end: int, thirds: int) -> None:
        row = torch.zeros(NUM_JOINTS, dtype=torch.float64)
        row[start] += 1 - thirds / 3
        row[end] += thirds / 3
        rows.append(row)

    for finger in FINGERS.values():
        for start, end in pairwise(finger):
            for thirds in range(3):
                add(start, end, thirds)
    for finger in FINGERS.values():
        for thirds in (1, 2):
            add(WRIST, finger[0], thirds)
    return torch.stack(rows)


_CENTRE_WEIGHTS = _centre_weights()


def circle_centres(uv: Float[torch.Tensor, "*batch 21 2"]) -> Float[torch.Tensor, "*batch 55 2"]:
    """Circle centres in the joints' own pixels: 45 of the fingers, thumb to little, then 10 of the palm."""
    centres: torch.Tensor = _CENTRE_WEIGHTS.to(uv) @ uv
    return centres


def circle_depths_mm(joints_mm: Float[torch.Tensor, "*batch 21 3"]) -> Float[torch.Tensor, "*batch 55"]:
    """Depths of the circles' centres, camera frame."""
    depths: torch.Tensor = _CENTRE_WEIGHTS.to(joints_mm) @ joints_mm[..., 2:]
    return depths[..., 0]


def generic_radii_mm(lengths_mm: Float[torch.Tensor, "*batch 20"]) -> Float[torch.Tensor, "*batch 55"]:
    """Radii in the proportions of the generic hand: a fixed share of the length of each circle's bone."""
    shares = [share for finger in _FINGER_RADII for share in finger] + [share for pair in _PALM_RADII for share in pair]
    radii: torch.Tensor = lengths_mm[..., _BONE_OF_CIRCLE] * lengths_mm.new_tensor(shares)
    return radii


def signed_distance_px(
    centres: Float[torch.Tensor, "*batch circles 2"],
    radii: Float[torch.Tensor, "*batch circles"],
    size_px: int,
) -> Float[torch.Tensor, "*batch {size_px} {size_px}"]:
    """How far every pixel lies outside the hand, min_i(||g - c_i|| - r_i) in px; below zero inside.

    Its positive part is the distance of SemiHand's Eq. 14 for pixels of the mask, the positive part of its
    negative the one for pixels off the mask.

    Raises:
        ValueError: the size is below 1.
    """
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}, but must be at least 1; masks are usually 64, 128 or 256 px")
    axis = torch.arange(size_px, device=centres.device, dtype=centres.dtype)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    # Only the nearest circle has a gradient, so only that one is kept for it: 1/55 of the memory.
    with torch.no_grad():
        nearest = _nearest_circle(grid, centres, radii)
    centre = centres.gather(-2, nearest[..., None].expand(*nearest.shape, 2))
    distance: torch.Tensor = torch.linalg.vector_norm(grid - centre, dim=-1) - radii.gather(-1, nearest)
    distance_map: torch.Tensor = distance.reshape(*distance.shape[:-1], size_px, size_px)
    return distance_map


def _nearest_circle(grid: torch.Tensor, centres: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    best = torch.full((*centres.shape[:-2], grid.shape[0]), torch.inf, device=centres.device, dtype=centres.dtype)
    index = torch.zeros(best.shape, device=centres.device, dtype=torch.long)
    for circle in range(centres.shape[-2]):
        offset = grid - centres[..., circle, None, :]
        distance = torch.linalg.vector_norm(offset, dim=-1) - radii[..., circle, None]
        index.masked_fill_(distance < best, circle)
        best = torch.minimum(best, distance)
    return index


def render_circles(
    centres: Float[torch.Tensor, "*batch circles 2"],
    radii: Float[torch.Tensor, "*batch circles"],
    size_px: int,
    softness_per_px: float | None = None,
) -> Float[torch.Tensor, "*batch {size_px} {size_px}"]:
    """The mask of the circles' union, indexed (row, column).

    Args:
        centres: circle centres in px of the mask.
        radii: radii in px.
        size_px: side of the mask.
        softness_per_px: none gives the hard mask of SemiHand's supplement, Eq. 2 (1 where the signed
            distance is below 0), without gradients; k gives sigmoid(-k * signed distance), reconstructed, k
            about 2 to 4 per px.

    Raises:
        ValueError: the size is below 1, or the softness is not above zero.
    """
    if softness_per_px is None:
        return (signed_distance_px(centres, radii, size_px) < 0).to(centres.dtype)
    if not softness_per_px > 0:
        raise ValueError(f"softness_per_px is {softness_per_px}, but must be above 0; 2 to 4 is usual, None is hard")
    return torch.sigmoid(-softness_per_px * signed_distance_px(centres, radii, size_px))


@torch.no_grad()
def silhouette(
    centres: Float[torch.Tensor, "*batch circles 2"],
    radii: Float[torch.Tensor, "*batch circles"],
    size_px: int,
    softness_per_px: float,
) -> Float[torch.Tensor, "*batch {size_px} {size_px}"]:
    """What `render_circles` gives with softness, but without gradients and all circles at once.

    Several times as fast in single precision and small batches, for 55 times the memory.
    """
    axis = torch.arange(size_px, device=centres.device, dtype=centres.dtype)
    across, down = ((axis - centres[..., place, None]).square() for place in (0, 1))
    distance = (down[..., :, None] + across[..., None, :]).sqrt_().sub_(radii[..., None, None])
    mask: torch.Tensor = torch.sigmoid(-softness_per_px * distance.amin(-3))
    return mask
