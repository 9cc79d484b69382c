"""hand/chirality.py: left from right, on hands it has not seen, with the rates of false alarms and misses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sample_hands import hands, possible_hands_mm, random_hands_mm
from semihand.frames.synthetic.anatomy import rest_joints_mm
from semihand.frames.synthetic.domains import read_domain
from semihand.frames.synthetic.poses import forward_joints_mm, sample_pose
from semihand.hand.chirality import DECIDED, side_score

# (radial, distal, dorsal) is left-handed for a right hand: mirror one axis to stand in a right-handed frame.
_FRAME = np.array([-1.0, 1.0, 1.0])


def natural_hands_mm(num, seed):
    """Right hands in the poses of all synthetic domains, turned at random."""
    rng, rest_m = np.random.default_rng(seed), rest_joints_mm() * _FRAME / 1000
    families = {
        name: weight for domain in ("source", "target") for name, weight in read_domain(domain).families.items()
    }
    poses = np.stack([sample_pose(rng, families, 1.0, rest_m) for _ in range(num)])
    turns = Rotation.random(num, random_state=seed).as_matrix()
    return forward_joints_mm(poses, rest_m) @ turns.transpose(0, 2, 1)


@given(hands(), st.floats(1e-4, 1e4))
def test_a_mirror_negates_the_score_and_a_turn_a_shift_or_a_scale_do_not_change_it(joints_mm, factor):
    score = side_score(joints_mm)
    np.testing.assert_allclose(side_score(joints_mm * [-1, 1, 1]), -score, atol=1e-9)
    turned = joints_mm[..., [2, 0, 1]] * factor + 7.0 * factor
    np.testing.assert_allclose(side_score(turned), score, atol=1e-6)


@pytest.mark.parametrize("made", [natural_hands_mm, random_hands_mm, possible_hands_mm])
@pytest.mark.parametrize(("noise_mm", "most_undecided"), [(0.0, 0.01), (5.0, 0.04)])
def test_no_right_hand_is_taken_for_a_left_one_and_few_are_undecided(made, noise_mm, most_undecided):
    joints_mm = made(300, 8)
    score = side_score(joints_mm + np.random.default_rng(2).normal(0, noise_mm, joints_mm.shape))
    assert (score < -DECIDED).sum() == 0  # false alarms of right hands, and by symmetry misses of mirrored ones
    assert (np.abs(score) <= DECIDED).mean() <= most_undecided


def test_a_flat_hand_is_told_by_its_thumb_and_a_planar_thumb_by_the_fingers():
    flat = rest_joints_mm() * _FRAME
    assert side_score(flat) > DECIDED
    bent = random_hands_mm(50, 9)
    palm = bent[:, [0, 5, 17]]
    normal = np.cross(palm[:, 1] - palm[:, 0], palm[:, 2] - palm[:, 0])
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    for joint in (2, 3):
        height = ((bent[:, joint] - palm[:, 0]) * normal).sum(-1, keepdims=True)
        bent[:, joint] -= height * normal
    assert (side_score(bent) > DECIDED).all()


def test_without_the_wrist_the_fingers_decide_alone():
    joints_mm = random_hands_mm(60, 10)
    joints_mm[:, 0] = np.nan
    assert (side_score(joints_mm) > DECIDED).all()
    joints_mm[:, 1:] = np.nan
    assert np.isnan(side_score(joints_mm)).all()
