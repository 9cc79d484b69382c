"""Train the localiser: layers and rooms are rendered once by all cores, then a fit, a threshold, and figures."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict
from safetensors.torch import load_file, save_file

from semihand.children import end_with_parent
from semihand.frames.errors import InputError
from semihand.frames.synthetic.layers import Layer, draw_layers
from semihand.frames.synthetic.rooms import draw_room
from semihand.methods.localiser.looks import Localiser, LocaliserConfig
from semihand.methods.localiser.scenes import Bank, bank_of
from semihand.methods.localiser.weights import LocaliserCard, load_localiser, save_localiser
from semihand.steps.localiser import (
    LocaliserFit,
    quality_on_scenes,
    share_with_boxes,
    threshold_for,
    train_localiser,
)

_PIECE = 50  # layers that one process renders at a time
_OTHER_PEOPLE = 10_000  # number of the first person of the unseen scenes


class BankConfig(BaseModel, frozen=True, extra="forbid"):
    """What scenes are made of."""

    num_layers: PositiveInt = Field(
        default=4000, description="rendered hands, with or without an arm, to lay over rooms"
    )
    num_rooms: PositiveInt = Field(default=2000, description="pictures without hands")
    num_unseen: PositiveInt = Field(
        default=600, description="hands, and as many rooms, of the scenes that it is measured on"
    )
    seed: int = Field(default=0, ge=0, description="another seed makes other hands and rooms")
    backgrounds: str | None = Field(
        default=None,
        description="folder of your pictures without hands, which most rooms are cut from; None: all are drawn",
    )


class MeasureConfig(BaseModel, frozen=True, extra="forbid"):
    """How the threshold is found and the figures are taken."""

    num_scenes: PositiveInt = Field(default=2000, description="scenes to measure on, and as many without hands")
    # Half of what is promised, since both are samples.
    false_share: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="share of scenes without a hand that may have a box; lower finds fewer hands",
    )


class LocaliserJob(BaseSettings):
    """`jobs/train_localiser.py`; every field is also a command-line option."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    out: Path = Field(Path("localisers"), description="folder that keeps what scenes are made of, and the models")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is a GPU")
    start: Path | None = Field(None, description="a localiser to go on from, instead of random weights")
    mix: Path | None = Field(None, description="another localiser, averaged in after training: one it started from")
    mix_share: float = Field(0.5, gt=0, lt=1, description="weight of --mix in that average")
    bank: BankConfig = Field(BankConfig(), description="what scenes are made of")
    network: LocaliserConfig = Field(LocaliserConfig(), description="what the two networks look like")
    fit: LocaliserFit = Field(LocaliserFit(), description="the training")
    half: bool = Field(False, description="keep weights of 16 bits: half the size, and measured as such")
    measure: MeasureConfig = Field(MeasureConfig(), description="how the threshold is found and the figures are taken")


def run_localiser_training(job: LocaliserJob, say: Callable[[str], None] = print) -> Path:
    """Train and measure; returns the model's folder.

    Raises:
        InputError: the folder of backgrounds, or the model to start from or to mix in, cannot be used.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if job.device == "auto" else job.device
    localiser = _start(job)
    mixed_in = None if job.mix is None else _opened(job.mix, "--mix", job.network)
    bank = _bank(job, "seen", job.bank.num_layers, job.bank.num_rooms, say)
    unseen = _bank(job, "unseen", job.bank.num_unseen, job.bank.num_unseen, say)
    for progress in train_localiser(localiser, _on(bank, device), job.fit, device):
        losses = " · ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        say(f"step {progress.step} of {job.fit.num_steps}: {losses}")
    if mixed_in is not None:
        _mix(localiser, mixed_in.to(device), job.mix_share)
    if job.half:
        localiser.half().float()
    measure = job.measure
    threshold = threshold_for(localiser, _on(bank, device), measure.num_scenes, measure.false_share, seed=1)
    quality = quality_on_scenes(localiser, _on(unseen, device), measure.num_scenes, threshold, seed=2)
    empty = share_with_boxes(localiser, _on(unseen, device), measure.num_scenes, threshold, seed=3)
    measured = quality._asdict() | {"empty_with_boxes": empty}
    card = LocaliserCard(network=job.network, threshold=threshold, measured=measured)
    model = save_localiser(localiser.half() if job.half else localiser, card, job.out / "models")
    say(
        f"{quality.num_hands} hands of unseen scenes: {quality.found:.1%} found at IoU 0.5, {quality.sides:.1%} of "
        f"these with the right side, {quality.false_boxes:.2f} false boxes a scene; {empty:.1%} of "
        f"{measure.num_scenes} scenes without a hand have a box; threshold {threshold:.3f}\nlocaliser: {model}"
    )
    return model


def _start(job: LocaliserJob) -> Localiser:
    """Random weights, or those of another localiser of the same shape."""
    if job.start is not None:
        return _opened(job.start, "--start", job.network)
    torch.manual_seed(job.fit.seed)
    try:
        return Localiser(job.network)
    except ValueError as error:
        raise InputError(f"--network: {error}") from error


def _opened(folder: Path, option: str, network: LocaliserConfig) -> Localiser:
    """A localiser of this shape."""
    try:
        localiser, card = load_localiser(folder)
    except ValueError as error:
        raise InputError(f"{option} {folder}: {error}") from error
    if card.network != network:
        raise InputError(
            f"{option} {folder} is a localiser of another shape, {card.network!r}; "
            f"give the same --network, or no {option}"
        )
    return localiser


@torch.no_grad()
def _mix(localiser: Localiser, other: Localiser, share: float) -> None:
    """Average weights and batch statistics with those of another, in place.

    A fit and what it started from, averaged, hold up better on pictures unlike its own (WiSE-FT, Wortsman et al.,
    CVPR 2022).
    """
    theirs = other.state_dict()
    for name, ours in localiser.state_dict().items():
        if ours.is_floating_point():
            ours.lerp_(theirs[name], share)


def _bank(job: LocaliserJob, name: str, num_layers: int, num_rooms: int, say: Callable[[str], None]) -> Bank:
    """Rendered once and kept as safetensors, unless the rooms are the user's pictures, which may change."""
    config, seed = job.bank, job.bank.seed + (name == "unseen")
    kept = job.out / "banks" / f"{name}-{seed}-{num_layers}-{num_rooms}.safetensors"
    if kept.is_file() and not config.backgrounds:
        return Bank(**load_file(kept))
    say(f"rendering {num_layers} layers and {num_rooms} rooms, {name}")
    pieces = [range(start, min(start + _PIECE, num_layers)) for start in range(0, num_layers, _PIECE)]
    first_subject = _OTHER_PEOPLE if name == "unseen" else 0
    try:
        rooms = [draw_room(seed, number, config.backgrounds) for number in range(num_rooms)]
    except ValueError as error:
        raise InputError(f"--bank.backgrounds {config.backgrounds}: {error}") from error
    num_processes, spawn = min(os.cpu_count() or 1, len(pieces)), get_context("spawn")
    with ProcessPoolExecutor(num_processes, mp_context=spawn, initializer=end_with_parent) as pool:
        drawn = pool.map(_draw, [seed] * len(pieces), pieces, [first_subject] * len(pieces))
        layers = [layer for piece in drawn for layer in piece]
    bank = bank_of(layers, rooms)
    if config.backgrounds:
        return bank
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(".unfinished")
    save_file(bank._asdict(), unfinished)
    unfinished.rename(kept)
    return bank


def _draw(seed: int, numbers: range, first_subject: int) -> list[Layer]:
    torch.set_num_threads(1)
    return list(draw_layers(seed, numbers, first_subject))


def _on(bank: Bank, device: str) -> Bank:
    return Bank(*(tensor.to(device) for tensor in bank))
