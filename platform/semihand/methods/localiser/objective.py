"""What the localiser learns from scenes: CenterNet's losses for the first look, three plain ones for the second."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from semihand.methods.localiser.appearance import uniform
from semihand.methods.localiser.boxes import area, overlaps
from semihand.methods.localiser.looks import (
    Localiser,
    Said,
    cells_of,
    heat_of,
    joint_values_of,
    places_about,
    values_of,
)
from semihand.methods.localiser.scenes import Scenes

_PROPOSED = 3  # places of each scene that the first look proposes and the second learns from
_JITTER, _GROWTH = 0.25, 0.3  # of a true box: how far beside it and how much larger or smaller a place is drawn
_MATCH, _MISS = 0.5, 0.3  # overlap from which a place shows a hand, and below which it does not
_SPREAD = 0.12  # of a hand's size: how far about its middle the heatmap may say so
_SIZE_WEIGHT, _HAND_WEIGHT, _BOX_WEIGHT, _SIDE_WEIGHT, _JOINT_WEIGHT = 0.3, 3.0, 4.0, 1.0, 0.3
_AWAY_WEIGHT = 5.0  # of a joint's distance beside its heatmap's cross-entropy


class Losses(NamedTuple):
    """All losses, and what training looks at."""

    heat: Tensor
    size: Tensor
    hand: Tensor
    side: Tensor
    box: Tensor
    joints: Tensor

    def total(self) -> Tensor:
        """What is minimised."""
        first = self.heat + _SIZE_WEIGHT * self.size
        second = _HAND_WEIGHT * self.hand + _BOX_WEIGHT * self.box + _SIDE_WEIGHT * self.side
        return first + second + _JOINT_WEIGHT * self.joints


class _Places(NamedTuple):
    """Places of scenes, and what the hand that each is matched with is."""

    squares_px: Float[Tensor, "N 4"]
    scene: Tensor
    boxes_px: Float[Tensor, "N 4"]
    joints_px: Float[Tensor, "N 21 2"]
    right: Bool[Tensor, " N"]
    hand: Bool[Tensor, " N"]


def losses_of(localiser: Localiser, scenes: Scenes, chance: torch.Generator) -> Losses:
    """All losses on a batch of scenes."""
    maps = localiser.first(scenes.pictures)
    heat, size = _first_losses(maps, scenes)
    with torch.no_grad():
        proposed = localiser.propose(maps.detach(), _PROPOSED).boxes_px
        places = _places(proposed, scenes, chance)
    if len(places.scene) < 2:  # batch normalisation needs two
        nothing = heat.new_zeros(())
        return Losses(heat, size, nothing, nothing, nothing, nothing)
    said = localiser.second(cut_out(scenes.pictures[places.scene], places.squares_px, localiser.config.place_px))
    matched = places.hand.float()
    num = matched.sum().clamp(min=1)
    hand = functional.binary_cross_entropy_with_logits(said.hand, matched)
    side = functional.binary_cross_entropy_with_logits(said.right, places.right.float(), matched, reduction="sum")
    box = _distance(said.box, values_of(places.boxes_px, places.squares_px)) * matched
    joints = joint_loss(said, joint_values_of(places.joints_px, places.squares_px)) * matched
    return Losses(heat, size, hand, side / num, box.sum() / num, joints.sum() / num)


def joint_loss(said: Said, aim: Float[Tensor, "N 21 2"]) -> Float[Tensor, " N"]:
    """Distance of the joints and cross-entropy of their heatmaps, of those inside the place; mean over the joints."""
    inside = (aim.abs() < 1).all(2).float()
    away = functional.smooth_l1_loss(said.joints, aim, reduction="none", beta=0.1).sum(2)
    surprise = -(heat_of(aim, math.isqrt(said.log_heat.shape[2])) * said.log_heat).sum(2)
    return ((_AWAY_WEIGHT * away + surprise) * inside).mean(1)


def _distance(said: Float[Tensor, "N C"], aim: Float[Tensor, "N C"]) -> Float[Tensor, " N"]:
    return functional.smooth_l1_loss(said, aim, reduction="none", beta=0.1).sum(1)


def cut_out(
    pictures: Float[Tensor, "N 3 S S"], squares_px: Float[Tensor, "N 4"], size_px: int
) -> Float[Tensor, "N 3 P P"]:
    """Squares of pictures, one of each, enlarged or shrunk; black outside."""
    side = pictures.shape[-1]
    middle = (squares_px[:, :2] + squares_px[:, 2:] + 1) / side - 1
    half = (squares_px[:, 2] - squares_px[:, 0]) / side
    places = (torch.arange(size_px, device=pictures.device) + 0.5) * (2 / size_px) - 1
    u, v = (middle.unsqueeze(2) + half.view(-1, 1, 1) * places).unbind(1)  # no matrices: bf16 would round them
    grid = torch.stack([u.unsqueeze(1).expand(-1, size_px, -1), v.unsqueeze(2).expand(-1, -1, size_px)], dim=3)
    return functional.grid_sample(pictures, grid, align_corners=False)


def _first_losses(maps: Float[Tensor, "B 5 M M"], scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Focal loss of the heatmap, L1 of log size and offset at the middles."""
    side = maps.shape[-1]
    middle, size = cells_of(scenes.boxes_px)
    places = torch.arange(side, device=maps.device) + 0.5
    spread = (_SPREAD * size.clamp(min=1)).clamp(min=0.5)
    across = torch.exp(-((places - middle[..., :1]) ** 2) / (2 * spread[..., :1] ** 2))
    down = torch.exp(-((places - middle[..., 1:]) ** 2) / (2 * spread[..., 1:] ** 2))
    near = down.unsqueeze(3) * across.unsqueeze(2)
    aim = (near * scenes.present[..., None, None]).amax(1)
    unsaid = (near * scenes.doubtful[..., None, None]).amax(1)
    cell = middle.floor().long().clamp(0, side - 1)
    scene, which = scenes.present.nonzero(as_tuple=True)
    row, column = cell[scene, which, 1], cell[scene, which, 0]
    is_middle = torch.zeros_like(aim).index_put_((scene, row, column), aim.new_ones(()))
    says = maps[:, 0]
    found = functional.logsigmoid(says) * (1 - says.sigmoid()) ** 2 * is_middle
    false = functional.logsigmoid(-says) * says.sigmoid() ** 2 * (1 - aim) ** 4 * (1 - is_middle) * (1 - unsaid)
    count = is_middle.sum().clamp(min=1)
    there = maps[scene, 1:, row, column]
    wanted = torch.cat([size[scene, which].clamp(min=0.5).log(), middle[scene, which] - cell[scene, which] - 0.5], 1)
    return -(found + false).sum() / count, (there - wanted).abs().sum() / count


def _places(proposed_px: Float[Tensor, "B K 4"], scenes: Scenes, chance: torch.Generator) -> _Places:
    """Places beside true hands, and those that the first look proposes, right or wrong."""
    num, hands, _ = scenes.boxes_px.shape
    size = (scenes.boxes_px[..., 2:] - scenes.boxes_px[..., :2]).clamp(min=4)
    shift = uniform((num, hands, 2), -_JITTER, _JITTER, chance) * size
    grow = uniform((num, hands, 2), -_GROWTH, _GROWTH, chance).exp() * size / 2
    middle = (scenes.boxes_px[..., :2] + scenes.boxes_px[..., 2:]) / 2 + shift
    beside = torch.cat([middle - grow, middle + grow], dim=-1)
    boxes = torch.cat([beside, proposed_px], dim=1)
    overlap = overlaps(boxes, scenes.boxes_px)
    real = overlap * scenes.present.unsqueeze(1)
    best, which = real.max(2)
    hand = best >= _MATCH
    hand[:, :hands] = scenes.present & (best[:, :hands] > _MISS)
    vague = (overlap * scenes.doubtful.unsqueeze(1)).amax(2) > 0.2
    counts = hand | ((best < _MISS) & ~vague)
    counts[:, :hands] &= scenes.present
    counts &= area(boxes) > 16
    scene = torch.arange(num, device=boxes.device).unsqueeze(1).expand(boxes.shape[:2])
    one, other = scene[counts], which[counts]
    return _Places(
        squares_px=places_about(boxes)[counts],
        scene=one,
        boxes_px=scenes.boxes_px[one, other],
        joints_px=scenes.joints_px[one, other],
        right=scenes.right[one, other],
        hand=hand[counts],
    )
