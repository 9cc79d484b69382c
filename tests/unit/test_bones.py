"""hand/bones.py: bone lengths and registration P."""

import numpy as np
import pytest
from hypothesis import given
from scipy.spatial.transform import Rotation

from sample_hands import SAMPLE_LENGTHS_MM, hands, lengths, random_hands_mm, right_hand_mm
from semihand.hand.bones import bone_lengths, crossed_square_lengths, register_to_lengths, unbiased_lengths
from semihand.hand.skeleton import PARENTS


def naive_forward_kinematics(joints_mm, lengths_mm):
    """What SemiHand says it avoids: bone directions from the estimated parent to the estimated child."""
    placed = joints_mm.copy()
    for joint in range(1, 21):
        bone = joints_mm[:, joint] - joints_mm[:, PARENTS[joint]]
        unit = bone / np.linalg.norm(bone, axis=-1, keepdims=True)
        placed[:, joint] = placed[:, PARENTS[joint]] + lengths_mm[:, joint - 1, None] * unit
    return placed


def as_printed(pose_mm, lengths_mm):
    """P joint by joint and pose by pose, as the paper describes it."""
    registered = pose_mm.copy()
    for joint in range(1, 21):
        parent = registered[PARENTS[joint]]
        v = pose_mm[joint] - parent
        registered[joint] = parent + lengths_mm[joint - 1] * v / np.linalg.norm(v)
    return registered


@given(hands(), lengths())
def test_registered_bones_have_the_given_lengths(joints_mm, lengths_mm):
    registered = register_to_lengths(joints_mm, lengths_mm)
    np.testing.assert_allclose(bone_lengths(registered), lengths_mm, rtol=1e-6)


@given(hands(), lengths())
def test_registration_is_the_printed_recipe(joints_mm, lengths_mm):
    expected = [as_printed(pose, row) for pose, row in zip(joints_mm, lengths_mm, strict=True)]
    np.testing.assert_allclose(register_to_lengths(joints_mm, lengths_mm), expected, atol=1e-9)


@given(hands())
def test_a_pose_with_the_right_lengths_stays_where_it_is(joints_mm):
    np.testing.assert_allclose(register_to_lengths(joints_mm, bone_lengths(joints_mm)), joints_mm, atol=1e-9)


@given(hands(), lengths())
def test_a_second_registration_changes_nothing(joints_mm, lengths_mm):
    once = register_to_lengths(joints_mm, lengths_mm)
    np.testing.assert_allclose(register_to_lengths(once, lengths_mm), once, atol=1e-9)


@given(hands(), lengths())
def test_registration_of_a_mirror_image_is_the_mirror_image(joints_mm, lengths_mm):
    mirror = np.array([-1.0, 1.0, 1.0])
    np.testing.assert_array_equal(
        register_to_lengths(joints_mm * mirror, lengths_mm), register_to_lengths(joints_mm, lengths_mm) * mirror
    )


@given(hands(), lengths())
def test_registration_moves_with_the_hand(joints_mm, lengths_mm):
    turn = Rotation.from_euler("xyz", [0.3, -1.1, 2.0]).as_matrix()
    shift = np.array([10.0, -20.0, 30.0])
    moved = register_to_lengths(joints_mm @ turn.T + shift, lengths_mm)
    np.testing.assert_allclose(moved, register_to_lengths(joints_mm, lengths_mm) @ turn.T + shift, atol=1e-8)


def test_a_pose_does_not_depend_on_its_neighbours_in_the_batch():
    joints_mm, lengths_mm = random_hands_mm(6, 0), random_hands_mm(6, 1)
    lengths_mm = bone_lengths(lengths_mm)
    together = register_to_lengths(joints_mm.reshape(2, 3, 21, 3), lengths_mm.reshape(2, 3, 20)).reshape(6, 21, 3)
    for row in range(6):
        np.testing.assert_array_equal(together[row], register_to_lengths(joints_mm[row], lengths_mm[row]))


def test_one_template_serves_a_whole_batch():
    joints_mm = random_hands_mm(4, 2)
    template_mm = SAMPLE_LENGTHS_MM.ravel()
    expected = register_to_lengths(joints_mm, np.tile(template_mm, (4, 1)))
    np.testing.assert_array_equal(register_to_lengths(joints_mm, template_mm), expected)


def test_registered_error_follows_the_published_curve_and_beats_forward_kinematics():
    # SemiHand supplement, Fig. 6, STB with the true template: EPE mm at noise of 1 to 5 mm.
    published_mm = np.array([1.65, 3.30, 4.99, 6.70, 8.40])
    truth_mm = np.repeat(right_hand_mm()[None], 3000, axis=0)
    rng, lengths_mm = np.random.default_rng(0), bone_lengths(truth_mm)
    registered_epe, naive_epe = [], []
    for sigma_mm in (1, 2, 3, 4, 5):
        noisy = truth_mm + rng.normal(0, sigma_mm, truth_mm.shape)
        for epes, method in ((registered_epe, register_to_lengths), (naive_epe, naive_forward_kinematics)):
            epes.append(np.linalg.norm(method(noisy, lengths_mm) - truth_mm, axis=-1).mean())
    np.testing.assert_allclose(registered_epe, published_mm, rtol=0.06)
    assert (np.array(naive_epe) > np.array(registered_epe)).all()
    assert naive_epe[-1] > 1.08 * registered_epe[-1]


@pytest.mark.parametrize("factor", [0.9, 0.95, 1.05, 1.1, 1.2])
def test_registration_lessens_the_error_of_a_wrong_scale_in_every_pose(factor):
    truth_mm = random_hands_mm(200, 3)
    scaled_mm = truth_mm[:, :1] + factor * (truth_mm - truth_mm[:, :1])
    registered = register_to_lengths(scaled_mm, bone_lengths(truth_mm))
    before_mm, after_mm = (np.linalg.norm(pose - truth_mm, axis=-1).mean(-1) for pose in (scaled_mm, registered))
    assert (after_mm < before_mm).all()
    assert after_mm.mean() < 0.7 * before_mm.mean()


def test_registration_folds_the_fingers_of_a_far_too_small_estimate():
    # A registered parent that has overtaken its estimated child sends the bone backwards: scale comes first.
    truth_mm = right_hand_mm(5.0)
    small_mm = truth_mm[:1] + 0.7 * (truth_mm - truth_mm[:1])
    folded_mm = register_to_lengths(small_mm, bone_lengths(truth_mm))
    assert np.dot(folded_mm[11] - folded_mm[10], truth_mm[11] - truth_mm[10]) < 0


def test_float32_stays_float32():
    joints_mm = random_hands_mm(5, 4).astype(np.float32)
    registered = register_to_lengths(joints_mm, SAMPLE_LENGTHS_MM.ravel())
    assert registered.dtype == np.float32
    np.testing.assert_allclose(bone_lengths(registered), np.tile(SAMPLE_LENGTHS_MM.ravel(), (5, 1)), rtol=1e-4)


def test_a_child_on_its_registered_parent_is_refused_by_index_and_value():
    joints_mm = random_hands_mm(3, 5)
    lengths_mm = bone_lengths(joints_mm)
    joints_mm[1, 7] = register_to_lengths(joints_mm, lengths_mm)[1, 6]
    with pytest.raises(ValueError, match=r"joints_mm\[1, 7\] lies 0.0 mm from its registered parent \(joint 6\)"):
        register_to_lengths(joints_mm, lengths_mm)


@pytest.mark.parametrize("wrong", [0.0, -3.0, np.nan, np.inf])
def test_a_length_that_is_no_length_is_refused_by_index_and_value(wrong):
    lengths_mm = bone_lengths(random_hands_mm(2, 6))
    lengths_mm[1, 4] = wrong
    with pytest.raises(ValueError, match=rf"lengths_mm\[1, 4\] is {wrong}, but must be finite and above 0"):
        register_to_lengths(random_hands_mm(2, 6), lengths_mm)


def test_a_joint_that_is_not_finite_is_refused_by_index():
    joints_mm = random_hands_mm(2, 7)
    joints_mm[1, 20, 2] = np.nan
    with pytest.raises(ValueError, match=r"joints_mm\[1, 20, 2\] is nan"):
        register_to_lengths(joints_mm, SAMPLE_LENGTHS_MM.ravel())


def test_lengths_of_noisy_poses_come_without_the_bias_of_the_mean():
    num, sigma_mm = 300, 5.0
    truth_mm = bone_lengths(right_hand_mm())
    poses_mm = np.array([right_hand_mm(bend) for bend in np.random.default_rng(0).uniform(0, 50, (num, 5, 3))])
    errors, naive_errors = [], []
    for seed in range(20):
        once_mm, again_mm = poses_mm + np.random.default_rng(seed).normal(0, sigma_mm, (2, *poses_mm.shape))
        errors.append(unbiased_lengths(crossed_square_lengths(once_mm, again_mm)) - truth_mm)
        naive_errors.append(bone_lengths(once_mm).mean(0) - truth_mm)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.3
    assert np.mean(naive_errors) > 1.0


@given(hands())
def test_lengths_do_not_mind_that_two_measurements_are_shifts_of_one_another(joints_mm):
    square_mm2 = crossed_square_lengths(joints_mm, joints_mm + np.array([30.0, -20.0, 10.0]))
    np.testing.assert_allclose(square_mm2, np.square(bone_lengths(joints_mm)))


def test_a_bone_lost_in_its_noise_has_no_length():
    pose_mm = right_hand_mm()[None]
    assert (unbiased_lengths(crossed_square_lengths(pose_mm, -pose_mm)) == 0).all()
