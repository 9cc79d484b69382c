"""Every loss of SemiHand has the numerical gradient, and moves with the crop as its terms say."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from semihand.methods.semihand.augmentation import (
    PerturbationConfig,
    WarpConfig,
    random_perturbation,
    random_warp,
    warp_points,
)
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.cross_modal import cross_modal_loss, hand_distance, mask_to_pose_loss, pose_to_mask_loss
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
from semihand.methods.semihand.network import Prediction
from semihand.methods.semihand.objective import (
    View,
    consistency_loss,
    labels_loss,
    mask_loss,
    registration_loss,
    source_loss,
    weighted_sum,
)
from semihand.methods.semihand.radii import RadiusNetwork

SIDE, NUM = 4, 2
CONFIGS = [LossConfig(distance=distance, label_heatmap_weight=1.0) for distance in ("squared", "huber")]


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def leaves(seed: int = 1) -> tuple[Tensor, ...]:
    """uv, depth, mask logits and logits of the heatmaps; the joints a few px about the crop's middle."""
    values = (
        31.5 + 6 * draw(NUM, 21, 2, seed=seed),
        0.3 * draw(NUM, 21, seed=seed + 1),
        draw(NUM, SIDE, SIDE, seed=seed + 2),
        draw(NUM, 21, SIDE * SIDE, seed=seed + 3),
    )
    return tuple(value.requires_grad_() for value in values)


def said(uv: Tensor, depth: Tensor, logits: Tensor, heat: Tensor) -> Prediction:
    return Prediction(uv, depth, logits, torch.log_softmax(heat, -1))


def truth(seed: int = 50) -> Prediction:
    uv, depth, logits, _ = (value.detach() for value in leaves(seed))
    return Prediction(uv, depth, torch.sigmoid(logits))


def crops(seed: int = 70) -> Crops:
    """Crops of which only the poses and weights are looked at."""
    weight = torch.rand(NUM, 21, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    byte = torch.zeros(NUM, 3, 8, 8, dtype=torch.uint8)
    label, registered = truth(seed), truth(seed + 9)
    known = torch.ones(NUM, dtype=torch.float64)
    poses = (label.uv, label.depth, weight, registered.uv, registered.depth, weight.flip(0))
    return Crops(byte, byte[:, :1], known, *poses)


def view(seed: int = 90) -> View:
    warp = random_warp(NUM, WarpConfig(), torch.Generator().manual_seed(seed)).double()
    label = truth(70)
    return View(torch.zeros(NUM, 3, 8, 8), label._replace(uv=warp_points(label.uv, warp)), warp)


def radii() -> RadiusNetwork:
    torch.manual_seed(0)
    network = RadiusNetwork().double()
    for seed in range(10):
        network(31.5 + 6 * draw(16, 21, 2, seed=seed))
    return network.frozen()


ONES, KNOWN = torch.ones(NUM, 21, dtype=torch.float64), torch.ones(NUM, dtype=torch.float64)
INSIDE = torch.ones(NUM, SIDE, SIDE, dtype=torch.float64)

SINGLE: dict[str, Callable[[Prediction, LossConfig], Tensor]] = {
    "pose_distance": lambda p, config: pose_distance(p, truth(), config),
    "mask_distance": lambda p, config: mask_distance(p.mask_logits, truth().mask_logits),
    "supervised_loss": lambda p, config: supervised_loss(p, truth(), ONES, KNOWN, config),
    "heatmap_loss": lambda p, config: heatmap_loss(p, truth().uv, ONES, 8.0),
    "label_loss": lambda p, config: label_loss(p, truth(), ONES, config),
    "view_consistency_loss": lambda p, config: view_consistency_loss(p, truth(), INSIDE, config),
    "instability": lambda p, config: instability(p.uv, p.depth, p.uv.flip(0)[None], p.depth.flip(0)[None], 50.0),
}
SUMS: dict[str, Callable[[Prediction, LossConfig], Tensor]] = {
    "source_loss": lambda p, config: source_loss(p, view(), crops(), config),
    "labels_loss": lambda p, config: labels_loss(p, view(), crops(), config),
    "registration_loss": lambda p, config: registration_loss(p, view(), crops(), config),
    "consistency_loss": lambda p, config: consistency_loss(p, view(), p.rows(slice(None, None)), config),
    "eq_1": lambda p, config: weighted_sum(
        {
            "supervised": source_loss(p, view(), crops(), config),
            "labels": labels_loss(p, view(), crops(), config),
            "registration": registration_loss(p, view(), crops(), config),
            "consistency": consistency_loss(p, view(), said(*(x.flip(0) for x in p[:3]), p.log_heat), config),
            "cross_modal": mask_loss(p._replace(mask_logits=draw(NUM, SIDE, SIDE, seed=7)), radii()),
        },
        config.model_copy(update={"registration_weight": 0.7, "cross_modal_weight": 0.3}),
    ),
}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.distance)
@pytest.mark.parametrize("name", [*SINGLE, *SUMS])
def test_a_loss_has_the_numerical_gradient(name: str, config: LossConfig):
    loss = (SINGLE | SUMS)[name]
    given_leaves = leaves()
    value = loss(said(*given_leaves), config).sum()
    moved = [leaf for leaf, slope in zip(given_leaves, _slopes(value, given_leaves), strict=True) if slope is not None]
    still = {id(leaf) for leaf in moved}
    assert moved

    def of_moved(*values: Tensor) -> Tensor:
        rest = iter(values)
        return loss(said(*(next(rest) if id(leaf) in still else leaf.detach() for leaf in given_leaves)), config).sum()

    assert gradcheck(of_moved, moved, fast_mode=True)


def _slopes(value: Tensor, of: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(value, of, allow_unused=True)


@pytest.mark.parametrize("loss", [pose_to_mask_loss, mask_to_pose_loss])
def test_a_cross_modal_loss_has_the_numerical_gradient(loss):
    network, uv = radii(), leaves()[0]
    mask = torch.rand(NUM, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert gradcheck(lambda uv: loss(hand_distance(uv, network(uv), 12), mask), uv, atol=1e-6)
    assert gradcheck(lambda uv: cross_modal_loss(uv, mask, network), uv, atol=1e-6)


warps = st.integers(0, 2**31).map(
    lambda seed: random_warp(NUM, WarpConfig(rotation_deg=180, scale=1.0), torch.Generator().manual_seed(seed)).double()
)


@given(warps, st.sampled_from(CONFIGS))
@settings(max_examples=20)
def test_warping_prediction_and_truth_alike_changes_no_pose_loss(warp: Tensor, config: LossConfig):
    ours, theirs = said(*leaves()), truth()
    moved = ours._replace(uv=warp_points(ours.uv, warp)), theirs._replace(uv=warp_points(theirs.uv, warp))
    torch.testing.assert_close(pose_distance(*moved, config), pose_distance(ours, theirs, config))
    torch.testing.assert_close(label_loss(*moved, ONES, config), label_loss(ours, theirs, ONES, config))


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_the_squared_pose_loss_grows_by_the_square_of_the_scale(seed: int):
    warp = random_warp(NUM, WarpConfig(rotation_deg=180, scale=2.0), torch.Generator().manual_seed(seed)).double()
    ours, theirs = said(*leaves()), truth()
    ours = ours._replace(depth=theirs.depth)
    moved = ours._replace(uv=warp_points(ours.uv, warp)), theirs._replace(uv=warp_points(theirs.uv, warp))
    area = torch.linalg.det(warp[:, :, :2]).unsqueeze(1)
    torch.testing.assert_close(pose_distance(*moved, CONFIGS[0]), pose_distance(ours, theirs, CONFIGS[0]) * area)


@given(st.integers(1, 3))
def test_turning_pose_and_mask_by_right_angles_changes_no_cross_modal_loss_for_given_radii(quarters: int):
    uv = leaves()[0].detach()
    radius = 2 + torch.rand(NUM, 55, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    mask = torch.rand(NUM, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    turned = uv - 31.5
    for _ in range(quarters):  # counted as torch.rot90 does, from rows to columns
        turned = torch.stack([turned[..., 1], -turned[..., 0]], -1)
    before, after = hand_distance(uv, radius, 16), hand_distance(turned + 31.5, radius, 16)
    mask_after = torch.rot90(mask, quarters, dims=(1, 2))
    torch.testing.assert_close(after, torch.rot90(before, quarters, dims=(1, 2)))
    for loss in (pose_to_mask_loss, mask_to_pose_loss):
        torch.testing.assert_close(loss(after, mask_after), loss(before, mask))


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_a_pose_that_moves_with_the_crop_is_consistent_under_every_perturbation(seed: int):
    warp = random_perturbation(NUM, PerturbationConfig(), torch.Generator().manual_seed(seed)).double()
    of_crop = said(*leaves())
    of_view = of_crop._replace(uv=warp_points(of_crop.uv, warp))
    seen = View(torch.zeros(NUM, 3, 8, 8), truth(), warp)
    both = [
        consistency_loss(each, seen, of_crop, CONFIGS[0]) for each in (of_view, of_view._replace(uv=of_view.uv + 1))
    ]
    torch.testing.assert_close(both[1] - both[0], torch.tensor(2.0, dtype=torch.float64))
