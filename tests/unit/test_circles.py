"""hand/circles.py: the 55-circle hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_hands import random_hands_mm, right_hand_mm
from semihand.hand.camera import intrinsics_matrix, project
from semihand.hand.circles import (
    NUM_CIRCLES,
    NUM_FINGER_CIRCLES,
    circle_centres,
    render_circles,
    signed_distance_px,
    silhouette,
)
from semihand.hand.skeleton import FINGERS, FINGERTIPS


def joints_uv(num_hands: int, seed: int = 0) -> torch.Tensor:
    """Hands that fill a 64 px crop."""
    uv = project(random_hands_mm(num_hands, seed), intrinsics_matrix(600.0, 600.0, 0.0, 0.0))
    low, high = uv.min(axis=1, keepdims=True), uv.max(axis=1, keepdims=True)
    return torch.from_numpy(8 + 48 * (uv - low) / (high - low).max(axis=-1, keepdims=True))


def test_there_are_45_finger_and_10_palm_circles_and_none_at_a_tip():
    uv = joints_uv(3)
    centres = circle_centres(uv)
    assert centres.shape == (3, NUM_CIRCLES, 2)
    assert (NUM_CIRCLES, NUM_FINGER_CIRCLES) == (55, 45)
    assert torch.cdist(centres, uv[:, list(FINGERTIPS)]).min() > 0.1
    # The MCP, PIP and DIP joints are centres themselves.
    inner = [joint for finger in FINGERS.values() for joint in finger[:3]]
    torch.testing.assert_close(centres[:, :45:3], uv[:, inner])


def test_circles_cut_every_bone_into_thirds():
    uv = joints_uv(2, 1)
    centres = circle_centres(uv)
    middle = FINGERS["middle"]
    torch.testing.assert_close(centres[:, 19], uv[:, middle[0]] * 2 / 3 + uv[:, middle[1]] / 3)
    torch.testing.assert_close(centres[:, 26], uv[:, middle[2]] / 3 + uv[:, middle[3]] * 2 / 3)
    # Palm: two inner points of each wrist to base bone, thumb to little.
    torch.testing.assert_close(centres[:, 45], uv[:, 0] * 2 / 3 + uv[:, 1] / 3)
    torch.testing.assert_close(centres[:, 54], uv[:, 0] / 3 + uv[:, 17] * 2 / 3)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_hard_mask_is_the_union_of_discs(seed):
    centres = circle_centres(joints_uv(2, seed))
    radii = torch.from_numpy(np.random.default_rng(seed).uniform(0.5, 5, (2, 55)))
    rows, columns = np.mgrid[:64, :64]
    mask = render_circles(centres, radii, 64)
    for hand in range(2):
        inside = np.zeros((64, 64), bool)
        for (u, v), radius in zip(centres[hand].numpy(), radii[hand].numpy(), strict=True):
            inside |= (columns - u) ** 2 + (rows - v) ** 2 < radius**2
        np.testing.assert_array_equal(mask[hand].numpy().astype(bool), inside)


def test_the_soft_mask_turns_into_the_hard_one():
    centres, radii = circle_centres(joints_uv(2)), torch.full((2, 55), 3.0, dtype=torch.float64)
    distance = signed_distance_px(centres, radii, 64)
    clear = distance.abs() > 1e-3
    torch.testing.assert_close(
        render_circles(centres, radii, 64, 1e5)[clear], render_circles(centres, radii, 64)[clear]
    )
    soft = render_circles(centres, radii, 64, 3.0)
    torch.testing.assert_close(soft, torch.sigmoid(-3.0 * distance))
    assert ((soft > 0.5) == (render_circles(centres, radii, 64) > 0.5)).all()


def test_the_soft_masks_gradient_is_the_true_slope():
    rng = np.random.default_rng(0)
    uv = joints_uv(1, 5)[0].requires_grad_()
    radii = torch.from_numpy(rng.uniform(2, 4, 55)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda uv, radii: render_circles(circle_centres(uv), radii, 12, 2.0), (uv, radii), atol=1e-4
    )


def test_a_centre_on_a_pixel_gives_no_nan_gradient():
    centres = torch.full((1, 2), 8.0, requires_grad=True)
    render_circles(centres, torch.tensor([3.0]), 16, 2.0).sum().backward()
    assert torch.isfinite(centres.grad).all()


def test_growing_radii_only_add_pixels():
    centres = circle_centres(joints_uv(3, 2))
    small, large = (
        render_circles(centres, torch.full((3, 55), radius, dtype=torch.float64), 64) for radius in (2.0, 3.0)
    )
    assert (large >= small).all()
    assert large.sum() > small.sum()


def test_a_hands_mask_covers_its_joints_and_leaves_the_corners():
    uv = project(right_hand_mm(), intrinsics_matrix(150.0, 150.0, 30.0, 40.0))
    mask = render_circles(circle_centres(torch.from_numpy(uv)), torch.full((55,), 3.0, dtype=torch.float64), 64)
    inner = [joint for finger in FINGERS.values() for joint in finger[:3]]
    columns, rows = np.rint(uv[inner]).astype(int).T
    assert (mask[rows, columns] == 1).all()
    assert mask[[0, 0, -1, -1], [0, -1, 0, -1]].sum() == 0


def test_leading_axes_are_kept_and_rows_do_not_mix():
    uv = joints_uv(6, 3)
    radii = torch.rand(6, 55, dtype=torch.float64) + 1
    together = render_circles(circle_centres(uv.view(2, 3, 21, 2)), radii.view(2, 3, 55), 20, 2.0)
    assert together.shape == (2, 3, 20, 20)
    torch.testing.assert_close(together[1, 0], render_circles(circle_centres(uv[3]), radii[3], 20, 2.0))


def test_sizes_and_softness_that_make_no_sense_are_refused():
    centres, radii = circle_centres(joints_uv(1)), torch.ones(1, 55, dtype=torch.float64)
    with pytest.raises(ValueError, match="size_px is 0"):
        render_circles(centres, radii, 0)
    with pytest.raises(ValueError, match=r"softness_per_px is 0\.0"):
        render_circles(centres, radii, 8, 0.0)


@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 16, 32]))
def test_the_silhouette_is_the_soft_mask(seed, size_px):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(3, 55, 2, generator=generator, dtype=torch.float64) * size_px
    radii = torch.rand(3, 55, generator=generator, dtype=torch.float64) * 5
    expected = render_circles(centres, radii, size_px, 2.0)
    torch.testing.assert_close(silhouette(centres, radii, size_px, 2.0), expected)
