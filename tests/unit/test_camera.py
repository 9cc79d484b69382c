"""hand/camera.py and hand/lens.py: projection, distortion, and 2.5D to 3D."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_hands import hands, random_hands_mm, right_hand_mm
from semihand.hand.camera import (
    intrinsics_matrix,
    lift,
    project,
    relative_depth,
    root_depth_from_scale,
    scale_mm,
    unproject,
)
from semihand.hand.lens import distort, undistort

K = intrinsics_matrix(600.0, 610.0, 320.5, 239.5)
# k1 k2 p1 p2 k3 k4 k5 k6: a web camera's size of distortion.
LENS = np.array([-0.28, 0.09, 0.0007, -0.0011, -0.01, 0.02, -0.005, 0.001])
LENSES = [None, LENS[:4], LENS[:5], LENS]


def opencv_projection(point_mm, K, coefficients):
    """OpenCV's documented camera model (calib3d), one point, by the letter of its manual."""
    k1, k2, p1, p2, k3, k4, k5, k6 = [*coefficients, *[0.0] * (8 - len(coefficients))]
    x, y = point_mm[0] / point_mm[2], point_mm[1] / point_mm[2]
    r2 = x**2 + y**2
    factor = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    x2 = x * factor + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    y2 = y * factor + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return K[0, 0] * x2 + K[0, 2], K[1, 1] * y2 + K[1, 2]


@pytest.mark.parametrize("lens", LENSES[1:])
def test_projection_is_opencvs_formula(lens):
    joints_mm = right_hand_mm()
    expected = [opencv_projection(point, K, lens) for point in joints_mm]
    np.testing.assert_allclose(project(joints_mm, K, lens), expected, rtol=1e-12)


def test_the_right_hands_thumb_is_at_image_right_and_its_fingers_point_up():
    uv_px = project(right_hand_mm(), K)
    assert uv_px[4, 0] > uv_px[20, 0] + 30
    assert uv_px[12, 1] < uv_px[0, 1] - 30


@pytest.mark.parametrize("lens", LENSES)
@given(joints_mm=hands())
def test_unproject_undoes_project(lens, joints_mm):
    uv_px = project(joints_mm, K, lens)
    np.testing.assert_allclose(unproject(uv_px, joints_mm[..., 2], K, lens), joints_mm, atol=1e-5)


@given(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
def test_the_jacobian_of_the_lens_is_its_slope(x, y):
    step = 1e-6
    _, jacobian = distort(np.array([[x, y]]), LENS)
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        ahead, _ = distort(np.array([[x, y]]) + shift, LENS)
        behind, _ = distort(np.array([[x, y]]) - shift, LENS)
        np.testing.assert_allclose(jacobian[0, :, axis], (ahead - behind)[0] / (2 * step), atol=1e-7)


def test_a_pixel_no_point_distorts_onto_is_nan_and_costs_its_neighbours_nothing():
    # With k1 = -0.3 the distorted radius r (1 - 0.3 r^2) never exceeds about 0.70.
    fold = np.array([-0.3, 0.0, 0.0, 0.0])
    found = undistort(np.array([[0.9, 0.0], [0.5, 0.1]]), fold)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(distort(found, fold)[0][1], [0.5, 0.1])
    assert np.linalg.norm(found[1]) < 1 / np.sqrt(0.9)


def test_points_behind_the_camera_are_nan_and_cost_their_neighbours_nothing():
    points_mm = np.array([[10.0, 20.0, -300.0], [10.0, 20.0, 300.0], [0.0, 0.0, 0.0]])
    uv_px = project(points_mm, K)
    assert np.isnan(uv_px[[0, 2]]).all()
    np.testing.assert_allclose(uv_px[1], [340.5, 239.5 + 610 * 20 / 300])
    assert np.isnan(unproject(uv_px, points_mm[:, 2], K)[[0, 2]]).all()


def test_every_row_may_have_its_own_camera_and_lens():
    joints_mm = random_hands_mm(3, 0)
    cameras = intrinsics_matrix(
        np.array([500.0, 600, 700]), np.array([505.0, 610, 690]), 320.0, np.array([200.0, 240, 260])
    )
    lenses = np.array([LENS, 0.5 * LENS, 0 * LENS])
    uv_px = project(joints_mm, cameras, lenses)
    for row in range(3):
        np.testing.assert_allclose(uv_px[row], project(joints_mm[row], cameras[row], lenses[row]))
    np.testing.assert_allclose(unproject(uv_px, joints_mm[..., 2], cameras, lenses), joints_mm, atol=1e-5)


@pytest.mark.parametrize("lens", LENSES)
@given(joints_mm=hands())
def test_lifting_a_hands_own_2_5d_gives_the_hand_back(lens, joints_mm):
    lifted = lift(
        project(joints_mm, K, lens),
        relative_depth(joints_mm),
        K,
        scale_mm(joints_mm),
        joints_mm[:, 9, 2],
        lens,
    )
    np.testing.assert_allclose(lifted, joints_mm, atol=1e-5)


@pytest.mark.parametrize("lens", [None, LENS])
@given(joints_mm=hands())
def test_the_bones_length_alone_places_the_hand(lens, joints_mm):
    # Only for bones well across the ray of sight: a bone along it has no depth to give.
    uv_px = project(joints_mm, K, lens)
    across = np.linalg.norm(uv_px[:, 10] - uv_px[:, 9], axis=-1) > 5
    found_mm = root_depth_from_scale(uv_px, relative_depth(joints_mm), K, scale_mm(joints_mm), lens)
    # Two depths can fit a bone; the truth is the larger unless the bone leans a lot.
    lean = np.abs(relative_depth(joints_mm)[:, 10])
    sure = across & (lean < 0.7)
    np.testing.assert_allclose(found_mm[sure], joints_mm[sure, 9, 2], rtol=1e-6)


def test_the_placed_hand_has_its_scale_whatever_the_noise():
    rng = np.random.default_rng(1)
    joints_mm = random_hands_mm(200, 1)
    depth = relative_depth(joints_mm) + rng.normal(0, 0.05, (200, 21))
    uv_px = project(joints_mm, K) + rng.normal(0, 1, (200, 21, 2))
    depth -= depth[:, 9:10]
    root_mm = root_depth_from_scale(uv_px, depth, K, 40.0)
    solved = ~np.isnan(root_mm)
    assert solved.mean() > 0.7
    lifted = lift(uv_px[solved], depth[solved], K, 40.0, root_mm[solved])
    np.testing.assert_allclose(scale_mm(lifted), 40.0, rtol=1e-9)


def test_a_bone_along_the_ray_of_sight_or_deeper_than_long_has_no_depth():
    joints_mm = np.repeat(right_hand_mm()[None], 3, axis=0)
    uv_px, depth = project(joints_mm, K), relative_depth(joints_mm)
    uv_px[0, 10] = uv_px[0, 9]
    depth[1, 10] = 1.5
    found_mm = root_depth_from_scale(uv_px, depth, K, scale_mm(joints_mm))
    assert np.isnan(found_mm[:2]).all()
    np.testing.assert_allclose(found_mm[2], 450.0, rtol=1e-9)


def test_relative_depth_is_zero_at_the_root_and_counts_in_bones():
    joints_mm = random_hands_mm(4, 2)
    np.testing.assert_array_equal(relative_depth(joints_mm)[:, 9], 0)
    np.testing.assert_allclose(relative_depth(3 * joints_mm), relative_depth(joints_mm))
    step_mm = relative_depth(joints_mm, root=0) * scale_mm(joints_mm)[:, None]
    np.testing.assert_allclose(step_mm, joints_mm[..., 2] - joints_mm[:, :1, 2])


@pytest.mark.parametrize(("fx", "shown"), [(0.0, "0.0"), (-500.0, "-500.0"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_focal_length_that_is_none_is_refused_by_value(fx, shown):
    with pytest.raises(ValueError, match=f"fx is {shown} px, but must be finite and above 0"):
        intrinsics_matrix(fx, 600.0, 320.0, 240.0)
    bad = K.copy()
    bad[1, 1] = fx
    with pytest.raises(ValueError, match=f"fy is {shown} px"):
        project(right_hand_mm(), bad)


def test_other_slips_with_a_camera_are_refused_by_value():
    with pytest.raises(ValueError, match="K holds nan"):
        intrinsics_matrix(600.0, 600.0, np.nan, 240.0)
    with pytest.raises(ValueError, match="distortion has 6 coefficients"):
        project(right_hand_mm(), K, np.zeros(6))
    with pytest.raises(ValueError, match=r"scale_mm\[\] is 0.0"):
        lift(np.zeros((21, 2)), np.zeros(21), K, 0.0, 400.0)
    with pytest.raises(ValueError, match=r"scale_mm\[0\] is 0.0"):
        relative_depth(np.zeros((1, 21, 3)))
