"""Where layers go in a scene: how large, how turned, mirrored or not, and where their hands come to lie."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semihand.methods.localiser.appearance import happens, uniform
from semihand.methods.localiser.boxes import overlaps

_LOG_LENGTH = (math.log(0.18), math.log(0.65))  # longer side of a hand over the picture's, uniform
_TURN = math.pi / 6  # layers are turned already, as their views are
_TRIES = 6  # places drawn for a hand, of which the one that overlaps the others least is taken
_EDGE = 0.3  # of its length: so near the border may the middle of a hand be
_OUTSIDE = 0.9  # of its length: so far outside is the middle of one of which only the arm shows


class Room(NamedTuple):
    """Where there is room for another layer."""

    within_px: Float[Tensor, "B 4"]  # what of the picture is not letterbox bars: left, top, right, bottom
    taken_px: Float[Tensor, "B K 4"]  # boxes of the hands that are there already


class Placed(NamedTuple):
    """Layers in the picture: a layer's point q is at matrix q + shift, px, one layer for each picture."""

    layer: Int[Tensor, " B"]
    matrix: Float[Tensor, "B 2 2"]
    shift: Float[Tensor, "B 2"]
    middle: Float[Tensor, "B 2"]  # of the hand's box
    length_px: Float[Tensor, " B"]  # its longer side
    right: Bool[Tensor, " B"]
    arm: Float[Tensor, "B 2"]  # direction of the arm from the hand's middle; zero for none

    @property
    def scale(self) -> Float[Tensor, " B"]:
        """Picture pixels per layer pixel."""
        scale: Tensor = torch.linalg.det(self.matrix).abs().sqrt()
        return scale

    def points(self, places_px: Float[Tensor, "B P 2"]) -> Float[Tensor, "B P 2"]:
        """Points of the layers in the picture."""
        return places_px @ self.matrix.mT + self.shift.unsqueeze(1)


def place_layers(
    outlines_px: Float[Tensor, "N P 2"],
    arms: Float[Tensor, "N 2"],
    room: Room,
    inside: Bool[Tensor, " B"],
    chance: torch.Generator,
) -> Placed:
    """Draw a layer and its place for each picture.

    Args:
        outlines_px: of all layers' hands.
        arms: directions of all layers' arms.
        room: of each picture.
        inside: whether the hand is to lie in the picture; else only its arm reaches in.
        chance: on the same device.
    """
    num = len(inside)
    layer = torch.randint(len(outlines_px), (num,), generator=chance, device=chance.device)
    right, angle = happens(num, 0.5, chance), uniform((num,), -_TURN, _TURN, chance)
    side_px = (room.within_px[:, 2:] - room.within_px[:, :2]).amax(1)
    length_px = side_px * uniform((num,), *_LOG_LENGTH, chance).exp()
    mirror = torch.where(right, 1.0, -1.0)
    turn = torch.stack([angle.cos() * mirror, -angle.sin(), angle.sin() * mirror, angle.cos()], dim=1).view(-1, 2, 2)
    shape = outlines_px[layer] @ turn.mT
    low, high = shape.amin(1), shape.amax(1)
    scale = length_px / (high - low).amax(1)
    arm = (turn @ arms[layer].unsqueeze(2)).squeeze(2)
    half = (high - low) * scale.unsqueeze(1) / 2
    middle = torch.where(
        inside.unsqueeze(1),
        _free_place(half, length_px, room, chance),
        _place_outside(arm, length_px, room.within_px, chance),
    )
    shift = middle - scale.unsqueeze(1) * (low + high) / 2
    return Placed(layer, scale.view(-1, 1, 1) * turn, shift, middle, length_px, right, arm)


def _free_place(
    half: Float[Tensor, "B 2"], length_px: Tensor, room: Room, chance: torch.Generator
) -> Float[Tensor, "B 2"]:
    edge = (_EDGE * length_px).view(-1, 1, 1)
    low, high = room.within_px[:, None, :2] + edge, room.within_px[:, None, 2:] - edge
    tries = low + (high - low) * uniform((len(half), _TRIES, 2), 0.0, 1.0, chance)
    boxes = torch.cat([tries - half.unsqueeze(1), tries + half.unsqueeze(1)], dim=2)
    crowded = overlaps(boxes, room.taken_px).sum(2)
    best = crowded.argmin(1)
    return tries[torch.arange(len(half), device=half.device), best]


def _place_outside(
    arm: Float[Tensor, "B 2"], length_px: Tensor, within_px: Tensor, chance: torch.Generator
) -> Float[Tensor, "B 2"]:
    """Back along the arm from a point in the picture, to beyond the border."""
    low, high = within_px[:, :2], within_px[:, 2:]
    point = low + (high - low) * uniform((len(arm), 2), 0.15, 0.85, chance)
    back = torch.where(arm > 0, point - low, high - point) / arm.abs().clamp(min=1e-3)
    return point - arm * (back.amin(1) + _OUTSIDE * length_px).unsqueeze(1)
