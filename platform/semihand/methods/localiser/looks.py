"""Two looks: one at the whole picture, which proposes places; one at each place, which says whether and which hand.

The first is CenterNet's (Zhou et al., "Objects as Points", 2019): a heatmap of middles, sizes and offsets there. The
second sees the place enlarged and corrects the box. Both have the pose network's backbone.
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import AfterValidator, BaseModel, Field
from torch import Tensor, nn
from torch.nn import functional

from semihand.hand.skeleton import NUM_JOINTS
from semihand.methods.localiser.boxes import squares
from semihand.methods.semihand.network import NetworkConfig, Normalise, build_encoder

MARGIN = 1.6  # side of what the second look sees over the longer side of the proposed box
_STRIDE = 4
_SUMMARY = 256
_RARE = -4.0  # bias of the heatmap: hands are rare
_LOG_SIZES = (-4.0, 4.0)  # of boxes, in cells or in halves of a place


def _with_levels(config: NetworkConfig) -> NetworkConfig:
    if config.backbone == "hourglass":
        raise ValueError("a localiser sums a backbone's levels up, and an hourglass has one: say 'resnet' or a folder")
    return config


_Backbone = Annotated[NetworkConfig, AfterValidator(_with_levels)]


class LocaliserConfig(BaseModel, frozen=True, extra="forbid"):
    """What the two networks look like."""

    picture_px: int = Field(
        default=128,
        ge=64,
        le=512,
        multiple_of=32,
        description="longer side of what the first look sees of a picture, px; a multiple of 32",
    )
    place_px: int = Field(
        default=64,
        ge=32,
        le=256,
        multiple_of=32,
        description="side of what the second look sees of a place, px; a multiple of 32",
    )
    first: _Backbone = Field(
        default=NetworkConfig(width=24, depth=1),
        description="the network of the first look, no hourglass; its input_px is not used",
    )
    second: _Backbone = Field(
        default=NetworkConfig(width=32, depth=1, decoder_channels=32),
        description="the network of the second look, no hourglass; its input_px is not used",
    )


class Proposals(NamedTuple):
    """Places where hands might be, best first."""

    boxes_px: Float[Tensor, "B K 4"]
    scores: Float[Tensor, "B K"]


class Said(NamedTuple):
    """What the second look says of places.

    The joints are there for the side: who knows the thumb can tell left from right.
    """

    hand: Float[Tensor, " N"]  # log-odds
    right: Float[Tensor, " N"]  # log-odds
    box: Float[Tensor, "N 4"]  # middle and log size, in halves of the place from its middle
    joints: Float[Tensor, "N 21 2"]  # likewise
    log_heat: Float[Tensor, "N 21 C"]  # log of the joints' heatmaps, which sum to 1


class FirstLook(nn.Module):
    """Whole pictures to maps of a quarter of their side: log-odds of a middle, log size (2), offset (2)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.encoder = _Pyramid(config)
        self.head = nn.Conv2d(config.decoder_channels, 5, 1)
        nn.init.constant_(self.head.bias[:1], _RARE)  # type: ignore[index]

    def forward(self, pictures: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 5 M M"]:
        """The maps; sizes and offsets in units of a cell."""
        maps: Tensor = self.head(self.encoder(pictures).finest).float()  # bf16 would round a place to quarters of a px
        return maps


class SecondLook(nn.Module):
    """Places to hand or not, left or right, the box within the place, and the joints."""

    def __init__(self, config: LocaliserConfig) -> None:
        super().__init__()
        self.encoder = _Pyramid(config.second)
        cells = (config.place_px // 16) ** 2
        self.heat = nn.Conv2d(config.second.decoder_channels, NUM_JOINTS, 1)
        self.summary = nn.Sequential(
            nn.Flatten(), nn.Linear(config.second.decoder_channels * cells, _SUMMARY), nn.ReLU(inplace=True)
        )
        self.hand_and_box = nn.Linear(_SUMMARY, 5)
        self.side = nn.Sequential(
            nn.Linear(_SUMMARY + 2 * NUM_JOINTS, _SUMMARY), nn.ReLU(inplace=True), nn.Linear(_SUMMARY, 1)
        )

    def forward(self, places: Float[Tensor, "N 3 P P"]) -> Said:
        """What is there."""
        features = self.encoder(places)
        log_heat = self.heat(features.finest).float().flatten(2).log_softmax(2)
        with torch.autocast(places.device.type, enabled=False):  # bf16 would round a joint to a quarter of a pixel
            joints = log_heat.exp() @ _cell_middles(features.finest.shape[-1], places.device)
        summary = self.summary(features.coarse)
        values = self.hand_and_box(summary).float()
        right = self.side(torch.cat([summary, joints.flatten(1)], dim=1)).float()
        return Said(values[:, 0], right[:, 0], values[:, 1:], joints, log_heat)


class _Features(NamedTuple):
    """Of a quarter and of a sixteenth of the picture's side."""

    finest: Float[Tensor, "B C M M"]
    coarse: Float[Tensor, "B C m m"]


class _Pyramid(nn.Module):
    """The backbone, and its maps from the coarsest to the finest summed up (Lin et al., CVPR 2017)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.backbone = build_encoder(config)
        width = config.decoder_channels
        self.laterals = nn.ModuleList([nn.Conv2d(count, width, 1) for count in self.backbone.channels])
        self.smooth = nn.ModuleList([_block(width, width) for _ in self.backbone.channels])

    def forward(self, pictures: Float[Tensor, "B 3 S S"]) -> _Features:
        maps: list[Tensor] = []
        levels = zip(self.laterals, self.smooth, self.backbone(self.normalise(pictures)), strict=True)
        for lateral, smooth, feature in reversed(list(levels)):
            side = lateral(feature)
            maps.append(smooth(side + functional.interpolate(maps[-1], size=side.shape[-2:]) if maps else side))
        return _Features(maps[-1], maps[1])


class Localiser(nn.Module):
    """Both looks."""

    def __init__(self, config: LocaliserConfig) -> None:
        super().__init__()
        self.config = config
        self.first = FirstLook(config.first)
        self.second = SecondLook(config)

    def propose(self, maps: Float[Tensor, "B 5 M M"], num: int) -> Proposals:
        """The highest peaks of the heatmap and the boxes there, px of the picture that the maps are of."""
        heat = maps[:, 0].sigmoid()
        peak = functional.max_pool2d(heat.unsqueeze(1), 3, stride=1, padding=1)[:, 0] == heat
        scores, cells = (heat * peak).flatten(1).topk(num)
        return Proposals(_boxes_at(maps, cells), scores)


def places_about(boxes_px: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """The squares that the second look sees of proposed boxes."""
    return squares(boxes_px, MARGIN)


def _boxes_at(maps: Float[Tensor, "B 5 M M"], cells: Int[Tensor, "B K"]) -> Float[Tensor, "B K 4"]:
    values = maps.flatten(2).gather(2, cells.unsqueeze(1).expand(-1, 5, -1)).mT
    column, row = cells % maps.shape[-1], cells // maps.shape[-1]
    middle = (torch.stack([column, row], dim=-1) + 0.5 + values[..., 3:]) * _STRIDE - 0.5
    half = values[..., 1:3].clamp(*_LOG_SIZES).exp() * _STRIDE / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def cells_of(boxes_px: Float[Tensor, "*batch 4"]) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch 2"]]:
    """Middles and sizes of boxes in cells of the first look's maps, whose first cell has its middle at 0.5."""
    middle = ((boxes_px[..., :2] + boxes_px[..., 2:]) / 2 + 0.5) / _STRIDE
    return middle, (boxes_px[..., 2:] - boxes_px[..., :2]) / _STRIDE


def boxes_from(values: Float[Tensor, "N 4"], squares_px: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Boxes from what the second look says of squares."""
    half = (squares_px[:, 2:] - squares_px[:, :2]) / 2
    middle = (squares_px[:, 2:] + squares_px[:, :2]) / 2 + values[:, :2] * half
    size = values[:, 2:].clamp(*_LOG_SIZES).exp() * half
    return torch.cat([middle - size, middle + size], dim=1)


def values_of(boxes_px: Float[Tensor, "N 4"], squares_px: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """What the second look should say: the inverse of `boxes_from`."""
    half = (squares_px[:, 2:] - squares_px[:, :2]) / 2
    middle = (boxes_px[:, :2] + boxes_px[:, 2:] - squares_px[:, :2] - squares_px[:, 2:]) / 2
    size = (boxes_px[:, 2:] - boxes_px[:, :2]) / 2
    return torch.cat([middle / half, (size / half).clamp(min=1e-3).log()], dim=1)


def joint_values_of(joints_px: Float[Tensor, "N 21 2"], squares_px: Float[Tensor, "N 4"]) -> Float[Tensor, "N 21 2"]:
    """Joints in halves of the squares from their middles."""
    half = (squares_px[:, None, 2:] - squares_px[:, None, :2]) / 2
    return (joints_px - squares_px[:, None, :2]) / half - 1


def _cell_middles(side: int, device: torch.device) -> Float[Tensor, "C 2"]:
    """Of a map, in halves of the place from its middle."""
    places = (torch.arange(side, device=device) + 0.5) * (2 / side) - 1
    return torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1).reshape(-1, 2)


def heat_of(joints: Float[Tensor, "N 21 2"], side: int) -> Float[Tensor, "N 21 C"]:
    """Heatmaps that sum to 1: Gaussians of a cell's width about joints in halves of the place."""
    away = (_cell_middles(side, joints.device) - joints.unsqueeze(2)).square().sum(3)
    return (-away * (side**2 / 8)).softmax(2)


def _block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(num_in, num_out, 3, padding=1, bias=False), nn.BatchNorm2d(num_out), nn.ReLU(True))
