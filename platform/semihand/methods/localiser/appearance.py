"""What a camera makes of a scene: blur, motion, exposure, colour cast and grain, drawn anew for each picture."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_REACH_PX = 3  # of a blur, to either side
_SIGMA_PX = (0.3, 0.8)
_MOTION_PX = 4.0
_GAIN, _TINT, _CONTRAST = (0.75, 1.25), 0.12, (0.8, 1.3)
_GREY = 0.08  # of the pictures are without colour
_NOISE = 0.03


def uniform(shape: tuple[int, ...], low: float, high: float, chance: torch.Generator) -> Tensor:
    """Numbers between two bounds."""
    return low + (high - low) * torch.rand(shape, generator=chance, device=chance.device)


def happens(num: int, share: float, chance: torch.Generator) -> Tensor:
    """Yes in this share of cases."""
    return torch.rand(num, generator=chance, device=chance.device) < share


def blurred(pictures: Float[Tensor, "B C S S"], chance: torch.Generator) -> Float[Tensor, "B C S S"]:
    """Half of the pictures out of focus or in motion, each in its own way."""
    num, channels, side, _ = pictures.shape
    half = num // 2
    if half == 0:
        return pictures
    chosen = torch.randperm(num, generator=chance, device=chance.device)[:half]
    kernels = _kernels(half, chance).repeat_interleave(channels, dim=0).unsqueeze(1)
    stacked = pictures[chosen].reshape(1, half * channels, side, side)
    moved = functional.conv2d(stacked, kernels, padding=_REACH_PX, groups=half * channels)
    return pictures.index_copy(0, chosen, moved.view(half, channels, side, side))


def exposed(pictures: Float[Tensor, "B 3 S S"], chance: torch.Generator) -> Float[Tensor, "B 3 S S"]:
    """Each picture as a camera of its own takes it, 0..1."""
    num = len(pictures)
    grey = happens(num, _GREY, chance).view(-1, 1, 1, 1)
    pictures = torch.where(grey, pictures.mean(dim=1, keepdim=True), pictures)
    tint = 1 + uniform((num, 3, 1, 1), -_TINT, _TINT, chance)
    gain = uniform((num, 1, 1, 1), *_GAIN, chance) * tint
    contrast = uniform((num, 1, 1, 1), *_CONTRAST, chance)
    grain = torch.randn(pictures.shape, generator=chance, device=chance.device)
    noise = uniform((num, 1, 1, 1), 0.0, _NOISE, chance)
    return ((pictures * gain - 0.5) * contrast + 0.5 + noise * grain).clamp(0, 1)


def _kernels(num: int, chance: torch.Generator) -> Float[Tensor, "B K K"]:
    """Short lines with soft rims; a line without length is a plain blur."""
    reach = torch.arange(-_REACH_PX, _REACH_PX + 1, device=chance.device, dtype=torch.float32)
    v, u = torch.meshgrid(reach, reach, indexing="ij")
    angle = uniform((num, 1, 1), 0.0, torch.pi, chance)
    moves = happens(num, 0.5, chance).view(-1, 1, 1)
    length = uniform((num, 1, 1), 0.0, _MOTION_PX, chance) * moves
    sigma = uniform((num, 1, 1), *_SIGMA_PX, chance)
    along, across = angle.cos() * u + angle.sin() * v, angle.cos() * v - angle.sin() * u
    beyond = (along.abs() - length / 2).clamp(min=0)
    weights = torch.exp(-(beyond**2 + across**2) / (2 * sigma**2))
    return weights / weights.sum((1, 2), keepdim=True)
