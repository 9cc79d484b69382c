"""hand/correction.py and palm.py: a pose onto its owner's skeleton and inside its limits, and whose palm that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sample_hands import possible_hands_mm, right_hand_mm
from semihand.hand.angles import MAX_ABDUCTION_DEG, joint_angles
from semihand.hand.bones import bone_lengths, register_to_lengths
from semihand.hand.correction import Hands, correct_to_hands, regularised
from semihand.hand.palm import crossed_square_distances, embed_palm, mean_palm, square_distances
from semihand.hand.projection import PALM, palm_of

MIRROR = np.array([-1.0, 1.0, 1.0])
SEEDS = st.integers(0, 2**32 - 1)


def hands_of(joints_mm, left=None):
    return Hands(bone_lengths(joints_mm), palm_of(joints_mm), left)


def noisy(joints_mm, sigma_mm, seed=0):
    return joints_mm + np.random.default_rng(seed).normal(0, sigma_mm, joints_mm.shape)


def views_covariance(num, seed, num_views=4):
    """As a few views give it: not of full rank for two or three."""
    views = np.random.default_rng(seed).gamma(1.0, 3.0, (num, 21, 3, 1)) * np.random.default_rng(seed + 1).normal(
        0, 1, (num, 21, 3, num_views)
    )
    return views @ views.swapaxes(-1, -2) / num_views


def epe_mm(joints_mm, truth_mm):
    return float(np.linalg.norm(joints_mm - truth_mm, axis=-1).mean())


@given(SEEDS, st.sampled_from([2, 4, 8]))
def test_the_result_has_lengths_palm_and_limits(seed, num_views):
    truth_mm = possible_hands_mm(3, seed)
    corrected = correct_to_hands(noisy(truth_mm, 6, seed), hands_of(truth_mm), views_covariance(3, seed, num_views))
    np.testing.assert_allclose(bone_lengths(corrected), bone_lengths(truth_mm), rtol=1e-9)
    np.testing.assert_allclose(square_distances(corrected), square_distances(truth_mm), rtol=1e-6, atol=1e-6)
    flexion, abduction = joint_angles(corrected)
    assert (flexion <= np.array([[45.0, 45, 90], *[[90, 135, 90]] * 4])).all()
    assert (flexion >= -np.array([[45.0, 10, 45]] * 5)).all()
    assert (np.nan_to_num(np.abs(abduction)) <= MAX_ABDUCTION_DEG).all()


@given(SEEDS)
def test_a_pose_that_a_hand_can_take_stays_where_it_is(seed):
    truth_mm = possible_hands_mm(3, seed)
    np.testing.assert_allclose(correct_to_hands(truth_mm, hands_of(truth_mm)), truth_mm, atol=1e-6)


@given(SEEDS)
def test_a_second_correction_changes_nothing(seed):
    truth_mm, covariance = possible_hands_mm(3, seed), views_covariance(3, seed)
    once = correct_to_hands(noisy(truth_mm, 6, seed), hands_of(truth_mm), covariance)
    np.testing.assert_allclose(correct_to_hands(once, hands_of(truth_mm), covariance), once, atol=1e-5)


@given(SEEDS)
def test_the_correction_moves_with_the_hand(seed):
    truth_mm, covariance = possible_hands_mm(3, seed), views_covariance(3, seed)
    turn, p_mm = Rotation.random(random_state=seed).as_matrix(), noisy(truth_mm, 4, seed)
    moved = correct_to_hands(p_mm @ turn.T + 9.0, hands_of(truth_mm), turn @ covariance @ turn.T)
    np.testing.assert_allclose(moved, correct_to_hands(p_mm, hands_of(truth_mm), covariance) @ turn.T + 9.0, atol=1e-3)


@given(SEEDS)
def test_left_hands_are_right_hands_in_a_mirror_row_by_row(seed):
    truth_mm, covariance = possible_hands_mm(4, seed), views_covariance(4, seed)
    p_mm, left = noisy(truth_mm, 5, seed), np.array([True, False, True, False])
    sides = np.where(left[:, None, None], MIRROR, 1.0)
    mirrored = covariance * sides[..., None] * sides[..., None, :]
    made = correct_to_hands(p_mm * sides, hands_of(truth_mm)._replace(left=left), mirrored)
    np.testing.assert_allclose(made, correct_to_hands(p_mm, hands_of(truth_mm), covariance) * sides, atol=1e-9)


def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours():
    truth_mm, covariance = possible_hands_mm(33, 1), views_covariance(33, 2)
    p_mm, hands = noisy(truth_mm, 5), hands_of(truth_mm)
    together = correct_to_hands(p_mm, hands, covariance)
    for size in (1, 2, 5, 8):
        rows = np.random.default_rng(size).permutation(33)[:size]
        some = Hands(hands.lengths_mm[rows], hands.palm_mm[rows])
        np.testing.assert_array_equal(correct_to_hands(p_mm[rows], some, covariance[rows]), together[rows])


@pytest.mark.parametrize("sigma_mm", [1.0, 3.0, 5.0])
def test_a_quarter_of_isotropic_noise_goes_and_with_registration_nothing(sigma_mm):
    truth_mm = possible_hands_mm(1000, 5)
    p_mm = noisy(truth_mm, sigma_mm)
    raw = epe_mm(p_mm, truth_mm)
    isotropic = np.broadcast_to(sigma_mm**2 * np.eye(3), (*truth_mm.shape, 3))
    for covariance in (None, isotropic):
        assert epe_mm(correct_to_hands(p_mm, hands_of(truth_mm), covariance), truth_mm) <= 0.75 * raw
    assert epe_mm(register_to_lengths(p_mm, bone_lengths(truth_mm)), truth_mm) >= 0.99 * raw


@pytest.mark.parametrize("sigma_mm", [1.0, 3.0, 5.0])
def test_a_covariance_guessed_from_eight_views_costs_little_of_it(sigma_mm):
    truth_mm = possible_hands_mm(600, 6)
    views_mm = truth_mm + np.random.default_rng(1).normal(0, sigma_mm * 8**0.5, (8, *truth_mm.shape))
    p_mm = views_mm.mean(0)
    away = views_mm - p_mm
    covariance = np.einsum("vbji,vbjk->bjik", away, away) / 8
    assert epe_mm(correct_to_hands(p_mm, hands_of(truth_mm), covariance), truth_mm) <= 0.77 * epe_mm(p_mm, truth_mm)


def test_unequal_noise_is_mended_better_when_it_is_known():
    truth_mm = possible_hands_mm(600, 7)
    spread_mm = np.random.default_rng(2).gamma(2.0, 1.5, (600, 21, 1)) * np.array([1, 1, 2.5])
    p_mm = truth_mm + spread_mm * np.random.default_rng(3).normal(size=truth_mm.shape)
    covariance = np.square(spread_mm)[..., None] * np.eye(3)
    known, unknown = (epe_mm(correct_to_hands(p_mm, hands_of(truth_mm), each), truth_mm) for each in (covariance, None))
    assert known < 0.93 * unknown


def test_lengths_and_palm_alone_leave_fingers_bent_backwards_and_limits_mend_them():
    truth_mm = right_hand_mm(0.0)[None]
    wrong = right_hand_mm(np.array([[0, 0, 0], *[[0, -50, 0]] * 4]))[None]  # depth mistaken, lengths right
    without, with_limits = (correct_to_hands(wrong, hands_of(truth_mm), limits=each) for each in (False, True))
    np.testing.assert_allclose(without, wrong, atol=1e-6)
    assert epe_mm(with_limits, truth_mm) < 0.4 * epe_mm(without, truth_mm)


@given(SEEDS)
def test_weights_are_positive_definite_even_where_views_agree(seed):
    covariance = views_covariance(3, seed, 2)
    covariance[1] = 0
    values = np.linalg.eigvalsh(regularised(covariance))
    assert (values >= 1.0 - 1e-9).all()
    assert (values.max((1, 2)) / values.min((1, 2)) < 200).all()


@given(SEEDS)
def test_a_palm_comes_back_from_its_distances_with_its_side(seed):
    palm_mm = palm_of(possible_hands_mm(1, seed))[0]
    cupped = palm_mm + np.random.default_rng(seed).normal(0, 4, palm_mm.shape)
    cupped -= cupped[:1]
    turned = cupped @ Rotation.random(random_state=seed).as_matrix().T
    square = np.square(turned[:, None] - turned[None]).sum(-1)
    np.testing.assert_allclose(embed_palm(square, cupped), cupped, atol=1e-6)
    np.testing.assert_allclose(embed_palm(square, cupped * MIRROR), cupped * MIRROR, atol=1e-6)


def test_a_palm_is_measured_without_the_bias_of_the_noise():
    truth_mm = right_hand_mm(20.0)
    turns = Rotation.random(300, random_state=1).as_matrix()
    poses_mm = np.einsum("nij,kj->nki", turns, truth_mm - truth_mm[0])
    wanted, found, naive = np.sqrt(square_distances(truth_mm)), [], []
    for seed in range(40):
        seen_mm, again_mm = noisy(poses_mm, 5.0, seed), noisy(poses_mm, 5.0, 1000 + seed)
        palm_mm = embed_palm(crossed_square_distances(seen_mm, again_mm).mean(0), palm_of(truth_mm))
        found.append(np.linalg.norm(palm_mm[:, None] - palm_mm[None], axis=-1) - wanted)
        naive.append(np.sqrt(square_distances(seen_mm)).mean(0) - wanted)
    between = np.triu_indices(6, 1)
    assert np.abs(np.mean(found, axis=0)[between]).max() < 0.3
    assert np.mean(naive, axis=0)[between].max() > 0.9


def test_the_mean_palm_of_true_hands_is_as_large_as_they_are_on_average():
    small, large = right_hand_mm(), right_hand_mm()
    large = large[:1] + 1.2 * (large - large[:1])
    palm_mm = mean_palm(np.stack([small, large]))
    np.testing.assert_allclose(palm_mm, 1.1 * palm_of(small), atol=1e-4)
    assert palm_mm.shape == (len(PALM), 3)
