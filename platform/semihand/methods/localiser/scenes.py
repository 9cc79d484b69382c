"""Scenes with none to three hands, composed of layers and rooms in batches on the device.

A left hand is a right one mirrored. Arms run out of the picture or into somebody's clothes; some reach in whose hand is
outside. Half of the pictures have letterbox bars, as whole pictures have before the network.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from semihand.frames.synthetic.layers import LAYER_PX, Layer
from semihand.methods.localiser.appearance import blurred, exposed, happens, uniform
from semihand.methods.localiser.boxes import clipped, extent
from semihand.methods.localiser.placing import Placed, Room, place_layers

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
    """One layer of each scene, in the picture's pixels; drawn only where it is used."""

    placed: Placed
    rows: Int[Tensor, " N"]  # scenes that have it
    colour: Float[Tensor, "N 3 S S"]
    cover: Float[Tensor, "N 1 S S"]
    hand: Float[Tensor, "N 1 S S"]


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
        one = _lay(bank, wanted[:, slot], Room(within, taken), side_px, chance)
        box = clipped(extent(one.placed.points(bank.outlines_px[one.placed.layer])), within)
        taken = torch.cat([taken, box.unsqueeze(1)], dim=1)
        laid.append(one)
    picture = _rooms(bank, num, side_px, chance)
    for one in laid:
        picture[one.rows] = picture[one.rows] * (1 - one.cover) + one.colour
    inside = _mask_of(within, side_px)
    pictures = exposed(blurred(picture, chance), chance) * inside
    seen = _seen(bank, laid, inside)
    large = (taken[..., 2:] - taken[..., :2]).amin(2) >= 6
    present = wanted & large & (seen >= _SEEN)
    joints = torch.stack([one.placed.points(bank.joints_px[one.placed.layer]) for one in laid], dim=1)
    right = torch.stack([one.placed.right for one in laid], dim=1)
    return Scenes(pictures, taken, joints, right, present, doubtful=~present & (seen > _GONE))


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


def _lay(bank: Bank, wanted: Bool[Tensor, " B"], room: Room, side_px: int, chance: torch.Generator) -> _Laid:
    num = len(wanted)
    placed = place_layers(bank.outlines_px, bank.arms, room, wanted, chance)
    has_arm = placed.arm.abs().sum(1) > 0
    rows = (wanted | (has_arm & happens(num, _ARM_ALONE, chance))).nonzero()[:, 0]
    drawn = Placed(*(value[rows] for value in placed))
    layer = blurred(_warped(bank, drawn, side_px), chance)
    colour, cover, hand = layer[:, :3], layer[:, 3:4], layer[:, 4:]
    clothed = (has_arm[rows] & happens(len(rows), _CLOTHED, chance)).nonzero()[:, 0]
    clothes = _clothes(Placed(*(value[clothed] for value in drawn)), side_px, chance)
    noise = uniform((len(clothed), 3, side_px, side_px), 0.9, 1.1, chance)
    cloth = (uniform((len(clothed), 3, 1, 1), 0.03, 0.97, chance) * noise).clamp(max=1)
    colour[clothed] = colour[clothed] * (1 - clothes) + clothes * cloth
    cover[clothed] = torch.maximum(cover[clothed], clothes)
    hand[clothed] = hand[clothed] * (1 - clothes)
    return _Laid(placed, rows, colour, cover, hand)


def _warped(bank: Bank, placed: Placed, side_px: int) -> Float[Tensor, "N 5 S S"]:
    layers = bank.layers[placed.layer].float() / 255
    shrunk = (placed.scale < _COARSE).nonzero()[:, 0]
    halved = functional.avg_pool2d(layers[shrunk], 2)
    layers[shrunk] = functional.interpolate(halved, scale_factor=2.0, mode="bilinear")
    offsets = _pixels(side_px, layers.device) - placed.shift.unsqueeze(1)
    places = offsets @ torch.linalg.inv(placed.matrix).mT
    grid = ((2 * places + 1) / LAYER_PX - 1).view(-1, side_px, side_px, 2)
    return functional.grid_sample(layers, grid, align_corners=False)


def _clothes(placed: Placed, side_px: int, chance: torch.Generator) -> Float[Tensor, "N 1 S S"]:
    """Ovals where arms end."""
    num, length_px = len(placed.layer), placed.length_px.unsqueeze(1)
    middle = placed.middle + placed.arm * length_px * uniform((num, 1), *_BODY, chance)
    half = length_px * uniform((num, 2), 0.5, 1.1, chance)
    places = torch.arange(side_px, device=middle.device)
    across = ((places - middle[:, :1]) / half[:, :1]).square()
    down = ((places - middle[:, 1:]) / half[:, 1:]).square()
    away = (down.unsqueeze(2) + across.unsqueeze(1)).sqrt()
    return ((1 - away) * half.amin(1).view(-1, 1, 1)).clamp(0, 1).unsqueeze(1)


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
    """Which share of each hand the picture shows; 0 where there is none."""
    free, seen = inside.clone(), inside.new_zeros(len(inside), len(laid))
    for slot, one in reversed(list(enumerate(laid))):
        layers = bank.layers[one.placed.layer[one.rows], 4]
        whole = layers.sum((1, 2), dtype=torch.int64) / 255 * one.placed.scale[one.rows] ** 2
        left = free[one.rows]
        seen[one.rows, slot] = (one.hand * left).sum((1, 2, 3)) / whole.clamp(min=1)
        free[one.rows] = left * (1 - one.cover)
    return seen


def _pixels(side_px: int, device: torch.device) -> Float[Tensor, "1 P 2"]:
    places = torch.arange(side_px, device=device, dtype=torch.float32)
    v, u = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(1, -1, 2)
