"""hand/mano_fit.py: exact joints are fitted to a fraction of a millimetre, whoever's they are, and noise is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic import poses
from semihand.frames.synthetic.domains import read_domain
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.frames.synthetic.people import person
from semihand.hand.angles import share_within_limits
from semihand.hand.mano import hand_layer, mirrored, pose_hand
from semihand.hand.mano_fit import fit_hands

NUM, NUM_PERSONS = 48, 4
PERSON = np.random.default_rng(2).integers(0, NUM_PERSONS, NUM)
SHAPES = np.array([person("randomised", int(number)).shape for number in PERSON])


def posed(model, *parameters):
    with torch.inference_mode():
        _, joints = pose_hand(hand_layer(model), *(torch.from_numpy(values).float() for values in parameters))
    return joints.numpy().astype(np.float64)


def drawn_hands(model):
    """Joints of natural poses of a few people, turned every way, anywhere."""
    rng, domain, rest = np.random.default_rng(0), read_domain("randomised"), build_generic_hand().rest_joints_m
    angles = np.array([poses.sample_pose(rng, domain.families, domain.pose_spread, rest) for _ in range(NUM)])
    turns = Rotation.random(NUM, random_state=1).as_rotvec()
    places = rng.uniform((-150, -150, 300), (150, 150, 900), (NUM, 3))
    return posed(model, turns, poses.to_axis_angle(angles, rest), SHAPES, places)


@pytest.fixture(scope="module")
def exact_mm():
    return drawn_hands(build_generic_hand())


@pytest.fixture(scope="module")
def fits(exact_mm):
    return fit_hands(exact_mm, PERSON, build_generic_hand())


def test_exact_joints_are_fitted_to_a_fraction_of_a_millimetre(fits, exact_mm):
    assert fits.residual_mm.mean() < 0.2
    assert fits.residual_mm.max() < 1.0
    np.testing.assert_allclose(fits.residual_mm, np.linalg.norm(fits.joints_mm - exact_mm, axis=-1).mean(-1), atol=1e-9)


def test_the_parameters_give_these_joints_through_smplxs_own_layer(fits):
    joints = posed(build_generic_hand(), fits.pose[:, :3], fits.pose[:, 3:], fits.shape, fits.translation_mm)
    np.testing.assert_allclose(joints, fits.joints_mm, atol=2e-3)


def test_a_person_has_one_shape_and_people_differ(fits):
    for number in range(NUM_PERSONS):
        assert len(np.unique(fits.shape[number == PERSON], axis=0)) == 1
    assert len(np.unique(fits.shape, axis=0)) == NUM_PERSONS


def test_shapes_that_joints_tell_are_found(fits):
    flat = np.zeros((NUM, 3)), np.zeros((NUM, 45))
    found, true = (posed(build_generic_hand(), *flat, shape, np.zeros((NUM, 3))) for shape in (fits.shape, SHAPES))
    # what joints can tell of a shape is where they lie at rest, not flesh
    assert np.linalg.norm(found - true, axis=-1).mean() < 1.0


def test_skin_that_bends_like_manos_and_a_mean_pose_are_fitted_as_well():
    model = build_generic_hand()
    bending = replace(
        model,
        posedirs=np.random.default_rng(1).normal(0, 1e-3, model.posedirs.shape),
        hands_mean=model.hands_mean * 1.5,
    )
    joints_mm = drawn_hands(bending)
    assert fit_hands(joints_mm, PERSON, bending).residual_mm.mean() < 0.3


def test_a_left_hand_is_fitted_as_its_mirror_image_is(fits, exact_mm):
    left = mirrored(build_generic_hand())
    of_left = fit_hands(exact_mm * [-1.0, 1.0, 1.0], PERSON, left)
    np.testing.assert_allclose(of_left.residual_mm, fits.residual_mm, atol=1e-3)
    joints = posed(left, of_left.pose[:, :3], of_left.pose[:, 3:], of_left.shape, of_left.translation_mm)
    np.testing.assert_allclose(joints, exact_mm * [-1.0, 1.0, 1.0], atol=2.0)


def test_a_hand_of_the_wrong_side_cannot_be_fitted_and_says_so_by_its_residual(fits, exact_mm):
    wrong = fit_hands(exact_mm * [-1.0, 1.0, 1.0], PERSON, build_generic_hand())
    assert wrong.residual_mm.mean() > 20 * fits.residual_mm.mean()


def test_a_noisy_hand_comes_out_nearer_to_the_truth_and_to_its_limits(exact_mm):
    noisy_mm = exact_mm + np.random.default_rng(3).normal(0, 5.0, exact_mm.shape)
    fits = fit_hands(noisy_mm, PERSON, build_generic_hand())
    before, after = (np.linalg.norm(joints - exact_mm, axis=-1).mean() for joints in (noisy_mm, fits.joints_mm))
    assert after < 0.8 * before
    assert np.nanmean(share_within_limits(fits.joints_mm)) > np.nanmean(share_within_limits(noisy_mm)) + 0.05


def test_a_hands_pose_does_not_depend_on_its_neighbours(exact_mm):
    alone = np.zeros(NUM, int)
    whole = fit_hands(exact_mm, np.arange(NUM), build_generic_hand())
    for row in (0, 7):
        one = fit_hands(exact_mm[row : row + 1], alone[:1], build_generic_hand())
        np.testing.assert_allclose(one.joints_mm[0], whole.joints_mm[row], atol=0.02)


def test_no_turn_is_more_than_half_a_turn(fits):
    assert np.linalg.norm(fits.pose.reshape(NUM, 16, 3), axis=-1).max() < np.pi + 1e-6


def test_no_hands_give_no_fits_and_an_unknown_joint_is_named(exact_mm):
    empty = fit_hands(exact_mm[:0], PERSON[:0], build_generic_hand())
    assert (empty.pose.shape, empty.joints_mm.shape) == ((0, 48), (0, 21, 3))
    broken = exact_mm.copy()
    broken[5, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"joints_mm\[5\]"):
        fit_hands(broken, PERSON, build_generic_hand())
