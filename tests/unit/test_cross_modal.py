"""methods/semihand/cross_modal.py and radii.py: pose against mask by eqs. 11 to 14, one pixel at a time."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semihand.hand.circles import circle_centres, render_circles
from semihand.methods.semihand.augmentation import warp_points
from semihand.methods.semihand.cross_modal import (
    SOFTNESS_PER_PX,
    cross_modal_loss,
    hand_distance,
    mask_to_pose_loss,
    pose_to_mask_loss,
)
from semihand.methods.semihand.network import grid_of
from semihand.methods.semihand.radii import RADII_CARD, RadiusNetwork, load_radii, save_radii
from semihand.methods.semihand.weight_folder import WEIGHTS


def joints(num: int, seed: int = 0, spread: float = 11.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 31.5 + spread * torch.randn(num, 21, 2, generator=generator)


def network(seed: int = 0) -> RadiusNetwork:
    """Random weights, and running statistics as training would leave them."""
    torch.manual_seed(seed)
    made = RadiusNetwork().train()
    for step in range(20):
        made(joints(16, step))
    return made.frozen()


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_distance_is_to_the_circles_from_the_cells_centres_in_px_of_the_crop(size: int):
    uv, radii = joints(2).double(), 1 + 2 * torch.rand(2, 55, generator=torch.Generator().manual_seed(1)).double()
    cells = grid_of(size, size, torch.device("cpu")).double()
    expected = (torch.cdist(cells.expand(2, -1, -1), circle_centres(uv)) - radii.unsqueeze(1)).amin(-1)
    found = hand_distance(uv, radii, size)
    torch.testing.assert_close(found, expected.view(2, size, size), atol=1e-4, rtol=1e-5)


def test_both_losses_are_the_printed_ones_as_means_over_the_pixels():
    uv, radii = joints(1, 2), torch.full((1, 55), 2.5)
    mask = (torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    distance = hand_distance(uv, radii, 8)
    l_m2d, l_d2m = 0.0, 0.0
    for v in range(8):
        for u in range(8):
            reach = [math.hypot(8 * u + 3.5 - float(x), 8 * v + 3.5 - float(y)) - 2.5 for x, y in circle_centres(uv)[0]]
            hand = float(mask[0, v, u])
            l_d2m += max(min(reach), 0) if hand else max(max(-each for each in reach), 0)
            l_m2d += abs(1 / (1 + math.exp(SOFTNESS_PER_PX * min(reach))) - hand)
    assert float(pose_to_mask_loss(distance, mask)) == pytest.approx(l_m2d / 64, rel=1e-4)
    assert float(mask_to_pose_loss(distance, mask)) == pytest.approx(l_d2m / 64, rel=1e-4)


def test_a_pose_agrees_with_its_own_silhouette_and_less_with_any_moved_one():
    radii, uv = network(), joints(4, 4)
    own = render_circles(circle_centres(uv), radii(uv), 64)
    at_home = float(cross_modal_loss(uv, own, radii))
    for move in ((6.0, 0.0), (0.0, -6.0), (4.0, 4.0)):
        assert float(cross_modal_loss(uv + torch.tensor(move), own, radii)) > at_home + 0.05
    torch.testing.assert_close(mask_to_pose_loss(hand_distance(uv, radii(uv), 64), own), torch.tensor(0.0))


def test_the_weight_of_the_losses_does_not_depend_on_the_masks_resolution():
    radii, uv = network(), joints(8, 5, spread=9.0)
    losses = []
    for size in (32, 64, 128):
        mask = torch.zeros(8, size, size)
        mask[:, size // 4 : size // 2, size // 4 : 3 * size // 4] = 1
        losses.append(float(cross_modal_loss(uv, mask, radii)))
    assert losses == pytest.approx([losses[1]] * 3, rel=0.05)


def test_no_gradient_reaches_the_mask_or_the_radii_but_every_joint_is_pulled():
    radii, uv = network(), joints(2, 6).requires_grad_()
    logits = torch.zeros(2, 32, 32, requires_grad=True)
    cross_modal_loss(uv, torch.sigmoid(logits), radii).backward()
    assert logits.grad is None
    assert all(weight.grad is None for weight in radii.parameters())
    assert torch.isfinite(uv.grad).all()
    assert (uv.grad.abs().sum(-1) > 0).all()


def test_descending_the_loss_brings_a_pose_back_onto_its_mask():
    radii, true = network(), joints(3, 7)
    mask = (hand_distance(true, radii(true), 32) < 0).float()
    moved = torch.tensor([[7.0, 0.0], [0.0, 7.0], [-5.0, 5.0]]).unsqueeze(1)
    mask = torch.stack(
        [render_circles((circle_centres(uv) - 0.5) / 2, r / 2, 32) for uv, r in zip(true, radii(true), strict=True)]
    )
    shift = moved.clone().requires_grad_()
    optimiser = torch.optim.Adam([shift], lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        cross_modal_loss(true + shift, mask, radii).backward()
        optimiser.step()
    assert (shift.detach().norm(dim=-1) < 1.0).all()


@given(st.integers(0, 2**31), st.floats(0.3, 3.0), st.floats(-40, 40), st.floats(-40, 40))
def test_a_hand_that_moves_and_grows_keeps_its_silhouette(seed: int, scale: float, u: float, v: float):
    radii, uv = network(), joints(3, seed)
    there = warp_points(uv, torch.tensor([[[scale, 0.0, u], [0.0, scale, v]]]).expand(3, 2, 3))
    torch.testing.assert_close(radii(there), radii(uv) * scale, rtol=2e-3, atol=1e-4)
    assert (radii(uv) > 0).all()


def test_joints_all_in_one_place_have_small_finite_radii_and_gradients():
    radii = network()
    uv = torch.full((2, 21, 2), 31.5, requires_grad=True)
    cross_modal_loss(uv, torch.ones(2, 32, 32), radii).backward()
    assert torch.isfinite(uv.grad).all()
    assert (radii(uv) < 3).all()


def test_saved_radii_come_back_frozen_and_say_the_same(tmp_path):
    made = network()
    folder = save_radii(made, tmp_path)
    assert save_radii(made, tmp_path) == folder
    read = load_radii(folder)
    assert torch.equal(read(joints(3)), made(joints(3)))
    assert not read.training
    assert not any(weight.requires_grad for weight in read.parameters())


def test_damaged_or_missing_radii_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=f"holds no radius network: no {RADII_CARD}"):
        load_radii(tmp_path)
    folder = save_radii(network(), tmp_path)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ValueError, match=f"{WEIGHTS} has sha256"):
        load_radii(folder)
