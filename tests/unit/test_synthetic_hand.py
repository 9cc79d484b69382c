"""The generic hand and its poses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semihand.frames.synthetic import anatomy, poses
from semihand.frames.synthetic.collisions import overlap_mm
from semihand.frames.synthetic.domains import read_domain
from semihand.frames.synthetic.generic_hand import build_generic_hand, part_of_faces
from semihand.frames.synthetic.key_poses import KEY_POSES
from semihand.hand.angles import share_within_limits
from semihand.hand.bones import bone_lengths
from semihand.hand.finger_axes import OWNERS
from semihand.hand.mano import TIP_VERTICES, hand_layer, pose_hand
from semihand.hand.skeleton import FINGERS

HAND = build_generic_hand()
REST_MM = HAND.rest_joints_m * 1000.0
LAYER = hand_layer(HAND)


def posed(pose_deg, betas=None):
    """Vertices and joints of poses in degrees."""
    pose = poses.to_axis_angle(pose_deg, HAND.rest_joints_m)
    count = len(pose)
    betas = torch.zeros(count, 10) if betas is None else torch.from_numpy(betas).float()
    found = pose_hand(LAYER, torch.zeros(count, 3), torch.from_numpy(pose).float(), betas, torch.zeros(count, 3))
    return tuple(values.numpy().astype(float) for values in found)


def test_the_generic_hand_is_a_right_hand_by_its_geometry():
    # right hand: (towards the thumb) x (towards the fingertips) leaves through the palm, and the palm is
    # where a fist puts the fingertips; nothing here looks at the flag `side` or at a picture
    _, joints = posed(KEY_POSES["fist"][None])
    towards_thumb, towards_tips = REST_MM[5] - REST_MM[17], REST_MM[9] - REST_MM[0]
    for tip in (8, 12, 16, 20):
        curl = joints[0, tip] - REST_MM[tip]
        into_palm = curl - (curl @ towards_tips) * towards_tips / (towards_tips @ towards_tips)
        assert np.cross(towards_thumb, towards_tips) @ into_palm > 0
    assert HAND.side == "right"


def test_the_thumb_lies_beside_the_index_finger_and_opposes_the_palm():
    towards_thumb = REST_MM[5] - REST_MM[17]
    assert (REST_MM[4] - REST_MM[5]) @ towards_thumb > 0
    _, joints = posed(KEY_POSES["pinch_little"][None])
    assert np.linalg.norm(joints[0, 4] - joints[0, 20]) < 25.0 < np.linalg.norm(REST_MM[4] - REST_MM[20])


def test_bones_have_the_published_lengths():
    lengths = bone_lengths(REST_MM)
    for finger, (first, *_) in FINGERS.items():
        np.testing.assert_allclose(lengths[first : first + 3], anatomy.PHALANGES_MM[finger], atol=1.5)
    assert 90 < np.linalg.norm(REST_MM[9] - REST_MM[0]) < 96


def test_the_regressor_finds_the_joints_it_was_made_for():
    expected = anatomy.rest_joints_mm() @ anatomy.TO_MANO.T
    inner = [joint for joint in range(21) if joint not in (4, 8, 12, 16, 20)]
    np.testing.assert_allclose(REST_MM[inner], expected[inner], atol=1e-6)
    np.testing.assert_allclose(REST_MM, expected, atol=2.0)


def test_the_skin_is_one_closed_surface_facing_outwards():
    edges = np.sort(np.concatenate([HAND.faces[:, [0, 1]], HAND.faces[:, [1, 2]], HAND.faces[:, [2, 0]]]), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 2).all()
    assert len(HAND.v_template) - len(count) + len(HAND.faces) == 2  # Euler: one piece, no handle
    a, b, c = (HAND.v_template[HAND.faces[:, k]] for k in range(3))
    litres = np.einsum("fi,fi->", a, np.cross(b, c)) / 6 * 1000
    assert 0.25 < litres < 0.55  # a grown-up's hand displaces about 0.4 l


def test_the_layout_is_manos():
    num_vertices = len(HAND.v_template)
    assert num_vertices > max(TIP_VERTICES)
    assert HAND.weights.shape == (num_vertices, 16)
    np.testing.assert_allclose(HAND.weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(HAND.J_regressor.sum(axis=1), 1.0)
    assert np.linalg.matrix_rank(HAND.shapedirs.reshape(-1, 10)) == 10


def test_building_it_again_gives_the_same_bytes():
    build_generic_hand.cache_clear()
    again = build_generic_hand()
    for name in ("v_template", "faces", "weights", "J_regressor", "shapedirs"):
        assert getattr(again, name).tobytes() == getattr(HAND, name).tobytes()


def test_a_triangle_belongs_to_one_of_twenty_parts_and_every_part_is_there():
    parts = part_of_faces()
    assert set(np.unique(parts)) == set(range(1, 21))
    centres = HAND.v_template[HAND.faces].mean(axis=1) * 1000
    for finger, number in zip(FINGERS, (4, 8, 12, 16, 20), strict=True):
        ends = centres[parts == number]
        tip, before = REST_MM[FINGERS[finger][3]], REST_MM[FINGERS[finger][2]]
        assert np.linalg.norm(ends.mean(axis=0) - (tip + before) / 2) < 6.0


@pytest.mark.parametrize(
    ("coefficient", "bones", "sign"), [(1, slice(5, 20), 1), (5, slice(0, 4), 1), (6, slice(17, 20), 1)]
)
def test_shape_coefficients_lengthen_the_bones_they_are_named_for(coefficient, bones, sign):
    betas = np.zeros((2, 10))
    betas[1, coefficient] = 2.0
    _, joints = posed(np.zeros((2, 15, 3)), betas)
    change = np.diff(bone_lengths(joints), axis=0)[0]
    assert sign * change[bones].mean() > 1.0


def test_forward_joints_agree_with_the_layer():
    rng = np.random.default_rng(0)
    drawn = np.stack(
        [poses.sample_pose(rng, {"open": 1.0, "grasp": 1.0, "fist": 1.0}, 1.0, HAND.rest_joints_m) for _ in range(5)]
    )
    _, joints = posed(drawn)
    ours = poses.forward_joints_mm(drawn, HAND.rest_joints_m)
    np.testing.assert_allclose(ours, joints, atol=1.0)  # tips are skin, which bends a little
    inner = [joint for joint in range(21) if joint not in (4, 8, 12, 16, 20)]
    np.testing.assert_allclose(ours[:, inner], joints[:, inner], atol=1e-3)


@pytest.mark.parametrize("name", list(KEY_POSES))
def test_named_poses_are_inside_limits_and_clear_of_themselves(name):
    pose = KEY_POSES[name]
    np.testing.assert_array_equal(poses.within_limits(pose), pose)
    assert overlap_mm(poses.forward_joints_mm(pose, HAND.rest_joints_m)) < 3.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["source", "target", "randomised"]))
def test_sampled_poses_are_inside_limits_and_no_finger_passes_through_another(seed, name):
    domain = read_domain(name)
    pose = poses.sample_pose(np.random.default_rng(seed), domain.families, domain.pose_spread, HAND.rest_joints_m)
    assert (pose >= poses.LOWEST_DEG).all()
    assert (pose <= poses.HIGHEST_DEG).all()
    assert overlap_mm(poses.forward_joints_mm(pose, HAND.rest_joints_m)) < 3.01


def test_sampled_poses_keep_the_published_joint_limits():
    rng, domain = np.random.default_rng(1), read_domain("randomised")
    drawn = np.stack([poses.sample_pose(rng, domain.families, 1.0, HAND.rest_joints_m) for _ in range(60)])
    assert share_within_limits(poses.forward_joints_mm(drawn, HAND.rest_joints_m)).mean() > 0.97


def test_overlap_sees_a_finger_pushed_into_its_neighbour():
    joints = poses.forward_joints_mm(KEY_POSES["flat"], HAND.rest_joints_m)
    assert overlap_mm(joints) < 3.0
    pushed = joints.copy()
    pushed[9:13] += joints[13] * 0.7 + joints[9] * 0.3 - joints[9]
    assert overlap_mm(pushed) > 5.0


def test_flexion_curls_each_finger_into_the_palm_and_abduction_moves_it_to_the_thumb():
    palmar = np.cross(REST_MM[5] - REST_MM[17], REST_MM[9] - REST_MM[0])
    for finger in ("index", "middle", "ring", "little"):
        base, tip = OWNERS[finger][0] - 1, FINGERS[finger][3]
        bent, aside = np.zeros((2, 15, 3))
        bent[base, 0], aside[base, 1] = 40.0, 10.0
        assert (poses.forward_joints_mm(bent, HAND.rest_joints_m)[tip] - REST_MM[tip]) @ palmar > 0
        moved = poses.forward_joints_mm(aside, HAND.rest_joints_m)[tip] - REST_MM[tip]
        assert moved @ (REST_MM[5] - REST_MM[17]) > 0
