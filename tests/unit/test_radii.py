"""steps/radii.py: circles that cover hands they were not trained on."""

import pytest
import torch

from semihand.methods.semihand.cross_modal import hand_distance
from semihand.methods.semihand.radii import RadiusNetwork
from semihand.steps.radii import RadiiConfig, train_radii
from semihand.steps.training_set import source_crops


@pytest.fixture(scope="module")
def crops(card):
    from semihand.frames.synthetic import SyntheticConfig, generate_frames

    return source_crops(generate_frames(SyntheticConfig(domain="source", num_frames=72, seed=23), range(72)), card)


def overlap(network: RadiusNetwork, crops) -> float:
    """Mean intersection over union of rendered and true masks, 64 px."""
    ours = hand_distance(crops.uv, network(crops.uv), 64) < 0
    truth = crops.masks[:, 0] > 127
    return float(((ours & truth).sum((1, 2)) / (ours | truth).sum((1, 2))).mean())


def test_rendered_circles_cover_the_true_masks_of_held_out_hands(crops):
    rows = torch.arange(crops.num_rows)
    seen, held_out = crops.at(rows[:48], torch.device("cpu")), crops.at(rows[48:], torch.device("cpu"))
    network = train_radii(seen, RadiiConfig(num_steps=100))  # a quarter of what is usual
    assert not network.training
    found = overlap(network, held_out)
    print(f"IoU on held-out hands {found:.3f}, on hands seen {overlap(network, seen):.3f}")
    assert found >= 0.85


def test_radii_are_a_function_of_the_source_and_the_seed_and_leave_the_random_numbers_alone(crops):
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    once, again, other = (train_radii(crops, RadiiConfig(num_steps=2, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(once(crops.uv), again(crops.uv))
    assert not torch.equal(once(crops.uv), other(crops.uv))


def test_crops_without_mask_or_joint_teach_no_radii_and_a_source_of_such_is_refused(crops):
    config = RadiiConfig(num_steps=2)
    known, weight = torch.ones(72), torch.ones(72, 21)
    known[10:], weight[3, 5] = 0, 0
    partly = crops._replace(has_mask=known, joint_weight=weight)
    garbage = partly._replace(uv=torch.where((known * weight.amin(1) > 0).view(-1, 1, 1), crops.uv, torch.nan))
    assert torch.equal(train_radii(partly, config)(crops.uv), train_radii(garbage, config)(crops.uv))
    with pytest.raises(ValueError, match=r"0 of 72 source crops have a mask .*cross_modal_weight to 0"):
        train_radii(crops._replace(has_mask=torch.zeros(72)), config)
