"""The domains: what hands, poses, views, scenes and cameras each has. Frozen in `domains.toml`."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, PositiveInt

TargetName = Literal["target", "target_shape", "target_view", "target_sensor"]
DomainName = Literal["source", "target", "randomised", "target_shape", "target_view", "target_sensor"]
DOMAINS: tuple[DomainName, ...] = get_args(DomainName)  # the place of a name seeds its frames: new ones come last
# The ablation's; "target" is the demo's, a little of each.
TARGETS: tuple[TargetName, ...] = ("target_shape", "target_view", "target_sensor")
Range = tuple[float, float]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
TenFloats = Annotated[tuple[float, ...], Field(min_length=10, max_length=10)]


class SensorRanges(BaseModel, frozen=True, extra="forbid"):
    """One camera's faults; pixels are of a 64-px picture, noise and gain in shares of full scale."""

    blur_px: Range
    motion_px: Range
    noise: Range
    gain: Range
    tint: Share
    contrast: Range
    sharpening: Range = (0.0, 0.0)


class Domain(BaseModel, frozen=True, extra="forbid"):
    """What a domain's pictures are drawn from; units and reasons stand in `domains.toml`."""

    num_subjects: PositiveInt
    shape_mean: TenFloats
    shape_std: TenFloats
    families: dict[str, float]
    pose_spread: Share
    back_probability: Share
    tilt_deg: Range
    roll_deg: Range
    upright_share: Share = 0.0
    distance_mm: Range
    fill: Range
    off_centre: Share
    skin_tones: tuple[int, ...]
    background: dict[Literal["plain", "gradient", "cluttered"], float]
    light_softness: Range
    ambient: Range
    forearm_probability: Share
    sleeve_probability: Share
    held_probability: Share
    occluder_probability: Share
    box_slack: Range
    sensor: SensorRanges


@lru_cache(maxsize=1)
def _domains() -> dict[str, Domain]:
    content = tomllib.loads((Path(__file__).parent / "domains.toml").read_text())
    return {name: Domain.model_validate(fields) for name, fields in content.items()}


def read_domain(name: DomainName) -> Domain:
    """The frozen domain of this name."""
    return _domains()[name]
