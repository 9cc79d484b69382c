"""hand/angles.py: joint angles and their limits."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sample_hands import hands, random_hands_mm, right_hand_mm
from semihand.hand.angles import (
    MAX_EXTENSION_DEG,
    MAX_FLEXION_DEG,
    clamp_to_limits,
    joint_angles,
    share_within_limits,
    within_limits,
)
from semihand.hand.bones import bone_lengths, register_to_lengths

MIRROR = np.array([-1.0, 1.0, 1.0])


@given(st.lists(st.floats(-8, 80), min_size=15, max_size=15))
def test_flexion_is_the_bend_that_the_hand_was_built_with(bends):
    bend_deg = np.reshape(bends, (5, 3))
    measured = joint_angles(right_hand_mm(bend_deg)).flexion_deg
    # The thumb's bases define its side only roughly, so only its size is compared.
    np.testing.assert_allclose(measured[1:], bend_deg[1:], atol=1e-5)
    np.testing.assert_allclose(np.abs(measured[0]), np.abs(bend_deg[0]), atol=1e-5)


def test_a_finger_turned_towards_the_little_finger_has_positive_abduction():
    flat = right_hand_mm(0.0)
    for finger, joints in enumerate(([6, 7, 8], [10, 11, 12], [14, 15, 16], [18, 19, 20]), start=1):
        base = flat[joints[0] - 1]
        for turn_deg in (-25.0, 10.0, 40.0):
            turned = flat.copy()
            # About the ray of sight; turning an upright finger to image left, away from the thumb.
            rotation = Rotation.from_rotvec([0, 0, -np.radians(turn_deg)]).as_matrix()
            turned[joints] = base + (flat[joints] - base) @ rotation.T
            np.testing.assert_allclose(joint_angles(turned).abduction_deg[finger], turn_deg, atol=1e-6)


@given(hands(), st.integers(0, 2**32 - 1))
def test_angles_do_not_depend_on_place_size_or_orientation(joints_mm, seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = 0.7 * joints_mm @ turn.T + [10.0, 20.0, 30.0]
    for before, after in zip(joint_angles(joints_mm), joint_angles(moved), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-4)


@given(hands())
def test_a_left_hand_has_the_angles_of_its_mirror_image(joints_mm):
    for right, left in zip(joint_angles(joints_mm), joint_angles(joints_mm * MIRROR, "left"), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_wrong_side_turns_flexion_into_extension():
    joints_mm = right_hand_mm(40.0)
    assert share_within_limits(joints_mm) == 1.0
    assert share_within_limits(joints_mm, "left") < 0.8
    assert (joint_angles(joints_mm, "left").flexion_deg[1:] < 0).all()


@pytest.mark.parametrize("finger", range(1, 5))
@pytest.mark.parametrize("joint", range(3))
def test_an_angle_beyond_its_limit_is_found_and_only_that_one(finger, joint):
    for sign, limit in ((1, MAX_FLEXION_DEG), (-1, MAX_EXTENSION_DEG)):
        for excess_deg, inside in ((-1.0, 1.0), (1.0, 0.0)):
            bend_deg = np.full((5, 3), 5.0)
            bend_deg[finger, joint] = sign * (limit[finger, joint] + excess_deg)
            judged = within_limits(right_hand_mm(bend_deg))
            assert judged[3 * finger + joint] == inside
            assert np.nansum(judged == 0) == 1 - inside


def test_limits_are_those_of_the_thesis():
    np.testing.assert_array_equal(MAX_FLEXION_DEG[1:], np.tile([90, 135, 90], (4, 1)))
    np.testing.assert_array_equal(MAX_EXTENSION_DEG, np.tile([45, 10, 45], (5, 1)))
    # handPoseLegitimize.py: angleP of the thumb is 45, 45, 90.
    np.testing.assert_array_equal(MAX_FLEXION_DEG[0], [45, 45, 90])


def test_an_angle_that_cannot_be_measured_counts_neither_way():
    bend_deg = np.full((5, 3), 5.0)
    bend_deg[2, 0] = 89.0
    joints_mm = np.stack([right_hand_mm(bend_deg), right_hand_mm(5.0)])
    assert np.isnan(joint_angles(joints_mm).abduction_deg[0, 2])
    np.testing.assert_array_equal(share_within_limits(joints_mm), [1.0, 1.0])
    assert np.isnan(share_within_limits(np.zeros((21, 3))))


def test_rows_do_not_mix():
    joints_mm = random_hands_mm(6, 0) + np.random.default_rng(0).normal(0, 8, (6, 21, 3))
    together = share_within_limits(joints_mm.reshape(2, 3, 21, 3)).ravel()
    np.testing.assert_array_equal(together, [share_within_limits(pose) for pose in joints_mm])
    assert len(set(together)) > 1


def test_a_real_right_hand_stays_inside_its_limits_and_not_inside_a_left_ones():
    folder = os.environ.get("SEMIHAND_REAL_DATA")
    if not folder:
        pytest.skip("SEMIHAND_REAL_DATA is not set: no real hand to measure")
    joints_mm = 1000.0 * np.load(Path(folder) / "hand_video" / "joints_m.npz")["joints_m"].astype(np.float64)
    assert share_within_limits(joints_mm).mean() > 0.95
    assert share_within_limits(joints_mm, "left").mean() < 0.85


def bent_anyhow(joints_mm, seed):
    """The same bones in directions that no hand takes."""
    return joints_mm + np.random.default_rng(seed).normal(0, 15, joints_mm.shape)


@given(hands(), st.integers(0, 2**32 - 1))
def test_clamped_poses_lie_inside_the_limits_with_their_bones(joints_mm, seed):
    wild = bent_anyhow(joints_mm, seed)
    clamped = clamp_to_limits(wild)
    flexion_deg = joint_angles(clamped).flexion_deg
    assert (flexion_deg <= MAX_FLEXION_DEG).all()
    assert (flexion_deg >= -MAX_EXTENSION_DEG).all()
    np.testing.assert_allclose(bone_lengths(clamped), bone_lengths(wild), rtol=1e-9)
    assert share_within_limits(clamped).mean() >= share_within_limits(wild).mean()


@given(st.lists(st.floats(0, 44), min_size=15, max_size=15))
def test_a_pose_inside_the_limits_is_not_touched(bends):
    joints_mm = right_hand_mm(np.reshape(bends, (5, 3)))
    if np.nan_to_num(within_limits(joints_mm), nan=1.0).all():
        np.testing.assert_allclose(clamp_to_limits(joints_mm), joints_mm, atol=1e-9)


@given(hands(), st.integers(0, 2**32 - 1))
def test_clamping_knows_left_from_right(joints_mm, seed):
    wild = bent_anyhow(joints_mm, seed)
    np.testing.assert_allclose(clamp_to_limits(wild * MIRROR, "left"), clamp_to_limits(wild) * MIRROR, atol=1e-9)


def test_bone_lengths_alone_leave_a_finger_bent_backwards_and_limits_mend_it():
    truth_mm = right_hand_mm(0.0)
    lengths_mm = bone_lengths(truth_mm)
    wrong = right_hand_mm(np.array([[0, 0, 0], *[[0, -50, 0]] * 4]))  # PIP joints bent over backwards, depth mistaken
    registered = register_to_lengths(wrong, lengths_mm)
    clamped = clamp_to_limits(wrong)

    def error_mm(joints_mm):
        return np.linalg.norm(joints_mm - truth_mm, axis=-1).mean()

    np.testing.assert_allclose(registered, wrong, atol=1e-9)  # the lengths are right already
    assert error_mm(clamped) < 0.4 * error_mm(registered)
