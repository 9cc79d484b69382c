"""Scenes with none to three hands, composed of layers and rooms in batches on the device.

A left hand is a right one mirrored. Arms run out of the picture or into somebody's clothes; some reach in whose hand is
outside. Half of the pictures have letterbox bars, as whole pictures have before the network.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from semihand.frames.synthetic.layers import LAYER_PX, Layer
from semihand.methods.localiser.appearance import blurred, exposed, happens, uniform
from semihand.methods.localiser.boxes import clipped, extent
from semihand.methods.localiser.placing import Placed, place_layers

SLOTS = 3  # layers of a scene, each with a hand in the picture, with an arm alone, or unused
_NUM_HANDS = (0.3, 0.4, 0.2, 0.1)  # shares of scenes with 0, 1, 2 and 3 hands
_ARM_ALONE = 0.3  # of the slots without a hand
_CLOTHED = 0.5  # of the arms that end in clothes
_BODY = (1.8, 2.4)  # hands' lengths from a hand to the middle of the clothes
_BARS = 0.5
_LOWEST_ASPECT = 0.5  # of the picture between its bars
_SEEN, _GONE = 0.6, 0.1  # a hand of which so much is seen is there; below the second share nothing is
_COARSE = 0.55  # layers shrunk to less are averaged first


class Bank(NamedTuple):
    """Layers and rooms, as bytes."""

    layers: UInt8[Tensor, "N 5 L L"]  # red, green and blue times cover, cover, hand
    outlines_px: Float[Tensor, "N P 2"]
    joints_px: Float[Tensor, "N 21 2"]
    arms: Float[Tensor, "N 2"]
    rooms: UInt8[Tensor, "M 3 R R"]


class Scenes(NamedTuple):
    """Pictures and the hands in them."""

    pictures: Float[Tensor, "B 3 S S"]  # 0..1
    boxes_px: Float[Tensor, "B K 4"]  # left, top, right, bottom edges of what is inside the picture
    joints_px: Float[Tensor, "B K 21 2"]  # those outside the picture, too
    right: Bool[Tensor, "B K"]
    present: Bool[Tensor, "B K"]  # a hand that is to be found
    doubtful: Bool[Tensor, "B K"]  # too little is seen of it to ask for it or to forbid it


class _Laid(NamedTuple):
    """One layer of each scene, in the picture's pixels."""

    placed: Placed
    used: Bool[Tensor, " B"]
    colour: Float[Tensor, "B 3 S S"]
    cover: Float[Tensor, "B 1 S S"]
    hand: Float[Tensor, "B 1 S S"]


def bank_of(layers: Sequence[Layer], rooms: Sequence[UInt8[np.ndarray, "R R 3"]]) -> Bank:
    """The bank that these layers and rooms make."""
    pictures = [np.dstack([one.colour, one.cover, one.hand.astype(np.uint8) * 255]) for one in layers]
    return Bank(
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack([one.outline_px for one in layers])).float(),
        torch.from_numpy(np.stack([one.joints_px for one in layers])).float().contiguous(),
        torch.from_numpy(np.stack([one.arm for one in layers])).float(),
        torch.from_numpy(np.stack(rooms)).permute(0, 3, 1, 2).contiguous(),
    )


def compose_scenes(bank: Bank, num: int, side_px: int, chance: torch.Generator, empty: bool = False) -> Scenes:
    """Draw scenes.

    Args:
        bank: what they are made of, on the device of `chance`.
        num: how many.
        side_px: side of their pictures.
        chance: the same chance draws the same scenes of the same bank.
        empty: no scene has a hand; arms alone may be there.
    """
    within = _bounds(num, side_px, chance)
    wanted = _wanted(num, chance) & (not empty)
    taken = within.new_zeros(num, 0, 4)
    laid: list[_Laid] = []
    for slot in range(SLOTS):
        one = _lay(bank, wanted[:, slot], within, taken, side_px, chance)
        box = clipped(extent(one.placed.points(bank.outlines_px[one.placed.layer])), within)
        taken = torch.cat([taken, box.unsqueeze(1)], dim=1)
        laid.append(one)
    picture = _rooms(bank, num, side_px, chance)
    for one in laid:
        picture = picture * (1 - one.cover) + one.colour
    inside = _mask_of(within, side_px)
    pictures = exposed(blurred(picture, chance), chance) * inside
    seen = _seen(bank, laid, inside)
    used = torch.stack([one.used for one in laid], dim=1)
    large = (taken[..., 2:] - taken[..., :2]).amin(2) >= 6
    present = used & wanted & large & (seen >= _SEEN)
    doubtful = used & ~present & (seen > _GONE)
    joints = torch.stack([one.placed.points(bank.joints_px[one.placed.layer]) for one in laid], dim=1)
    right = torch.stack([one.placed.right for one in laid], dim=1)
    return Scenes(pictures, taken, joints, right, present, doubtful)


def _wanted(num: int, chance: torch.Generator) -> Bool[Tensor, "B K"]:
    """Which slots hold a hand in the picture."""
    shares = torch.tensor(_NUM_HANDS, device=chance.device).cumsum(0)
    hands = torch.bucketize(uniform((num,), 0.0, 1.0, chance), shares[:-1])
    return torch.arange(SLOTS, device=chance.device) < hands.unsqueeze(1)


def _bounds(num: int, side_px: int, chance: torch.Generator) -> Float[Tensor, "B 4"]:
    """Edges of the picture between its bars, which stand above and below or left and right."""
    aspect = torch.where(happens(num, _BARS, chance), uniform((num,), _LOWEST_ASPECT, 1.0, chance), 1.0)
    bar = (side_px * (1 - aspect) / 2).round()
    zero, wide = torch.zeros_like(bar), happens(num, 0.6, chance)
    left, top = torch.where(wide, zero, bar), torch.where(wide, bar, zero)
    return torch.stack([left, top, side_px - left, side_px - top], dim=1) - 0.5


def _mask_of(boxes_px: Float[Tensor, "B 4"], side_px: int) -> Float[Tensor, "B 1 S S"]:
    places = torch.arange(side_px, device=boxes_px.device)
    across = (places > boxes_px[:, 0:1]) & (places < boxes_px[:, 2:3])
    down = (places > boxes_px[:, 1:2]) & (places < boxes_px[:, 3:4])
    return (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1).float()


def _lay(
    bank: Bank, wanted: Bool[Tensor, " B"], within: Tensor, taken: Tensor, side_px: int, chance: torch.Generator
) -> _Laid:
    num = len(wanted)
    placed = place_layers(bank.outlines_px, bank.arms, within, taken, wanted, chance)
    has_arm = placed.arm.abs().sum(1) > 0
    used = wanted | (has_arm & happens(num, _ARM_ALONE, chance))
    layer = blurred(_warped(bank, placed, side_px), chance) * used.view(-1, 1, 1, 1)
    clothes = _clothes(placed, side_px, chance) * (used & has_arm & happens(num, _CLOTHED, chance)).view(-1, 1, 1, 1)
    cloth = uniform((num, 3, 1, 1), 0.03, 0.97, chance) * uniform((num, 3, side_px, side_px), 0.9, 1.1, chance)
    colour = layer[:, :3] * (1 - clothes) + clothes * cloth.clamp(max=1)
    return _Laid(placed, used, colour, torch.maximum(layer[:, 3:4], clothes), layer[:, 4:] * (1 - clothes))


def _warped(bank: Bank, placed: Placed, side_px: int) -> Float[Tensor, "B 5 S S"]:
    layers = bank.layers[placed.layer].float() / 255
    coarse = functional.interpolate(functional.avg_pool2d(layers, 2), scale_factor=2.0, mode="bilinear")
    layers = torch.where((placed.scale < _COARSE).view(-1, 1, 1, 1), coarse, layers)
    offsets = _pixels(side_px, layers.device) - placed.shift.unsqueeze(1)
    places = offsets @ torch.linalg.inv(placed.matrix).mT
    grid = ((2 * places + 1) / LAYER_PX - 1).view(-1, side_px, side_px, 2)
    return functional.grid_sample(layers, grid, align_corners=False)


def _clothes(placed: Placed, side_px: int, chance: torch.Generator) -> Float[Tensor, "B 1 S S"]:
    """Ovals where arms end."""
    num, length_px = len(placed.layer), placed.length_px.unsqueeze(1)
    middle = placed.middle + placed.arm * length_px * uniform((num, 1), *_BODY, chance)
    half = length_px * uniform((num, 2), 0.5, 1.1, chance)
    away: Tensor = ((_pixels(side_px, middle.device) - middle.unsqueeze(1)) / half.unsqueeze(1)).norm(dim=2)
    soft = ((1 - away) * half.amin(1, keepdim=True)).clamp(0, 1)
    return soft.view(num, 1, side_px, side_px)


def _rooms(bank: Bank, num: int, side_px: int, chance: torch.Generator) -> Float[Tensor, "B 3 S S"]:
    """Pieces of rooms, mirrored half of the time."""
    chosen = torch.randint(len(bank.rooms), (num,), generator=chance, device=chance.device)
    zoom = uniform((num, 2), 0.5, 1.0, chance)
    shift = uniform((num, 2), -1.0, 1.0, chance) * (1 - zoom)
    zoom[:, 0] *= torch.where(happens(num, 0.5, chance), 1.0, -1.0)
    theta = torch.cat([torch.diag_embed(zoom), shift.unsqueeze(2)], dim=2)
    grid = functional.affine_grid(theta, [num, 3, side_px, side_px], align_corners=False)
    return functional.grid_sample(bank.rooms[chosen].float() / 255, grid, align_corners=False, padding_mode="border")


def _seen(bank: Bank, laid: Sequence[_Laid], inside: Float[Tensor, "B 1 S S"]) -> Float[Tensor, "B K"]:
    """Which share of each hand the picture shows."""
    free, shares = inside, []
    for one in reversed(laid):
        whole = bank.layers[one.placed.layer, 4].float().sum((1, 2)) / 255 * one.placed.scale**2
        shares.append((one.hand * free).sum((1, 2, 3)) / whole.clamp(min=1))
        free = free * (1 - one.cover)
    return torch.stack(shares[::-1], dim=1)


def _pixels(side_px: int, device: torch.device) -> Float[Tensor, "1 P 2"]:
    places = torch.arange(side_px, device=device, dtype=torch.float32)
    v, u = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(1, -1, 2)
