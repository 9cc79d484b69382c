"""Train: a student and its EMA teacher on labelled source and selected target crops.

The order of the rows and every random number are functions of (seed, step, cell): a batch is cut into cells of
a few rows, and each worker takes whole cells, so that any number of workers trains on the same views.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.radii import RadiusNetwork
from semihand.steps.batching import Data, Moment
from semihand.steps.step_losses import Models, step_losses
from semihand.steps.train_config import TrainConfig, World

__all__ = ["Data", "DivergenceError", "Report", "TrainConfig", "TrainState", "World", "train"]


@dataclass
class TrainState:
    """All that a fit is, at one step."""

    network: HandNetwork
    teacher: HandNetwork  # the moving average of the network
    optimiser: torch.optim.Optimizer
    step: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    radii: RadiusNetwork | None = None  # frozen; what cross-modal consistency needs

    @classmethod
    def start(
        cls, network: HandNetwork, config: TrainConfig, device: torch.device, radii: RadiusNetwork | None = None
    ) -> "TrainState":
        """Step 0, from the weights of `network`.

        Raises:
            ValueError: the config asks for cross-modal consistency, but there are no radii.
        """
        config.check_radii(radii is not None)
        network = _channels_last(network.to(device)).train()
        teacher = _channels_last(HandNetwork(network.config).to(device))
        teacher.load_state_dict(network.state_dict())
        teacher.eval().requires_grad_(False)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        return cls(network, teacher, optimiser, 0, device, None if radii is None else radii.to(device).frozen())


class Report(NamedTuple):
    """Means of the losses since the last report, over all workers."""

    step: int
    losses: dict[str, float]


class DivergenceError(FloatingPointError):
    """A loss or a gradient is not finite."""

    def __init__(self, step: int, said: str) -> None:
        super().__init__(f"step {step}: {said}; lower train.learning_rate, or look at the frames of its batch")
        self.step = step


def train(
    state: TrainState,
    data: Data,
    config: TrainConfig,
    world: World = World(),  # noqa: B008  an immutable tuple
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
    mean: Callable[[Tensor], Tensor] = lambda values: values,
) -> Iterator[Report]:
    """Train from `state.step` to the end, changing the state; yields every `report_every` steps.

    Args:
        state: where the fit stands; step 0 or a restored checkpoint.
        data: source and target crops, the same on every worker.
        config: the fit.
        world: which worker this is.
        wrap: makes the network average its gradients over the workers.
        mean: averages numbers over the workers, so that all of them report the same and stop together.

    Raises:
        ValueError: the workers cannot share a batch, or cross-modal consistency has no radii.
        DivergenceError: a loss or a gradient is not finite; no state is reported from that step on.
    """
    config.check_workers(world.size)
    config.check_radii(state.radii is not None)
    network = wrap(state.network)
    steps: list[_Step] = []
    while state.step < config.num_steps:
        steps.append(_step(state, network, data, config, world))
        if state.step % config.report_every == 0 or state.step == config.num_steps:
            yield _report(state.step, steps, mean)
            steps = []


class _Step(NamedTuple):
    losses: dict[str, Tensor]
    gradient: Tensor  # its length before it was clipped


def _report(step: int, steps: list[_Step], mean: Callable[[Tensor], Tensor]) -> Report:
    """The steps up to this one, if all of them are sound; nothing waits for the device before."""
    health = mean(torch.stack([torch.stack([each.losses["total"], each.gradient]) for each in steps]))
    if not torch.isfinite(health).all():
        bad = int((~torch.isfinite(health)).any(dim=1).nonzero()[0])
        total, gradient = health[bad].tolist()
        raise DivergenceError(step - len(steps) + bad + 1, f"the loss is {total:g}, the gradient's length {gradient:g}")
    names = list(dict.fromkeys(name for each in steps for name in each.losses))
    nothing = health.new_zeros(())
    sums = [torch.stack([each.losses.get(name, nothing) for each in steps]).sum() for name in names]
    means = mean(torch.stack(sums) / len(steps)).tolist()
    return Report(step, dict(zip(names, means, strict=True)))


def _channels_last(network: HandNetwork) -> HandNetwork:
    """A third faster on CPUs, and what tensor cores want."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _step(state: TrainState, network: nn.Module, data: Data, config: TrainConfig, world: World) -> _Step:
    for group in state.optimiser.param_groups:
        group["lr"] = config.learning_rate * _rate(state.step, config)
    models = Models(network, state.teacher, state.radii)
    losses = step_losses(models, data, config, Moment(state.step, world, state.device))
    state.optimiser.zero_grad(set_to_none=True)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    length = nn.utils.clip_grad_norm_(network.parameters(), 50.0)
    state.optimiser.step()
    state.step += 1
    _follow(state, _decay(state.step, config))
    return _Step({name: value.detach() for name, value in losses.items()}, length)


def _rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine down to `final_rate`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.num_steps - config.warmup_steps, 1)
    return config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * done))


def _decay(step: int, config: TrainConfig) -> float:
    """α after so many steps; early on it is smaller, so that the start is soon forgotten."""
    decay = config.ema_decay
    if config.ema_schedule == "cosine":  # BYOL (Grill et al. 2020), section 3.3
        decay = 1 - (1 - decay) * 0.5 * (1 + math.cos(math.pi * step / config.num_steps))
    return min(decay, step / (step + 10))


@torch.no_grad()
def _follow(state: TrainState, decay: float) -> None:
    """θ′ ← α θ′ + (1 − α) θ."""
    ours, theirs = state.network.state_dict(), state.teacher.state_dict()
    moving = [name for name, value in theirs.items() if value.is_floating_point()]
    torch._foreach_lerp_([theirs[name] for name in moving], [ours[name] for name in moving], 1 - decay)
    for name in theirs.keys() - set(moving):
        theirs[name].copy_(ours[name])
