"""hand/projection.py: the least-squares projection onto a skeleton."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from sample_hands import hands, random_hands_mm
from semihand.hand.bones import bone_lengths
from semihand.hand.projection import PALM, palm_of, project_to_skeleton

SIGMAS_MM = (1.0, 3.0, 5.0)


def noisy(joints_mm, sigma_mm, seed=0):
    return joints_mm + np.random.default_rng(seed).normal(0, sigma_mm, joints_mm.shape)


def covariances(num, seed=0):
    """Positive definite, each of its own shape and size."""
    root = np.random.default_rng(seed).normal(0, 1, (num, 21, 3, 3))
    return root @ root.swapaxes(-1, -2) + 0.3 * np.eye(3)


def cost(x_mm, p_mm, covariance):
    pull = (x_mm - p_mm)[..., None]
    return float((pull.swapaxes(-1, -2) @ np.linalg.solve(covariance, pull)).sum())


def best_by_scipy(p_mm, truth_mm, covariance):
    """The same problem, put to scipy as angles: the palm's six numbers and three directions a finger."""
    lengths_mm, palm_mm = bone_lengths(truth_mm), palm_of(truth_mm)
    whiten = np.linalg.cholesky(np.linalg.inv(covariance)).swapaxes(-1, -2)

    def pose(parameters):
        x = np.empty((21, 3))
        x[PALM] = palm_mm @ Rotation.from_rotvec(parameters[:3]).as_matrix().T + parameters[3:6]
        directions = parameters[6:].reshape(5, 3, 3)
        for finger, base in enumerate(range(1, 21, 4)):
            for k in range(3):
                unit = directions[finger, k] / np.linalg.norm(directions[finger, k])
                x[base + k + 1] = x[base + k] + lengths_mm[base + k] * unit
        return x

    bones = np.stack([truth_mm[base + 1 : base + 4] - truth_mm[base : base + 3] for base in range(1, 21, 4)])
    start = np.concatenate([np.zeros(3), truth_mm[0], (bones / np.linalg.norm(bones, axis=-1, keepdims=True)).ravel()])
    found = least_squares(lambda q: (whiten @ (pose(q) - p_mm)[..., None]).ravel(), start)
    return pose(found.x)


@given(hands(), st.sampled_from(SIGMAS_MM))
def test_the_result_has_the_skeleton(joints_mm, sigma_mm):
    lengths_mm, palm_mm = bone_lengths(joints_mm), palm_of(joints_mm)
    projected = project_to_skeleton(noisy(joints_mm, sigma_mm), lengths_mm, palm_mm)
    np.testing.assert_allclose(bone_lengths(projected), lengths_mm, atol=1e-6)
    between = np.linalg.norm(projected[:, PALM, None] - projected[:, None, PALM], axis=-1)
    wanted = np.linalg.norm(palm_mm[:, :, None] - palm_mm[:, None], axis=-1)
    np.testing.assert_allclose(between, wanted, atol=1e-6)


@given(hands())
def test_a_pose_of_the_skeleton_stays_where_it_is(joints_mm):
    projected = project_to_skeleton(joints_mm, bone_lengths(joints_mm), palm_of(joints_mm))
    np.testing.assert_allclose(projected, joints_mm, atol=1e-6)


@given(hands(), st.integers(0, 2**32 - 1))
def test_projection_moves_with_the_hand(joints_mm, seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    p_mm, lengths_mm, palm_mm = noisy(joints_mm, 3.0, seed), bone_lengths(joints_mm), palm_of(joints_mm)
    covariance = covariances(len(joints_mm), seed)
    moved = project_to_skeleton(p_mm @ turn.T + 7.0, lengths_mm, palm_mm, turn @ covariance @ turn.T)
    expected = project_to_skeleton(p_mm, lengths_mm, palm_mm, covariance) @ turn.T + 7.0
    np.testing.assert_allclose(moved, expected, atol=1e-4)


@pytest.mark.parametrize("with_covariance", [False, True])
def test_no_pose_of_the_skeleton_is_closer(with_covariance):
    truth_mm = random_hands_mm(6, 3)
    covariance = covariances(6) if with_covariance else np.broadcast_to(np.eye(3), (6, 21, 3, 3))
    errors = np.random.default_rng(1).normal(0, 1, (6, 21, 3, 1))
    p_mm = truth_mm + (np.linalg.cholesky(covariance) @ errors)[..., 0]
    given_covariance = covariance if with_covariance else None
    projected = project_to_skeleton(p_mm, bone_lengths(truth_mm), palm_of(truth_mm), given_covariance)
    for row in range(6):
        best_mm = best_by_scipy(p_mm[row], truth_mm[row], covariance[row])
        assert cost(projected[row], p_mm[row], covariance[row]) <= 1.005 * cost(best_mm, p_mm[row], covariance[row])


@pytest.mark.parametrize("sigma_mm", SIGMAS_MM)
def test_a_quarter_of_isotropic_noise_goes(sigma_mm):
    truth_mm = random_hands_mm(400, 5)
    p_mm = noisy(truth_mm, sigma_mm)
    projected = project_to_skeleton(p_mm, bone_lengths(truth_mm), palm_of(truth_mm))
    raw, left = (np.linalg.norm(x_mm - truth_mm, axis=-1).mean() for x_mm in (p_mm, projected))
    assert left <= 0.75 * raw


def test_a_sure_joint_moves_less():
    truth_mm = random_hands_mm(50, 8)
    covariance = np.broadcast_to(np.eye(3), (50, 21, 3, 3)).copy()
    covariance[:, 8] *= 1e-4
    p_mm = noisy(truth_mm, 3.0)
    projected = project_to_skeleton(p_mm, bone_lengths(truth_mm), palm_of(truth_mm), covariance)
    moved = np.linalg.norm(projected - p_mm, axis=-1).mean(0)
    assert moved[8] < 0.2 * np.delete(moved, 8).min()


def test_a_pose_does_not_depend_on_its_neighbours_in_the_batch():
    truth_mm = random_hands_mm(5, 2)
    p_mm, lengths_mm, palm_mm = noisy(truth_mm, 3.0), bone_lengths(truth_mm), palm_of(truth_mm)
    alone = np.concatenate(
        [project_to_skeleton(p_mm[i : i + 1], lengths_mm[i : i + 1], palm_mm[i : i + 1]) for i in range(5)]
    )
    np.testing.assert_allclose(project_to_skeleton(p_mm, lengths_mm, palm_mm), alone, atol=1e-9)


def test_what_is_not_finite_is_named():
    truth_mm = random_hands_mm(2, 2)
    lengths_mm = bone_lengths(truth_mm)
    lengths_mm[0, 4] = 0
    with pytest.raises(ValueError, match="above 0"):
        project_to_skeleton(truth_mm, lengths_mm, palm_of(truth_mm))
