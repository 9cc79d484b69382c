"""methods/semihand/losses.py against the equations as the paper prints them, one number at a time."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from semihand.methods.semihand.losses import (
    LossConfig,
    heatmap_loss,
    instability,
    label_loss,
    mask_distance,
    pose_distance,
    supervised_loss,
    view_consistency_loss,
)
from semihand.methods.semihand.network import Prediction, grid_of

PRINTED = LossConfig(distance="squared")
HUBER = LossConfig(distance="huber", huber_px=2.0)


def prediction(seed: int, num: int = 2, side: int = 4, mask: bool = False) -> Prediction:
    """A pose a few px from the crop's middle; logits, or a mask in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(num, side, side, generator=generator)
    return Prediction(
        31.5 + 3 * torch.randn(num, 21, 2, generator=generator),
        0.3 * torch.randn(num, 21, generator=generator),
        torch.sigmoid(maps) if mask else maps,
    )


def printed_distance(a: Prediction, b: Prediction, depth_weight: float) -> list[list[float]]:
    """Eq. 2, joint by joint in plain Python."""
    return [
        [
            sum((float(a.uv[row, joint, axis]) - float(b.uv[row, joint, axis])) ** 2 for axis in (0, 1))
            + depth_weight * (float(a.depth[row, joint]) - float(b.depth[row, joint])) ** 2
            for joint in range(21)
        ]
        for row in range(len(a.uv))
    ]


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@given(st.integers(0, 2**31), st.sampled_from([1.0, 50.0]))
@settings(max_examples=10, deadline=None)
def test_the_pose_distance_is_equation_2(seed: int, depth_weight: float):
    a, b = prediction(seed), prediction(seed + 1)
    config = LossConfig(distance="squared", depth_weight=depth_weight)
    expected = torch.tensor(printed_distance(a, b, depth_weight))
    torch.testing.assert_close(pose_distance(a, b, config), expected, rtol=1e-4, atol=1e-4)


def test_the_huber_distance_is_the_square_up_close_and_grows_like_a_line_beyond():
    def at(px: float) -> float:
        here = Prediction(torch.zeros(1, 21, 2), torch.zeros(1, 21), torch.zeros(1, 2, 2))
        return float(pose_distance(here._replace(uv=torch.tensor([px, 0.0]).expand(1, 21, 2)), here, HUBER)[0, 0])

    assert [at(0.5), at(2.0)] == pytest.approx([0.25, 4.0], rel=1e-5)
    assert at(2.0 + 1e-3) - at(2.0 - 1e-3) == pytest.approx(2 * 2 * 2e-3, rel=1e-2)  # no step where they meet
    assert [at(12.0) - at(11.0), at(31.0) - at(30.0)] == pytest.approx([4.0, 4.0], rel=1e-4)


def test_the_mask_distance_is_the_mean_absolute_difference():
    logits, mask = torch.tensor([[[0.0, 2.0]], [[-1.0, 1.0]]]), torch.tensor([[[1.0, 0.0]], [[0.0, 0.25]]])
    expected = [(0.5 + logistic(2)) / 2, (logistic(-1) + logistic(1) - 0.25) / 2]
    torch.testing.assert_close(mask_distance(logits, mask), torch.tensor(expected))


def test_the_supervised_loss_is_equation_3_over_the_joints_and_masks_that_are_known():
    ours, truth = prediction(1), prediction(2, mask=True)
    weight = torch.rand(2, 21, generator=torch.Generator().manual_seed(3)).round(decimals=1)
    known = torch.tensor([1.0, 0.0])
    pose = sum(
        distance * float(weight[row, joint])
        for row, distances in enumerate(printed_distance(ours, truth, 50.0))
        for joint, distance in enumerate(distances)
    )
    mask = sum(
        abs(logistic(float(a)) - float(b))
        for a, b in zip(ours.mask_logits[0].flatten(), truth.mask_logits[0].flatten(), strict=True)
    )
    expected = pose / (2 * 21) + 100.0 * (mask / 16) / 2  # the second row has no mask
    assert float(supervised_loss(ours, truth, weight, known, PRINTED)) == pytest.approx(expected, rel=1e-4)


def test_the_label_loss_is_equation_4_with_the_gate_as_weight():
    ours, label = prediction(4), prediction(5)
    gate = torch.tensor([1.0, 0.0]).view(2, 1).expand(2, 21)
    expected = sum(printed_distance(ours, label, 50.0)[0]) / (2 * 21)
    assert float(label_loss(ours, label, gate, PRINTED)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("config", [PRINTED, HUBER])
def test_a_closed_gate_leaves_no_gradient_however_wrong_the_label(config: LossConfig):
    ours, label = prediction(6), prediction(7)
    label = label._replace(uv=label.uv + 1000.0)
    for value in (ours.uv, ours.depth):
        value.requires_grad_()
    gate = torch.ones(2, 21)
    gate[0, 3:], gate[1] = 0.0, 0.0
    label_loss(ours, label, gate, config).backward()
    assert ours.uv.grad[0, :3].abs().min() > 0
    assert ours.uv.grad[0, 3:].abs().sum() + ours.uv.grad[1].abs().sum() == 0
    assert ours.depth.grad[0, 3:].abs().sum() + ours.depth.grad[1].abs().sum() == 0


def test_view_consistency_is_equation_10_where_the_view_shows_the_crop():
    ours, moved = prediction(8), prediction(9, mask=True)
    inside = torch.ones(2, 4, 4)
    inside[1, :, 2:] = 0.0
    pose = torch.tensor(printed_distance(ours, moved, 50.0)).mean()
    mask = sum(
        abs(logistic(float(ours.mask_logits[row, i, j])) - float(moved.mask_logits[row, i, j]))
        for row, i, j in torch.nonzero(inside).tolist()
    )
    loss = float(view_consistency_loss(ours, moved, inside, PRINTED))
    assert loss == pytest.approx(float(pose) + mask / 32, rel=1e-4)


@pytest.mark.parametrize("config", [PRINTED, HUBER])
def test_every_loss_is_zero_where_both_say_the_same(config: LossConfig):
    same = prediction(10)
    mask = same._replace(mask_logits=torch.sigmoid(same.mask_logits))
    ones = torch.ones(2, 21)
    losses = [
        supervised_loss(same, mask, ones, torch.ones(2), config),
        label_loss(same, mask, ones, config),
        view_consistency_loss(same, mask, torch.ones(2, 4, 4), config),
    ]
    assert [float(loss) for loss in losses] == pytest.approx([0.0] * 3, abs=1e-6)


@pytest.mark.parametrize("config", [PRINTED, HUBER])
def test_the_gradients_are_the_numerical_ones(config: LossConfig):
    ours = Prediction(*(value.double() for value in prediction(11, num=1)[:3]))
    truth = Prediction(*(value.double() for value in prediction(12, num=1, mask=True)[:3]))
    weight, known = torch.rand(1, 21, dtype=torch.float64), torch.ones(1, dtype=torch.float64)

    def loss(uv: torch.Tensor, depth: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return supervised_loss(Prediction(uv, depth, logits), truth, weight, known, config)

    assert gradcheck(loss, [value.clone().requires_grad_() for value in ours[:3]])


@pytest.mark.parametrize("config", [PRINTED, HUBER])
def test_where_only_the_picture_is_known_depth_neither_counts_nor_learns(config: LossConfig):
    ours, truth = prediction(15), prediction(16, mask=True)
    flat = truth._replace(depth=torch.where(torch.arange(21) < 5, torch.nan, truth.depth))
    same_depth = truth._replace(depth=torch.where(torch.arange(21) < 5, ours.depth, truth.depth))
    torch.testing.assert_close(pose_distance(ours, flat, config), pose_distance(ours, same_depth, config))
    ours.depth.requires_grad_()
    label_loss(ours, flat, torch.ones(2, 21), config).backward()
    assert (ours.depth.grad[:, :5] == 0).all()
    assert (ours.depth.grad[:, 5:] != 0).all()


def test_the_huber_gradient_is_finite_where_the_distance_is_zero():
    ours = prediction(13)
    ours.uv.requires_grad_()
    label_loss(ours, ours._replace(uv=ours.uv.detach().clone()), torch.ones(2, 21), HUBER).backward()
    assert torch.isfinite(ours.uv.grad).all()


def test_the_heatmap_loss_is_the_cross_entropy_to_a_gaussian_about_the_joint():
    logits = torch.randn(2, 21, 16, generator=torch.Generator().manual_seed(14))
    uv = 64 * torch.rand(2, 21, 2, generator=torch.Generator().manual_seed(15))
    weight = torch.rand(2, 21, generator=torch.Generator().manual_seed(16))
    ours = Prediction(uv, torch.zeros(2, 21), torch.zeros(2, 4, 4), torch.log_softmax(logits, -1))
    expected = 0.0
    for row in range(2):
        for joint in range(21):
            u, v = uv[row, joint].tolist()
            # four cells a side: their centres are 16 px apart, the first at 7.5
            places = [(7.5 + 16 * (cell % 4), 7.5 + 16 * (cell // 4)) for cell in range(16)]
            bumps = [math.exp(-((a - u) ** 2 + (b - v) ** 2) / (2 * 12.0**2)) for a, b in places]
            logs = ours.log_heat[row, joint].tolist()
            entropy = -sum(bump * log for bump, log in zip(bumps, logs, strict=True)) / sum(bumps)
            expected += entropy * float(weight[row, joint]) / 42
    assert float(heatmap_loss(ours, uv, weight, 12.0)) == pytest.approx(expected, rel=1e-4)
    assert float(heatmap_loss(ours, uv, torch.zeros(2, 21), 12.0)) == 0


def test_no_heatmap_is_better_than_the_gaussian_itself():
    uv = torch.tensor([20.0, 41.0]).expand(1, 21, 2)
    squared = (uv.unsqueeze(2) - grid_of(8, 8, torch.device("cpu"))).square().sum(-1)
    best = torch.log_softmax(-squared / (2 * 9.0**2), -1)
    here = Prediction(uv, torch.zeros(1, 21), torch.zeros(1, 8, 8), best)
    least = float(heatmap_loss(here, uv, torch.ones(1, 21), 9.0))
    for seed in range(5):
        noise = torch.randn(best.shape, generator=torch.Generator().manual_seed(seed))
        other = here._replace(log_heat=torch.log_softmax(best + 0.1 * noise, -1))
        assert float(heatmap_loss(other, uv, torch.ones(1, 21), 9.0)) > least


def test_instability_is_the_mean_distance_of_the_views_from_their_consensus():
    uv, depth = torch.zeros(2, 21, 2), torch.zeros(2, 21)
    views_uv, views_depth = torch.zeros(3, 2, 21, 2), torch.zeros(3, 2, 21)
    views_uv[1, 0, 5] = torch.tensor([3.0, 4.0])  # one joint of one view 5 px off
    views_depth[2, 1] = 0.1  # one view with all joints a tenth of a bone further
    expected = torch.tensor([25.0 / (3 * 21), 50.0 * 0.01 / 3])
    torch.testing.assert_close(instability(uv, depth, views_uv, views_depth, 50.0), expected)
