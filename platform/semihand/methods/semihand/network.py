"""The SemiHand network: an encoder and decoder or two hourglasses, 2.5D latent heatmaps and one mask map."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel, BeforeValidator, Field
from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, ResNetConfig

from semihand.hand.skeleton import NUM_JOINTS
from semihand.methods.semihand.hourglass import StackedHourglass

GRID_PX = 64.0  # every 2D coordinate inside the method is in pixels of a 64 px crop, whatever the input size

_RGB_MEAN = (0.485, 0.456, 0.406)
_RGB_STD = (0.229, 0.224, 0.225)


def _as_number(value: Any) -> Any:
    """Digits of a command line as the number they are, which a choice of numbers does not make of them."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


#: The side of a square picture, px.
Side = Annotated[Literal[64, 128, 256], BeforeValidator(_as_number)]


class NetworkConfig(BaseModel, frozen=True, extra="forbid"):
    """What the network looks like."""

    input_px: Side = Field(default=64, description="side of the square crop, px")
    backbone: str = Field(
        default="resnet",
        description="resnet (as ResNet-18, random weights), hourglass (the paper's) or a folder for AutoBackbone",
    )
    width: int = Field(
        default=32,
        ge=8,
        le=128,
        description="channels of the first ResNet stage (ResNet-18: 64), or an eighth of an hourglass's",
    )
    depth: int = Field(default=2, ge=1, le=6, description="blocks in each ResNet stage (ResNet-18: 2)")
    decoder_channels: int = Field(
        default=64, ge=16, le=512, description="channels of the decoder; an hourglass has none"
    )


class Prediction(NamedTuple):
    """What the network says of a batch of crops."""

    uv: Float[Tensor, "batch 21 2"]  # pixels of a 64 px crop
    depth: Float[Tensor, "batch 21"]  # relative to the root, in lengths of the reference bone
    mask_logits: Float[Tensor, "batch rows columns"]  # hand against everything else
    log_heat: Float[Tensor, "batch 21 cells"] | None = None  # log of the heatmaps' weights; None where nobody asks
    earlier: "Prediction | None" = None  # what the stack before said, while it is being trained

    def stacks(self) -> "list[Prediction]":
        """This prediction and those of all earlier stacks."""
        return [self] if self.earlier is None else [self, *self.earlier.stacks()]

    def rows(self, chosen: slice) -> "Prediction":
        """The prediction for some of the crops."""
        return Prediction(
            self.uv[chosen],
            self.depth[chosen],
            self.mask_logits[chosen],
            None if self.log_heat is None else self.log_heat[chosen],
            None if self.earlier is None else self.earlier.rows(chosen),
        )


class HandNetwork(nn.Module):
    """f(x) = (p, w): 2.5D pose and hand mask of a crop.

    Latent 2.5D heatmaps follow Iqbal et al. (ECCV 2018) as SemiHand uses them (supplement, eq. 1): the place of
    a joint is the soft-argmax of its heatmap, its depth the mean of its depth map under the same weights.
    """

    beta: nn.Parameter

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise()
        if config.backbone == "hourglass":
            self.hourglass = StackedHourglass(config.input_px, 8 * config.width, 2 * NUM_JOINTS + 1)
        else:
            self.encoder = build_encoder(config)
            self.stem = _block(3, config.decoder_channels // 4, stride=2)
            self.decoder = _Decoder(self.encoder.channels, config.decoder_channels)
            self.head = nn.Conv2d(config.decoder_channels // 2, 2 * NUM_JOINTS + 1, kernel_size=1)
        self.beta = nn.Parameter(torch.full((NUM_JOINTS,), 1.0))

    def forward(self, crops: Float[Tensor, "batch 3 rows columns"]) -> Prediction:
        """Predict from RGB crops in 0..1; the mask has half the side of the crop."""
        normal = self.normalise(crops)
        if self.config.backbone != "hourglass":
            return _read_out(self.head(self.decoder(self.encoder(normal), self.stem(normal))), self.beta)
        half = (crops.shape[-2] // 2, crops.shape[-1] // 2)
        said: Prediction | None = None
        for maps in self.hourglass(normal):
            said = _with_mask_of(half, _read_out(maps, self.beta))._replace(earlier=said)
        assert said is not None
        return said if self.training else said._replace(earlier=None)


class Normalise(nn.Module):
    """RGB in 0..1 to what the backbones want."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_RGB_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Float[Tensor, "batch 3 rows columns"]) -> Float[Tensor, "batch 3 rows columns"]:
        return (pictures - self.mean) / self.std


def _read_out(maps: Float[Tensor, "batch 43 rows columns"], beta: Float[Tensor, " 21"]) -> Prediction:
    """Soft-argmax and mean depth, always in single precision: bf16 would round a place to a quarter of a pixel."""
    with torch.autocast(maps.device.type, enabled=False):
        heat, depth_maps, mask_logits = torch.split(maps.float(), [NUM_JOINTS, NUM_JOINTS, 1], dim=1)
        log_heat = torch.log_softmax(beta.view(1, -1, 1) * heat.flatten(2), dim=-1)
        weights = log_heat.exp()
        uv = weights @ grid_of(heat.shape[2], heat.shape[3], heat.device)
        depth = (weights * depth_maps.flatten(2)).sum(-1)
    return Prediction(uv, depth, mask_logits[:, 0], log_heat)


def _with_mask_of(size: tuple[int, int], predicted: Prediction) -> Prediction:
    logits = nn.functional.interpolate(predicted.mask_logits.unsqueeze(1), size, mode="bilinear", align_corners=False)
    return predicted._replace(mask_logits=logits[:, 0])


class Encoder(nn.Module):
    """The backbone's feature maps, finest first."""

    def __init__(self, backbone: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = list(channels)

    def forward(self, crops: Tensor) -> list[Tensor]:
        return list(self.backbone(crops).feature_maps)


def build_encoder(config: NetworkConfig) -> Encoder:
    """The backbone of a network that is no hourglass.

    Raises:
        ValueError: the backbone is not known.
    """
    if config.backbone == "resnet":
        shape = ResNetConfig(
            embedding_size=config.width,
            hidden_sizes=[config.width * factor for factor in (1, 2, 4, 8)],
            depths=[config.depth] * 4,
            layer_type="basic",
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        backbone = AutoBackbone.from_config(shape)
    elif Path(config.backbone).is_dir():
        _refuse_pickles(Path(config.backbone))
        about = AutoConfig.from_pretrained(config.backbone, local_files_only=True, trust_remote_code=False)
        about.out_indices = list(range(1, len(about.stage_names)))
        # AutoBackbone.from_pretrained takes its argument for the name of a repository and asks the hub for it.
        backbone = type(AutoBackbone.from_config(about)).from_pretrained(
            config.backbone, config=about, local_files_only=True, use_safetensors=True
        )
    else:
        raise ValueError(
            f"network.backbone is {config.backbone!r}: neither 'resnet', 'hourglass' nor a folder. "
            "Name a folder that transformers' AutoBackbone can load (config.json and model.safetensors)."
        )
    return Encoder(backbone, backbone.channels)


def _refuse_pickles(folder: Path) -> None:
    """transformers opens `pytorch_model.bin`, a pickle, where there is nothing else."""
    if not (folder / "config.json").is_file() or not any(folder.glob("model*.safetensors")):
        raise ValueError(
            f"network.backbone is {str(folder)!r}: it holds no config.json and model.safetensors, and other weights "
            "are pickles. Save it with save_pretrained, which writes both."
        )


class _Decoder(nn.Module):
    """From the coarsest feature map up to half the crop's side, taking every finer map on the way."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(count, width, kernel_size=1) for count in channels])
        self.smooth = nn.ModuleList([_block(width, width) for _ in channels])
        self.narrow = nn.Conv2d(width, width // 2, kernel_size=1)  # the finest map costs most: half the channels
        self.last = _block(width // 2 + width // 4, width // 2)

    def forward(self, features: Sequence[Tensor], stem: Tensor) -> Tensor:
        x: Tensor | None = None
        for lateral, smooth, feature in zip(
            reversed(self.laterals), reversed(self.smooth), reversed(features), strict=True
        ):
            side = lateral(feature)
            x = smooth(side if x is None else side + _resize(x, side))
        assert x is not None
        return self.last(torch.cat([_resize(self.narrow(x), stem), stem], dim=1))  # type: ignore[no-any-return]


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _block(num_in: int, num_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(inplace=True),
    )


def grid_of(rows: int, columns: int, device: torch.device) -> Float[Tensor, "cells 2"]:
    """Centres of the map's cells in pixels of a 64 px crop."""
    v = (torch.arange(rows, device=device) + 0.5) * (GRID_PX / rows) - 0.5
    u = (torch.arange(columns, device=device) + 0.5) * (GRID_PX / columns) - 0.5
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1).reshape(-1, 2)
