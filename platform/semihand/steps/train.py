"""Train: a student and its EMA teacher on labelled source and selected target crops.

The order of the rows and every random number are functions of (seed, step, cell): a batch is cut into cells of
a few rows, and each worker takes whole cells, so that any number of workers trains on the same views.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.network import HandNetwork, Prediction
from semihand.methods.semihand.objective import source_loss, target_losses
from semihand.steps.batching import SOURCE, TARGET, Moment, draw_batch, joined
from semihand.steps.train_config import TrainConfig, World

__all__ = ["Data", "Report", "TrainConfig", "TrainState", "World", "train"]


class Data(NamedTuple):
    """What there is to train on; no target for a source-only fit."""

    source: Crops
    target: Crops | None


@dataclass
class TrainState:
    """All that a fit is, at one step."""

    network: HandNetwork
    teacher: HandNetwork  # the moving average of the network
    optimiser: torch.optim.Optimizer
    step: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def start(cls, network: HandNetwork, config: TrainConfig, device: torch.device) -> "TrainState":
        """Step 0, from the weights of `network`."""
        network = _channels_last(network.to(device)).train()
        teacher = _channels_last(HandNetwork(network.config).to(device))
        teacher.load_state_dict(network.state_dict())
        teacher.eval().requires_grad_(False)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        return cls(network, teacher, optimiser, 0, device)


class Report(NamedTuple):
    """Means of the losses since the last report."""

    step: int
    losses: dict[str, float]


def train(
    state: TrainState,
    data: Data,
    config: TrainConfig,
    world: World = World(),  # noqa: B008  an immutable tuple
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
) -> Iterator[Report]:
    """Train from `state.step` to the end, changing the state; yields every `report_every` steps.

    Args:
        state: where the fit stands; step 0 or a restored checkpoint.
        data: source and target crops, the same on every worker.
        config: the fit.
        world: which worker this is.
        wrap: makes the network average its gradients over the workers.

    Raises:
        FloatingPointError: a loss is not finite; the state is the last good one reported.
    """
    config.check_workers(world.size)
    network = wrap(state.network)
    sums: dict[str, Tensor] = {}
    since = 0
    while state.step < config.num_steps:
        losses = _step(state, network, data, config, world)
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros((), device=state.device)) + value.detach()
        since += 1
        if state.step % config.report_every == 0 or state.step == config.num_steps:
            means = {name: float(value) / since for name, value in sums.items()}
            if not all(math.isfinite(value) for value in means.values()):
                raise FloatingPointError(f"step {state.step}: losses are {means}; lower train.learning_rate")
            yield Report(state.step, means)
            sums, since = {}, 0


def _channels_last(network: HandNetwork) -> HandNetwork:
    """A third faster on CPUs, and what tensor cores want."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _step(state: TrainState, network: nn.Module, data: Data, config: TrainConfig, world: World) -> dict[str, Tensor]:
    for group in state.optimiser.param_groups:
        group["lr"] = config.learning_rate * _rate(state.step, config)
    losses = _losses(state, network, data, config, world)
    state.optimiser.zero_grad(set_to_none=True)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 50.0)
    state.optimiser.step()
    state.step += 1
    _follow(state, config.ema_decay)
    return losses


def _rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine down to `final_rate`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.num_steps - config.warmup_steps, 1)
    return config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _follow(state: TrainState, decay: float) -> None:
    """θ′ ← α θ′ + (1 − α) θ; early on α is smaller, so that the start is soon forgotten."""
    decay = min(decay, state.step / (state.step + 10))
    ours, theirs = state.network.state_dict(), state.teacher.state_dict()
    moving = [name for name, value in theirs.items() if value.is_floating_point()]
    torch._foreach_lerp_([theirs[name] for name in moving], [ours[name] for name in moving], 1 - decay)
    for name in theirs.keys() - set(moving):
        theirs[name].copy_(ours[name])


def _losses(state: TrainState, network: nn.Module, data: Data, config: TrainConfig, world: World) -> dict[str, Tensor]:
    objective, at = config.objective, Moment(state.step, world, state.device)
    source = draw_batch(data.source, config.source_batch, SOURCE, at, config)
    views = [view for view, _ in source]
    target = []
    if data.target is not None and config.target_batch:
        target = draw_batch(data.target, config.target_batch, TARGET, at, config)
        views += [view for view, _ in target]
    pictures = torch.cat([view.pictures for view in views]).contiguous(memory_format=torch.channels_last)
    with _precision(config.precision, state.device):
        predicted = network(pictures)
    of_source, of_target = _split(predicted, sum(crops.num_rows for _, crops in source))
    losses = {"supervised": source_loss(of_source, *joined(source), objective.losses)}
    total = losses["supervised"]
    if target:
        view, crops = joined(target)
        of_crop = _on_crops(state, network, crops, config)
        labels, consistency = target_losses(of_target, view, crops, of_crop, objective.losses)
        losses |= {"labels": labels, "consistency": consistency}
        total = total + objective.losses.label_weight * labels + objective.losses.consistency_weight * consistency
    return losses | {"total": total}


def _on_crops(state: TrainState, network: nn.Module, crops: Crops, config: TrainConfig) -> Prediction:
    """The prediction for the crops themselves: the teacher's, or the student's own as printed."""
    pictures = (crops.pictures.float() / 255.0).contiguous(memory_format=torch.channels_last)
    with _precision(config.precision, state.device):
        if config.objective.consistency == "student":
            return network(pictures)  # type: ignore[no-any-return]
        with torch.no_grad():
            return state.teacher(pictures)  # type: ignore[no-any-return]


def _split(predicted: Prediction, num: int) -> tuple[Prediction, Prediction]:
    first = (None if column is None else column[:num] for column in predicted)
    rest = (None if column is None else column[num:] for column in predicted)
    return Prediction(*first), Prediction(*rest)  # type: ignore[arg-type]  # only log_heat may be None


def _precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    if precision == "auto":
        fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
        precision = "bf16" if fast else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
