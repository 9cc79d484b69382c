"""methods/semihand/objective.py: views of crops, and which of their pixels and joints count."""

import math

import pytest
import torch

from semihand.methods.semihand.augmentation import AppearanceConfig, WarpConfig, warp_pictures, warp_points
from semihand.methods.semihand.batches import Crops, no_poses, unlabelled
from semihand.methods.semihand.losses import LossConfig
from semihand.methods.semihand.network import Prediction
from semihand.methods.semihand.objective import (
    ObjectiveConfig,
    View,
    consistency_loss,
    labels_loss,
    perturbed_view,
    registration_loss,
    source_loss,
    source_view,
    target_view,
)

NOTHING = AppearanceConfig(colour=0, grey=0, blur=0, noise=0, erase=0, background=0, skin=0)
STILL = WarpConfig(rotation_deg=0.0, scale=1.0, translation_px=0.0)
PLAIN = ObjectiveConfig(warp=STILL, source_appearance=NOTHING, target_appearance=NOTHING)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(num: int = 3, seed: int = 0) -> Crops:
    """Noise with a square of mask, joints about the middle; the last row has no mask."""
    generator = seeded(seed)
    masks = torch.zeros(num, 1, 64, 64, dtype=torch.uint8)
    masks[:-1, :, 20:44, 16:48] = 255
    return Crops(
        torch.randint(0, 256, (num, 3, 64, 64), dtype=torch.uint8, generator=generator),
        masks,
        torch.tensor([1.0] * (num - 1) + [0.0]),
        31.5 + 8 * (torch.rand(num, 21, 2, generator=generator) - 0.5),
        torch.randn(num, 21, generator=generator),
        torch.ones(num, 21),
        *no_poses(num),
    )


@pytest.mark.parametrize("make", [source_view, target_view])
def test_a_view_without_any_change_is_the_crop_and_its_truth(make):
    given = crops()
    view = make(given, PLAIN, seeded(1))
    torch.testing.assert_close(view.pictures, given.pictures.float() / 255, atol=1e-4, rtol=0)
    torch.testing.assert_close(view.truth.uv, given.uv, atol=1e-5, rtol=0)
    assert torch.equal(view.truth.depth, given.depth)
    expected = torch.zeros(3, 32, 32)
    expected[:-1, 10:22, 8:24] = 1
    torch.testing.assert_close(view.truth.mask_logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [source_view, target_view])
def test_a_views_joints_and_mask_follow_its_warp(make):
    given = crops()._replace(uv=torch.tensor([31.5, 31.5]).expand(3, 21, 2).contiguous())
    view = make(given, ObjectiveConfig(), seeded(2))
    torch.testing.assert_close(view.truth.uv, warp_points(given.uv, view.warp))
    place = torch.arange(32) * 2 + 0.5
    mask = view.truth.mask_logits[:-1]
    mass = mask.sum((1, 2), keepdim=True)
    centre = torch.stack([((mask / mass).sum(1) * place).sum(1), ((mask / mass).sum(2) * place).sum(1)], -1)
    torch.testing.assert_close(centre, view.truth.uv[:-1, 0], atol=0.3, rtol=0)


@pytest.mark.parametrize("make", [source_view, target_view])
def test_a_view_is_a_function_of_its_seed_and_what_is_given(make):
    once, again, other = (make(crops(), ObjectiveConfig(), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(once.pictures, again.pictures)
    assert torch.equal(once.warp, again.warp)
    assert not torch.equal(once.warp, other.warp)


def test_a_crop_without_mask_keeps_its_background_and_skin():
    given = crops()
    only_mask = PLAIN.model_copy(
        update={"source_appearance": NOTHING.model_copy(update={"background": 1.0, "skin": 1.0})}
    )
    change = (source_view(given, only_mask, seeded(5)).pictures - given.pictures.float() / 255).abs().amax((1, 2, 3))
    assert (change[:-1] > 0.1).all()
    assert change[-1] < 1e-5


def test_joints_that_the_view_no_longer_shows_do_not_count():
    given = crops()
    view = source_view(given, PLAIN, seeded(6))
    beyond = view.truth.uv.clone()
    beyond[0, 4] = torch.tensor([-4.5, 30.0])
    beyond[1, 7] = torch.tensor([30.0, 67.5])
    at_the_edge = beyond.clone()
    at_the_edge[0, 4, 0], at_the_edge[1, 7, 1] = -3.5, 66.5
    config = LossConfig(mask_weight=0.0, heatmap_weight=0.0, distance="squared")

    def loss(uv: torch.Tensor) -> float:
        wrong = Prediction(uv + torch.tensor([1.0, 0.0]), given.depth, torch.zeros(3, 32, 32))
        return float(source_loss(wrong, View(view.pictures, view.truth._replace(uv=uv), view.warp), given, config))

    assert loss(view.truth.uv) == pytest.approx(1.0, rel=1e-4)
    assert loss(beyond) == pytest.approx(1 - 2 / 63, rel=1e-4)
    assert loss(at_the_edge) == pytest.approx(1.0, rel=1e-4)


def test_unlabelled_crops_pull_at_nothing_but_consistency():
    given = unlabelled(crops().pictures)
    view = target_view(given, ObjectiveConfig(), seeded(7))
    ours = Prediction(torch.rand(3, 21, 2) * 60, torch.rand(3, 21), torch.zeros(3, 32, 32))
    labels = labels_loss(ours, view, given, LossConfig())
    consistency = consistency_loss(ours, view, ours, LossConfig())
    assert float(labels) == 0
    assert float(consistency) > 0


def test_every_label_pulls_by_its_corrected_pose_selected_or_not():
    given = crops()
    given = given._replace(
        joint_weight=torch.zeros(3, 21),
        registered_uv=given.uv + torch.tensor([3.0, 0.0]),
        registered_depth=given.depth,
        registered_weight=torch.tensor([1.0, 1.0, 0.0]).view(-1, 1).expand(3, 21),  # the third has no label
    )
    view = target_view(given, PLAIN, seeded(7))
    ours = Prediction(given.uv.clone().requires_grad_(), given.depth, torch.zeros(3, 32, 32))
    config = LossConfig(distance="squared")
    assert float(labels_loss(ours, view, given, config).detach()) == 0
    loss = registration_loss(ours, view, given, config)
    assert float(loss.detach()) == pytest.approx(9.0 * 2 / 3, rel=1e-4)
    loss.backward()
    assert (ours.uv.grad[:2, :, 0] < 0).all()
    assert not ours.uv.grad[2].any()


def test_the_corrected_pose_follows_the_views_warp():
    given = crops()
    given = given._replace(registered_uv=given.uv, registered_depth=given.depth, registered_weight=torch.ones(3, 21))
    view = target_view(given, ObjectiveConfig(), seeded(8))
    ours = Prediction(view.truth.uv, given.depth, torch.zeros(3, 32, 32))
    assert float(registration_loss(ours, view, given, LossConfig())) == pytest.approx(0.0, abs=1e-6)


def test_truth_and_labels_teach_every_stack_consistency_only_the_last():
    given = crops()
    given = given._replace(registered_uv=given.uv, registered_weight=torch.ones(3, 21))
    view = target_view(given, PLAIN, seeded(9))
    config = LossConfig(heatmap_weight=0.0)

    def said(off: float) -> Prediction:
        return Prediction(view.truth.uv + off, given.depth, torch.zeros(3, 32, 32))

    both = said(1.0)._replace(earlier=said(2.0))
    for loss in (source_loss, labels_loss, registration_loss):
        alone = [float(loss(said(off), view, given, config)) for off in (1.0, 2.0)]
        assert float(loss(both, view, given, config)) == pytest.approx(sum(alone), rel=1e-5)
        assert alone[1] > 0
    alone = consistency_loss(said(1.0), view, said(0.0), config)
    assert torch.equal(consistency_loss(both, view, said(0.0), config), alone)


def test_a_perturbed_view_keeps_the_appearance_and_its_truth_follows():
    given = crops()
    view = perturbed_view(given, ObjectiveConfig(), seeded(10))
    torch.testing.assert_close(view.pictures, warp_pictures(given.pictures.float() / 255, view.warp))
    torch.testing.assert_close(view.truth.uv, warp_points(given.uv, view.warp))
    assert not torch.equal(view.warp, torch.eye(3)[:2].expand(3, 2, 3))


def test_labels_pull_at_the_heatmaps_where_they_count_and_only_if_asked():
    given = crops(4)
    given = given._replace(joint_weight=given.joint_weight * torch.tensor([1.0, 1.0, 0.0, 0.0]).view(-1, 1))
    view = target_view(given, PLAIN, seeded(9))
    heat = torch.zeros(4, 21, 32 * 32, requires_grad=True)
    ours = Prediction(given.uv, given.depth, torch.zeros(4, 32, 32), torch.log_softmax(heat, -1))
    without = labels_loss(ours, view, given, LossConfig())
    assert not without.requires_grad
    labels = labels_loss(ours, view, given, LossConfig(label_heatmap_weight=2.0))
    assert float((labels - without).detach()) == pytest.approx(
        2.0 * math.log(32 * 32) * 0.5, rel=1e-4
    )  # uniform heatmaps
    labels.backward()
    assert heat.grad is not None
    assert (heat.grad[:2].abs().amax((1, 2)) > 0).all()
    assert not heat.grad[2:].any()


def test_a_network_that_moves_with_the_crop_is_consistent():
    given = crops()
    view = target_view(given, ObjectiveConfig(), seeded(8))
    soft = torch.zeros(3, 64, 64)
    soft[:, 24:40, 26:38] = 12.0
    soft = torch.nn.functional.avg_pool2d(soft.unsqueeze(1), 2)[:, 0] - 6.0
    of_crop = Prediction(given.uv, given.depth, soft)
    moved_mask = warp_pictures(torch.sigmoid(soft).unsqueeze(1), view.warp, padding="zeros")[:, 0].clamp(1e-6, 1 - 1e-6)
    of_view = Prediction(warp_points(given.uv, view.warp), given.depth, torch.logit(moved_mask))
    consistent = consistency_loss(of_view, view, of_crop, LossConfig())
    not_moved = consistency_loss(of_crop, view, of_crop, LossConfig())
    assert float(consistent) < 1e-4
    assert float(not_moved) > 1.0
