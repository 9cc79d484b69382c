"""Train the localiser on scenes, find its threshold on empty ones, and measure it on unseen ones."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import nn

from semihand.methods.localiser.boxes import overlaps
from semihand.methods.localiser.finding import find_in
from semihand.methods.localiser.looks import Localiser
from semihand.methods.localiser.objective import Losses, losses_of
from semihand.methods.localiser.scenes import Bank, Scenes, compose_scenes
from semihand.steps.precision import Precision, in_precision

_MATCH = 0.5  # intersection over union
_SCENES_AT_ONCE = 32


class LocaliserFit(BaseModel, frozen=True, extra="forbid"):
    """One fit."""

    num_steps: NonNegativeInt = Field(
        default=3000, description="optimiser steps; 0: what training starts from is only measured"
    )
    batch: PositiveInt = Field(default=32, description="scenes of a step")
    learning_rate: PositiveFloat = Field(default=2e-3, description="learning rate of AdamW after the warm-up")
    final_rate: float = Field(
        default=0.01, gt=0, le=1, description="learning rate at the last step, as a share of its height"
    )
    warmup_steps: NonNegativeInt = Field(
        default=100, description="steps over which the learning rate rises to its height"
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="weight decay of AdamW")
    precision: Precision = Field(
        default="auto", description="what networks compute in; auto: bf16 where it is fast, else fp32"
    )
    report_every: PositiveInt = Field(default=100, description="steps between reports of the losses")
    seed: NonNegativeInt = Field(default=0, description="seed of the scenes and, without --start, of the weights")


class Progress(NamedTuple):
    """Means of the losses since the last report."""

    step: int
    losses: dict[str, float]


class Quality(NamedTuple):
    """How good a localiser is on scenes."""

    found: float  # share of the hands with a box of IoU 0.5
    sides: float  # share of the found whose side is right
    false_boxes: float  # per scene, with hands or without: boxes that are no hand
    num_hands: int


def train_localiser(localiser: Localiser, bank: Bank, config: LocaliserFit, device: str = "cpu") -> Iterator[Progress]:
    """Train in place.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    localiser.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(localiser.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    chance = torch.Generator(device).manual_seed(config.seed)
    sums = dict.fromkeys(Losses._fields, 0.0)
    for step in range(1, config.num_steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _rate(step - 1, config)
        scenes = compose_scenes(bank, config.batch, localiser.config.picture_px, chance)
        with in_precision(config.precision, torch.device(device)):
            losses = losses_of(localiser, scenes, chance)
        optimiser.zero_grad(set_to_none=True)
        losses.total().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(localiser.parameters(), 10.0)
        optimiser.step()
        for name, value in losses._asdict().items():
            sums[name] += float(value.detach())
        if step % config.report_every == 0 or step == config.num_steps:
            since = (step - 1) % config.report_every + 1
            means = {name: value / since for name, value in sums.items()}
            if not all(map(math.isfinite, means.values())):
                raise FloatingPointError(f"step {step}: losses are {means}; lower fit.learning_rate")
            yield Progress(step, means)
            sums = dict.fromkeys(sums, 0.0)
    localiser.eval()


def threshold_for(localiser: Localiser, bank: Bank, num: int, share: float, seed: int) -> float:
    """The score that so small a share of scenes without a hand exceeds."""
    best = [
        max((finding.score for finding in found), default=0.0)
        for scenes in _drawn(localiser, bank, num, seed, empty=True)
        for found in find_in(localiser, scenes.pictures)
    ]
    return float(torch.tensor(best, dtype=torch.float64).quantile(1 - share, interpolation="higher"))


def share_with_boxes(localiser: Localiser, bank: Bank, num: int, threshold: float, seed: int) -> float:
    """The share of scenes without a hand in which one is found."""
    found = [
        any(finding.score > threshold for finding in findings)
        for scenes in _drawn(localiser, bank, num, seed, empty=True)
        for findings in find_in(localiser, scenes.pictures)
    ]
    return sum(found) / len(found)


def quality_on_scenes(localiser: Localiser, bank: Bank, num: int, threshold: float, seed: int) -> Quality:
    """Hands found, sides and false boxes on scenes drawn from a bank."""
    hands = found = sides = false = 0
    for scenes in _drawn(localiser, bank, num, seed):
        for number, findings in enumerate(find_in(localiser, scenes.pictures)):
            kept = [finding for finding in findings if finding.score > threshold]
            boxes = torch.tensor([finding.edges_px for finding in kept]).view(-1, 4)
            present, doubtful = scenes.present[number], scenes.doubtful[number]
            overlap = overlaps(boxes, scenes.boxes_px[number].cpu())
            hands += int(present.sum())
            for hand in present.nonzero()[:, 0].tolist():
                if len(kept) and float(overlap[:, hand].max()) >= _MATCH:
                    best = int(overlap[:, hand].argmax())
                    found += 1
                    sides += (kept[best].right > 0.5) == bool(scenes.right[number, hand])
            matched = (overlap[:, (present | doubtful).cpu()] >= 0.3).any(1)
            false += int((~matched).sum())
    return Quality(found / max(hands, 1), sides / max(found, 1), false / num, hands)


def _drawn(localiser: Localiser, bank: Bank, num: int, seed: int, empty: bool = False) -> Iterator[Scenes]:
    chance = torch.Generator(bank.layers.device).manual_seed(seed)
    for start in range(0, num, _SCENES_AT_ONCE):
        count = min(_SCENES_AT_ONCE, num - start)
        yield compose_scenes(bank, count, localiser.config.picture_px, chance, empty)


def _rate(step: int, config: LocaliserFit) -> float:
    """Warm-up, then a cosine down to the final rate."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(1, config.num_steps - config.warmup_steps)
    return config.final_rate + (1 - config.final_rate) * (1 + math.cos(math.pi * share)) / 2
