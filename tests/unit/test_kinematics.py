"""hand/kinematics.py: the joints are smplx's, and the derivatives are what autograd finds through it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.hand.kinematics import joint_model, pose_derivatives, pose_joints, shape_derivatives
from semihand.hand.mano import SEMIHAND_FROM_MANO, hand_layer, mirrored, pose_hand

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def bending():
    """The generic hand with skin that bends as MANO's does: each vertex moves with every joint's rotation."""
    model = build_generic_hand()
    return replace(model, posedirs=np.random.default_rng(1).normal(0, 2e-3, model.posedirs.shape))


def drawn(seed, num=3):
    rng = np.random.default_rng(seed)
    rotvec, shape = rng.normal(0, 0.7, (num, 16, 3)), rng.normal(0, 1, (num, 10))
    rotvec[0, 3] = 0  # no turn at all, and one that is lost in rounding
    rotvec[1, 5] *= 1e-4
    return torch.from_numpy(rotvec).float(), torch.from_numpy(shape).float()


@settings(max_examples=10)
@given(SEEDS)
def test_joints_are_those_of_smplxs_layer(bending, seed):
    rotvec, shape = drawn(seed)
    _, expected = pose_hand(
        hand_layer(bending), rotvec[:, 0], rotvec[:, 1:].reshape(-1, 45), shape, torch.zeros(len(shape), 3)
    )
    points = pose_joints(joint_model(bending), rotvec, shape).points
    np.testing.assert_allclose(points[:, list(SEMIHAND_FROM_MANO)], expected, atol=1e-3)


@settings(max_examples=5)
@given(SEEDS)
def test_derivatives_are_those_that_autograd_finds_through_smplx(bending, seed):
    rotvec, shape = drawn(seed)
    model = joint_model(bending)

    def coordinates(rotvec, shape):
        return pose_joints(model, rotvec, shape).points.reshape(-1, 63).sum(0)

    by_angle, by_shape = torch.autograd.functional.jacobian(coordinates, (rotvec, shape))
    posed = pose_joints(model, rotvec, shape)
    expected = by_angle.reshape(63, -1, 48).transpose(0, 1)
    np.testing.assert_allclose(pose_derivatives(model, posed, rotvec), expected, atol=2e-2)
    np.testing.assert_allclose(shape_derivatives(model, posed), by_shape.transpose(0, 1), atol=1e-3)


@settings(max_examples=5)
@given(SEEDS)
def test_mirrored_angles_pose_the_mirrored_hand(bending, seed):
    rotvec, shape = drawn(seed)
    other = mirrored(bending)
    assert (bending.side, other.side, mirrored(other).side) == ("right", "left", "right")
    turned = rotvec * torch.tensor([1.0, -1.0, -1.0])
    hands = [
        pose_hand(hand_layer(model), angles[:, 0], angles[:, 1:].reshape(-1, 45), shape, torch.zeros(len(shape), 3))
        for model, angles in ((bending, rotvec), (other, turned))
    ]
    for here, there in zip(*hands, strict=True):
        np.testing.assert_allclose(here * torch.tensor([-1.0, 1.0, 1.0]), there, atol=1e-3)
