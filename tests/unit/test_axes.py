"""hand/axes.py: which axes of a camera point the wrong way, without knowing its intrinsics."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sample_hands import hands, random_hands_mm
from semihand.hand.axes import axis_signs, depth_signs, is_rotation
from semihand.hand.camera import intrinsics_matrix, project

FLIPS = [np.array(signs, float) for signs in itertools.product((1, -1), repeat=3)]


@given(hands(), st.sampled_from(FLIPS), st.floats(50, 5000), st.floats(-300, 300), st.floats(1e-3, 10))
def test_every_combination_of_axes_is_told_whatever_camera_and_unit(joints_mm, flip, focal_px, centre_px, factor):
    uv_px = project(joints_mm, intrinsics_matrix(focal_px, focal_px * 1.1, centre_px, -centre_px))
    signs = axis_signs(joints_mm * flip * factor, uv_px)
    told = signs != 0
    np.testing.assert_array_equal(signs[told], np.broadcast_to(flip, (3, 3))[told])
    assert told[:, 2].all()


def test_hardly_any_hand_is_held_so_that_an_axis_cannot_be_told():
    joints_mm = random_hands_mm(300, 3)
    uv_px = project(joints_mm, intrinsics_matrix(600.0, 600.0, 320.0, 240.0))
    assert (axis_signs(joints_mm, uv_px) == 1).all()
    noisy_px = uv_px + np.random.default_rng(4).normal(0, 5, uv_px.shape)
    assert (axis_signs(joints_mm, noisy_px) == 1).all(axis=-1).mean() > 0.95


@pytest.mark.parametrize("root", [0, 9])
def test_joints_relative_to_a_root_have_no_depth_but_a_left_and_a_right(root):
    joints_mm = random_hands_mm(100, 5)
    uv_px = project(joints_mm, intrinsics_matrix(600.0, 600.0, 320.0, 240.0))
    relative = joints_mm - joints_mm[:, root, None]
    assert (depth_signs(relative) == 0).all()
    signs = axis_signs(relative * [-1, 1, 1], uv_px)
    assert (signs[:, 2] == 0).all()
    assert ((signs[:, 0] == -1) | (signs[:, 0] == 0)).all()
    assert (signs[:, :2] == [-1, 1]).all(-1).mean() > 0.9


def test_what_is_not_known_tells_nothing():
    joints_mm = random_hands_mm(4, 6)
    uv_px = project(joints_mm, intrinsics_matrix(600.0, 600.0, 320.0, 240.0))
    hidden = joints_mm.copy()
    hidden[0], hidden[1, 1:] = np.nan, np.nan
    assert axis_signs(hidden, uv_px)[:, :2].tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]
    assert depth_signs(hidden).tolist() == [0, 1, 1, 1]
    assert (axis_signs(joints_mm, np.full_like(uv_px, np.nan)) == [0, 0, 1]).all()


@given(st.integers(0, 10**6))
def test_rotations_are_told_from_mirrors_scales_and_what_is_no_number(seed):
    turns = Rotation.random(4, rng=seed).as_matrix()
    turns[1] *= [[1, 1, -1]]
    turns[2] *= 1.01
    turns[3, 0, 0] = np.nan
    np.testing.assert_array_equal(is_rotation(turns), [True, False, False, False])
    assert is_rotation(np.round(turns[0], 4))
