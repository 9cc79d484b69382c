"""Random views of a crop: warps that keypoints follow, and what changes only the pixels.

Every random number comes from a generator that the caller seeds, and is drawn for the whole batch, so that a
view is a function of its seed and its row.
"""

import math
from typing import Annotated, NamedTuple

import kornia
import torch
from jaxtyping import Float, UInt8
from pydantic import BaseModel, Field
from torch import Tensor

from semihand.methods.semihand.network import GRID_PX

Share = Annotated[float, Field(ge=0, le=1)]


class WarpConfig(BaseModel, frozen=True, extra="forbid"):
    """How far a crop may be rotated, scaled and moved."""

    rotation_deg: float = Field(default=40.0, ge=0, le=180, description="turned by up to so many degrees either way")
    scale: float = Field(default=1.25, ge=1, le=2, description="scaled by a factor between 1/scale and scale")
    translation_px: float = Field(
        default=5.0, ge=0, le=32, description="moved by up to so many px of a 64 px crop, each way"
    )


class PerturbationConfig(BaseModel, frozen=True, extra="forbid"):
    """The T of eqs. 8 and 10: each crop is moved, or turned a little, or turned by one to three right angles."""

    translation_px: float = Field(
        default=5.0, ge=0, le=32, description="moved by up to so many px of a 64 px crop, each way"
    )
    rotation_deg: float = Field(default=2.0, ge=0, le=180, description="or turned by up to so many degrees either way")
    # Another network says anything of a hand upside down, and agreement with that pulls its pose of the upright one
    # along, to the centre of the crop in the end.
    right_angles: bool = Field(
        default=True,
        description="or turned by 90, 180 or 270 degrees: only for networks that learned hands of every rotation",
    )


class AppearanceConfig(BaseModel, frozen=True, extra="forbid"):
    """How far the pixels may change."""

    colour: Share = Field(default=0.4, description="strength of offset, contrast and per-channel gain, 0..1")
    grey: Share = Field(default=0.1, description="share of pictures that lose their colour")
    blur: Share = Field(default=0.4, description="share of pictures that are blurred")
    noise: Share = Field(default=0.06, description="largest standard deviation of noise, of the full range")
    erase: Share = Field(default=0.4, description="share of pictures with a textured patch over them")
    background: Share = Field(
        default=0.9, description="share of pictures whose background is replaced through the hand's mask"
    )
    skin: Share = Field(
        default=0.5, description="strength of the change of the hand's own colour through its mask, 0..1"
    )


def random_warp(num: int, config: WarpConfig, generator: torch.Generator) -> Float[Tensor, "num 2 3"]:
    """Similarities about the crop's centre that map points of the crop to points of the view, 64 px grid."""
    draw = torch.rand(num, 4, generator=generator) * 2 - 1
    angle = draw[:, 0] * math.radians(config.rotation_deg)
    scale = torch.exp(draw[:, 1] * math.log(config.scale))
    return _similarity(angle, scale, draw[:, 2:] * config.translation_px)


def random_perturbation(num: int, config: PerturbationConfig, generator: torch.Generator) -> Float[Tensor, "num 2 3"]:
    """One of the warps for every crop: a translation, a small rotation, or 90, 180 or 270 degrees."""
    draw = torch.rand(num, 3, generator=generator) * 2 - 1
    kind = torch.randint(3 if config.right_angles else 2, (num,), generator=generator)
    quarters = torch.randint(1, 4, (num,), generator=generator)
    angle = torch.zeros(num)
    angle = torch.where(kind == 1, draw[:, 0] * math.radians(config.rotation_deg), angle)
    angle = torch.where(kind == 2, quarters * (math.pi / 2), angle)
    move = draw[:, 1:] * config.translation_px * (kind == 0).unsqueeze(1)
    return _similarity(angle, torch.ones(num), move)


def _similarity(
    angle: Float[Tensor, " num"], scale: Float[Tensor, " num"], move: Float[Tensor, "num 2"]
) -> Float[Tensor, "num 2 3"]:
    """Turn and scale about the crop's centre, then move."""
    linear = torch.stack([torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle)], -1)
    linear = linear.view(-1, 2, 2) * scale.view(-1, 1, 1)
    centre = torch.full((2,), (GRID_PX - 1) / 2)
    shift = centre - linear @ centre + move
    return torch.cat([linear, shift.unsqueeze(-1)], dim=-1)


def invert_warp(warp: Float[Tensor, "batch 2 3"]) -> Float[Tensor, "batch 2 3"]:
    """The warp from the view back to the crop."""
    linear = torch.linalg.inv(warp[:, :, :2])
    return torch.cat([linear, -linear @ warp[:, :, 2:]], dim=-1)


def warp_points(
    uv: Float[Tensor, "batch points 2"], warp: Float[Tensor, "batch 2 3"]
) -> Float[Tensor, "batch points 2"]:
    """Points of the crop as points of the view."""
    return uv @ warp[:, :, :2].transpose(1, 2) + warp[:, None, :, 2]


def warp_pictures(
    pictures: Float[Tensor, "batch channels rows columns"],
    warp: Float[Tensor, "batch 2 3"],
    padding: str = "border",
) -> Float[Tensor, "batch channels rows columns"]:
    """The view's pixels, whatever the pictures' resolution; `padding` fills what lay beyond the edge."""
    factor = pictures.shape[-1] / GRID_PX
    offset = (factor - 1) / 2
    linear, shift = warp[:, :, :2], warp[:, :, 2]
    # grid = (pixel - offset) / factor, so pixel' = L pixel + factor t + offset - L offset
    shift_px = factor * shift + offset - linear.sum(-1) * offset
    matrix = torch.cat([linear, shift_px.unsqueeze(-1)], dim=-1)
    size = (int(pictures.shape[-2]), int(pictures.shape[-1]))
    warped: Tensor = kornia.geometry.warp_affine(pictures, matrix, size, padding_mode=padding, align_corners=True)
    return warped


def as_float(
    crops: UInt8[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Bytes to 0..1."""
    return crops.float() / 255.0


class _Draw(NamedTuple):
    """Random numbers of one batch, on one device."""

    generator: torch.Generator
    device: torch.device

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator).to(self.device)

    def signed(self, *shape: int) -> Tensor:
        return self.uniform(*shape) * 2 - 1

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator).to(self.device)

    def chosen(self, num: int, share: float) -> Tensor:
        return (self.uniform(num) < share).float().view(-1, 1, 1, 1)


def change_background(
    crops: Float[Tensor, "batch 3 rows columns"],
    masks: Float[Tensor, "batch 1 rows columns"],
    config: AppearanceConfig,
    generator: torch.Generator,
) -> Float[Tensor, "batch 3 rows columns"]:
    """Another background behind the hand, another skin on it, both through the hand's mask."""
    draw = _Draw(generator, crops.device)
    num, _, rows, columns = crops.shape
    background = _texture(draw, num, rows, columns)
    replaced = draw.chosen(num, config.background)
    behind = crops * (1 - replaced) + background * replaced
    gain = 1 + config.skin * draw.signed(num, 3, 1, 1) * torch.tensor([0.5, 0.6, 0.8], device=crops.device).view(
        1, 3, 1, 1
    )
    skin = (crops * gain * (1 + config.skin * draw.signed(num, 1, 1, 1))).clamp(0, 1)
    return skin * masks + behind * (1 - masks)


def change_appearance(
    crops: Float[Tensor, "batch 3 rows columns"], config: AppearanceConfig, generator: torch.Generator
) -> Float[Tensor, "batch 3 rows columns"]:
    """Colour, contrast, grey, blur, a patch over the picture, and noise, in this order."""
    draw = _Draw(generator, crops.device)
    num, _, rows, columns = crops.shape
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    crops = mean + (crops - mean) * (1 + config.colour * draw.signed(num, 1, 1, 1))
    crops = crops * (1 + config.colour * 0.5 * draw.signed(num, 3, 1, 1)) + 0.5 * config.colour * draw.signed(
        num, 1, 1, 1
    )
    grey = draw.chosen(num, config.grey)
    crops = crops * (1 - grey) + crops.mean(dim=1, keepdim=True) * grey
    crops = _blurred(crops, draw.chosen(num, config.blur) * (0.3 + 1.0 * draw.uniform(num, 1, 1, 1)))
    patch = _patch(draw, num, rows, columns) * draw.chosen(num, config.erase)
    crops = crops * (1 - patch) + _texture(draw, num, rows, columns) * patch
    crops = crops + config.noise * draw.uniform(num, 1, 1, 1) * draw.normal(num, 3, rows, columns)
    return crops.clamp(0, 1)


def smooth_pictures(
    pictures: Float[Tensor, "batch channels rows columns"], sigma_px: float
) -> Float[Tensor, "batch channels rows columns"]:
    """Convolved with a Gaussian of this width, px of a 64 px crop; 0 leaves them as they are."""
    sigma = sigma_px * pictures.shape[-1] / GRID_PX
    if sigma == 0:
        return pictures
    size = 2 * math.ceil(3 * sigma) + 1
    smoothed: Tensor = kornia.filters.gaussian_blur2d(pictures, (size, size), (sigma, sigma))
    return smoothed


def _blurred(crops: Tensor, sigma_px: Tensor) -> Tensor:
    """A Gaussian blur of its own width for every crop; width 0 leaves a crop as it is."""
    factor = crops.shape[-1] / GRID_PX
    sigma = (sigma_px.view(-1, 1) * factor).clamp(min=0.05).expand(-1, 2)
    size = 2 * math.ceil(2 * 1.3 * factor) + 1
    blurred: Tensor = kornia.filters.gaussian_blur2d(crops, (size, size), sigma)
    return blurred


def _texture(draw: _Draw, num: int, rows: int, columns: int) -> Tensor:
    """Colour noise of many scales, from flat to busy."""
    texture = draw.uniform(num, 3, 1, 1)
    for cells in (2, 4, 8, 16, 32):
        octave = draw.signed(num, 3, cells, cells)
        strength = 0.3 * draw.uniform(num, 1, 1, 1).square()
        mode = "nearest" if cells in (8, 32) else "bilinear"
        texture = torch.nn.functional.interpolate(texture, size=(cells, cells), mode=mode)
        texture = texture + (octave + octave.mean(1, keepdim=True)) * strength
    texture = torch.nn.functional.interpolate(texture, size=(rows, columns), mode="bilinear")
    return texture.clamp(0, 1)


def _patch(draw: _Draw, num: int, rows: int, columns: int) -> Tensor:
    """A turned rectangle of up to a third of the crop's side, 1 inside."""
    v, u = torch.meshgrid(
        torch.linspace(-1, 1, rows, device=draw.device),
        torch.linspace(-1, 1, columns, device=draw.device),
        indexing="ij",
    )
    centre, half = draw.signed(num, 2, 1, 1) * 0.8, 0.06 + 0.24 * draw.uniform(num, 2, 1, 1)
    angle = draw.uniform(num, 1, 1) * math.pi
    du, dv = u - centre[:, 0], v - centre[:, 1]
    along = du * torch.cos(angle) + dv * torch.sin(angle)
    across = -du * torch.sin(angle) + dv * torch.cos(angle)
    return ((along.abs() < half[:, 0]) & (across.abs() < half[:, 1])).float().unsqueeze(1)
