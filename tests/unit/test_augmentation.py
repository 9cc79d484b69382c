"""methods/semihand/augmentation.py: pixels and points move together; appearance moves nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semihand.methods.semihand.augmentation import (
    AppearanceConfig,
    PerturbationConfig,
    WarpConfig,
    as_float,
    change_appearance,
    change_background,
    invert_warp,
    random_perturbation,
    random_warp,
    smooth_pictures,
    warp_pictures,
    warp_points,
)

NOTHING = AppearanceConfig(colour=0, grey=0, blur=0, noise=0, erase=0, background=0, skin=0)
seeds = st.integers(0, 2**31)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dots(centres: torch.Tensor, side: int) -> torch.Tensor:
    """One Gaussian dot a picture, its centre given in pixels of the 64 px grid."""
    factor = side / 64
    pixel = torch.arange(side, dtype=torch.float32)
    u, v = ((centres * factor + (factor - 1) / 2)[:, axis, None] for axis in (0, 1))
    sigma = 1.5 * factor
    across, down = (torch.exp(-((pixel - place) ** 2) / (2 * sigma**2)) for place in (u, v))
    return (down[:, :, None] * across[:, None, :]).unsqueeze(1)


def centroids(pictures: torch.Tensor) -> torch.Tensor:
    """Where the dots are, in pixels of the 64 px grid."""
    side = pictures.shape[-1]
    place = (torch.arange(side) + 0.5) * 64 / side - 0.5
    mass = pictures[:, 0] / pictures[:, 0].sum((1, 2), keepdim=True)
    return torch.stack([(mass.sum(1) * place).sum(1), (mass.sum(2) * place).sum(1)], dim=-1)


@pytest.mark.parametrize("side", [64, 128])
def test_pixels_and_points_go_to_the_same_place(side: int):
    warp = random_warp(24, WarpConfig(rotation_deg=180.0), seeded(1))
    centres = 31.5 + 14 * (torch.rand(24, 2, generator=seeded(2)) - 0.5)
    seen = centroids(warp_pictures(dots(centres, side), warp, padding="zeros"))
    expected = warp_points(centres.unsqueeze(1), warp)[:, 0]
    assert (expected - centres).norm(dim=-1).mean() > 3  # the warps do move the dots
    assert (seen - expected).abs().max() < 0.05


@given(seeds)
@settings(max_examples=20)
def test_inverting_a_warp_leads_every_point_back(seed: int):
    warp = random_warp(5, WarpConfig(rotation_deg=180.0, scale=2.0, translation_px=32.0), seeded(seed))
    points = 64 * torch.rand(5, 21, 2, generator=seeded(seed + 1))
    torch.testing.assert_close(warp_points(warp_points(points, warp), invert_warp(warp)), points, atol=2e-4, rtol=0)


@given(seeds)
@settings(max_examples=20)
def test_a_warp_is_a_similarity_within_its_limits(seed: int):
    config = WarpConfig(rotation_deg=40.0, scale=1.3, translation_px=4.0)
    linear, shift = random_warp(8, config, seeded(seed)).split([2, 1], dim=2)
    gram = linear @ linear.transpose(1, 2)
    scale = gram[:, 0, 0].sqrt()
    torch.testing.assert_close(gram, torch.eye(2) * scale.view(-1, 1, 1) ** 2)
    assert (torch.linalg.det(linear) > 0).all()  # no mirror: a right hand stays one
    assert ((scale <= 1.3 + 1e-5) & (scale >= 1 / 1.3 - 1e-5)).all()
    angle = torch.atan2(linear[:, 1, 0], linear[:, 0, 0]).abs()
    assert (angle <= math.radians(40.0) + 1e-5).all()
    centre = torch.full((2, 1), 31.5)
    assert ((linear @ centre + shift - centre).abs() <= 4.0 + 1e-4).all()


def test_a_perturbation_is_a_translation_or_a_small_rotation_or_right_angles_and_all_occur():
    warp = random_perturbation(300, PerturbationConfig(), seeded(1))
    linear, shift = warp.split([2, 1], dim=2)
    angle = torch.rad2deg(torch.atan2(linear[:, 1, 0], linear[:, 0, 0])) % 360
    moved = ((linear @ torch.full((2, 1), 31.5) + shift)[..., 0] - 31.5).abs()
    translated = (angle == 0) & (moved.amax(1) > 1e-3)
    gently = ((angle < 2.001) | (angle > 357.999)) & (moved.amax(1) < 1e-3)
    quarters = [((angle - right).abs() < 1e-3) & (moved.amax(1) < 1e-3) for right in (90, 180, 270)]
    kinds = torch.stack([translated, gently, *quarters])
    assert (kinds.sum(0) == 1).all()
    assert moved.max() <= 5.0 + 1e-4
    torch.testing.assert_close(kinds.float().mean(1), torch.tensor([3, 3, 1, 1, 1]) / 9, atol=0.08, rtol=0)
    torch.testing.assert_close(linear @ linear.transpose(1, 2), torch.eye(2).expand(300, 2, 2))


def test_right_angles_are_left_out_where_they_are_off():
    warp = random_perturbation(300, PerturbationConfig(right_angles=False), seeded(1))
    angle = torch.rad2deg(torch.atan2(warp[:, 1, 0], warp[:, 0, 0]))
    assert 1.0 < float(angle.abs().max()) < 2.001
    assert 100 < int((angle == 0).sum()) < 200


def test_turning_by_a_right_angle_permutes_the_pixels():
    picture = torch.rand(1, 3, 64, 64, generator=seeded(3))
    # (u, v) goes to (63 - v, u): a quarter turn clockwise about the centre, 31.5
    quarter = torch.tensor([[[0.0, -1.0, 63.0], [1.0, 0.0, 0.0]]])
    expected = torch.rot90(picture, k=-1, dims=(2, 3))
    torch.testing.assert_close(warp_pictures(picture, quarter), expected, atol=1e-4, rtol=0)


def test_the_identity_changes_no_pixel_at_any_resolution():
    warp = torch.eye(3)[:2].unsqueeze(0)
    for side in (32, 64, 128):
        picture = torch.rand(1, 1, side, side, generator=seeded(side))
        torch.testing.assert_close(warp_pictures(picture, warp), picture, atol=2e-5, rtol=0)


def test_padding_says_what_lies_beyond_the_edge():
    right = torch.tensor([[[1.0, 0.0, 20.0], [0.0, 1.0, 0.0]]])
    white = torch.ones(1, 1, 64, 64)
    torch.testing.assert_close(warp_pictures(white, right), white)
    assert warp_pictures(white, right, padding="zeros")[..., :19].sum() == 0


def changed_background(crops: torch.Tensor, config: AppearanceConfig, generator: torch.Generator) -> torch.Tensor:
    return change_background(crops, torch.ones(len(crops), 1, 64, 64), config, generator)


@pytest.mark.parametrize("change", [change_appearance, changed_background])
def test_strength_zero_changes_nothing(change):
    crops = torch.rand(4, 3, 64, 64, generator=seeded(4))
    # the narrowest blur, 0.05 px, leaves no weight for a neighbour
    torch.testing.assert_close(change(crops, NOTHING, seeded(5)), crops, atol=1e-6, rtol=0)


def test_appearance_is_a_function_of_the_seed_and_stays_in_range():
    crops = torch.rand(6, 3, 64, 64, generator=seeded(6))
    config = AppearanceConfig(colour=1, grey=0.5, blur=1, noise=0.3, erase=1)
    once, again, other = (change_appearance(crops, config, seeded(seed)) for seed in (7, 7, 8))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.min() >= 0
    assert once.max() <= 1
    assert len({float(each.mean()) for each in once - crops}) == 6  # every row has its own numbers


def test_switching_one_change_off_leaves_the_random_numbers_of_the_others():
    crops = torch.full((4, 3, 64, 64), 0.5)
    with_grey = change_appearance(crops, NOTHING.model_copy(update={"erase": 1.0}), seeded(9))
    without = change_appearance(crops, NOTHING.model_copy(update={"erase": 1.0, "grey": 1.0}), seeded(9))
    torch.testing.assert_close(with_grey != 0.5, without != 0.5)


def test_an_all_grey_share_leaves_no_colour():
    crops = torch.rand(3, 3, 64, 64, generator=seeded(10))
    grey = change_appearance(crops, NOTHING.model_copy(update={"grey": 1.0}), seeded(11))
    torch.testing.assert_close(grey, crops.mean(1, keepdim=True).expand(-1, 3, -1, -1), atol=1e-5, rtol=0)


def test_a_new_background_leaves_the_hand_and_a_new_skin_leaves_the_background():
    crops = torch.rand(4, 3, 64, 64, generator=seeded(12))
    masks = torch.zeros(4, 1, 64, 64)
    masks[:, :, 16:48, 20:44] = 1
    behind = change_background(crops, masks, NOTHING.model_copy(update={"background": 1.0}), seeded(13))
    torch.testing.assert_close(behind * masks, crops * masks)
    changed = ((behind - crops).abs().sum(1, keepdim=True) > 1e-3).float()
    assert (changed * (1 - masks)).sum() > 0.9 * (1 - masks).sum()
    skin = change_background(crops, masks, NOTHING.model_copy(update={"skin": 1.0}), seeded(14))
    torch.testing.assert_close(skin * (1 - masks), crops * (1 - masks))
    assert ((skin - crops) * masks).abs().max() > 0.05


def test_bytes_become_zero_to_one():
    bytes_ = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    torch.testing.assert_close(as_float(bytes_).flatten(), torch.tensor([0.0, 0.2, 1.0]))


@pytest.mark.parametrize("side", [64, 128])
def test_smoothing_widens_a_dot_by_its_own_width_whatever_the_resolution(side):
    dot = dots(torch.tensor([[31.5, 31.5]]), side)
    smoothed = smooth_pictures(dot, 2.0)
    pixel = (torch.arange(side) - (side - 1) / 2) * 64 / side
    variance = float((smoothed.sum((0, 1, 2)) * pixel.square()).sum() / smoothed.sum())
    assert math.sqrt(variance) == pytest.approx(math.hypot(1.5, 2.0), rel=0.02)
    assert float(smoothed.sum()) == pytest.approx(float(dot.sum()), rel=1e-4)
    assert smooth_pictures(dot, 0.0) is dot
