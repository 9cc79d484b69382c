"""What keeps view consistency from its trivial answer, every joint at the crop's centre (SemiHand, section 3.5)."""

from collections.abc import Callable

import pytest
import torch

from semihand.methods.semihand.augmentation import as_float
from semihand.methods.semihand.batches import Crops, unlabelled
from semihand.methods.semihand.losses import LossConfig
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.objective import (
    ObjectiveConfig,
    View,
    consistency_loss,
    perturbed_view,
    source_loss,
    source_view,
)
from semihand.steps.train import Data, TrainConfig, TrainState, train
from semihand.steps.training_set import source_crops

CPU, OBJECTIVE, LOSSES = torch.device("cpu"), ObjectiveConfig(), LossConfig()
SEED = 0
ROWS = 16
Labelled = Callable[[Crops, ObjectiveConfig, torch.Generator], View]


@pytest.fixture(scope="module")
def crops(card) -> Data:
    """Labelled source, and target of which nothing is known."""
    from semihand.frames.synthetic import SyntheticConfig, generate_frames

    source, target = (
        source_crops(generate_frames(SyntheticConfig(domain=domain, num_frames=num, seed=11), range(num)), card)
        for domain, num in (("source", 120), ("target", 32))
    )
    return Data(source, unlabelled(target.pictures))


@pytest.fixture(scope="module")
def pretrained(crops, tiny_network) -> dict[str, torch.Tensor]:
    config = TrainConfig(
        num_steps=100, source_batch=ROWS, target_batch=0, cell=ROWS, learning_rate=5e-3, warmup_steps=10,
        precision="fp32", ema_decay=0.0, seed=SEED,
    )  # fmt: skip
    torch.manual_seed(SEED)
    state = TrainState.start(HandNetwork(tiny_network.config), config, CPU)
    list(train(state, Data(crops.source, None), config))
    return state.network.state_dict()


def spread_px(network: HandNetwork, crops: Crops) -> float:
    """Mean distance of the joints from their hand's middle."""
    with torch.no_grad():
        uv = network.eval()(as_float(crops.pictures)).uv
    return float((uv - uv.mean(1, keepdim=True)).norm(dim=-1).mean())


def left_of_the_spread(
    crops: Data, network: HandNetwork, weights: dict[str, torch.Tensor], see: Labelled | None
) -> float:
    """Share of the joints' spread that is left after fine-tuning with the student held to itself on target."""
    network.load_state_dict(weights)
    before = spread_px(network, crops.target)
    optimiser = torch.optim.Adam(network.train().parameters(), lr=1.5e-3)
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(30):
        source, target = (each.at(torch.randint(each.num_rows, (ROWS,), generator=generator), CPU) for each in crops)
        view = perturbed_view(target, OBJECTIVE, generator)
        views = [] if see is None else [see(source, OBJECTIVE, generator)]
        said = network(torch.cat([as_float(target.pictures), view.pictures, *(each.pictures for each in views)]))
        loss = 0.1 * consistency_loss(said.rows(slice(ROWS, 2 * ROWS)), view, said.rows(slice(ROWS)), LOSSES)
        for labelled in views:
            loss = loss + source_loss(said.rows(slice(2 * ROWS, None)), labelled, source, LOSSES)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return spread_px(network, crops.target) / before


def test_consistency_collapses_unless_what_is_labelled_is_seen_more_diversely(crops, pretrained, tiny_network):
    left = {
        name: left_of_the_spread(crops, HandNetwork(tiny_network.config), pretrained, see)
        for name, see in (("nothing", None), ("perturbed", perturbed_view), ("diverse", source_view))
    }
    print({name: round(share, 2) for name, share in left.items()})
    assert left["nothing"] < 0.35
    assert left["perturbed"] < left["diverse"] - 0.2
    assert left["diverse"] > 0.6
