"""hand/alignment.py: what is taken out of a prediction before it is scored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from sample_hands import hands, random_hands_mm
from semihand.hand import metrics
from semihand.hand.bones import bone_lengths


def squares(pred_mm: np.ndarray, truth_mm: np.ndarray) -> np.ndarray:
    return ((pred_mm - truth_mm) ** 2).sum((-1, -2))


def test_procrustes_with_reflection_is_freihands_script():
    def align_w_scale(truth, pred):
        truth_mean, pred_mean = truth.mean(0), pred.mean(0)
        truth, pred = truth - truth_mean, pred - pred_mean
        truth_norm, pred_norm = np.linalg.norm(truth), np.linalg.norm(pred)
        rotation, scale = orthogonal_procrustes(truth / truth_norm, pred / pred_norm)
        return pred / pred_norm @ rotation.T * scale * truth_norm + truth_mean

    truth_mm = random_hands_mm(4, 0)
    pred_mm = np.concatenate([random_hands_mm(2, 1), truth_mm[2:] * [1, 1, -1] + 5])
    expected = [align_w_scale(truth, pred) for truth, pred in zip(truth_mm, pred_mm, strict=True)]
    aligned = metrics.procrustes_aligned(pred_mm, truth_mm, allow_reflection=True)
    np.testing.assert_allclose(aligned, expected, atol=1e-8)


def test_proper_procrustes_turns_the_hand_as_scipy_does():
    truth_mm, pred_mm = random_hands_mm(1, 2)[0], random_hands_mm(1, 3)[0] * [1, 1, -1]
    truth_0, pred_0 = truth_mm - truth_mm.mean(0), pred_mm - pred_mm.mean(0)
    turned = Rotation.align_vectors(truth_0, pred_0)[0].apply(pred_0)
    expected = turned * (turned * truth_0).sum() / (turned**2).sum() + truth_mm.mean(0)
    np.testing.assert_allclose(metrics.procrustes_aligned(pred_mm, truth_mm), expected, atol=1e-8)


@given(hands(), st.integers(0, 2**32 - 1))
def test_each_alignment_takes_out_exactly_what_it_names(truth_mm, seed):
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.uniform(-200, 200, 3)
    near = truth_mm + np.array([0.0, 0.0, 57.0])
    centre = near.mean(-2, keepdims=True)
    np.testing.assert_allclose(
        metrics.procrustes_aligned(0.6 * truth_mm @ turn.T + shift, truth_mm), truth_mm, atol=1e-6
    )
    np.testing.assert_allclose(metrics.scale_aligned(0.6 * truth_mm + shift, truth_mm), truth_mm, atol=1e-6)
    bones = (truth_mm + shift) / bone_lengths(truth_mm)[:, 9, None, None]
    np.testing.assert_allclose(metrics.scale_and_root_known(bones, truth_mm), truth_mm, atol=1e-6)
    for variant in ("norm", "least_squares"):
        aligned = metrics.sd_aligned(centre + 1.4 * (near - centre), truth_mm, variant)
        np.testing.assert_allclose(aligned, truth_mm, atol=1e-6)
    np.testing.assert_allclose(metrics.sd_aligned(1.4 * truth_mm, truth_mm, "projective"), truth_mm, atol=1e-6)


@given(hands())
def test_sd_keeps_x_y_and_rotation_errors(truth_mm):
    shifted = metrics.sd_aligned(truth_mm + np.array([7.0, -4.0, 100.0]), truth_mm)
    np.testing.assert_allclose(shifted - truth_mm, np.broadcast_to([7.0, -4.0, 0.0], truth_mm.shape), atol=1e-6)
    turned = metrics.sd_aligned(truth_mm @ Rotation.from_euler("z", 0.5).as_matrix().T, truth_mm)
    assert metrics.epe(turned, truth_mm) > 5


@given(hands(), st.integers(0, 2**32 - 1))
def test_more_freedom_never_gives_a_larger_sum_of_squares(truth_mm, seed):
    pred_mm = truth_mm + np.random.default_rng(seed).normal(0, 6, truth_mm.shape)
    own = squares(metrics.root_relative(pred_mm), metrics.root_relative(truth_mm))
    scaled = squares(metrics.scale_aligned(pred_mm, truth_mm), truth_mm)
    rigid = squares(metrics.procrustes_aligned(pred_mm, truth_mm), truth_mm)
    mirrored = squares(metrics.procrustes_aligned(pred_mm, truth_mm, allow_reflection=True), truth_mm)
    least = squares(metrics.sd_aligned(pred_mm, truth_mm, "least_squares"), truth_mm)
    assert (scaled <= own + 1e-6).all()
    assert (rigid <= scaled + 1e-6).all()
    assert (mirrored <= rigid + 1e-6).all()
    assert (least <= squares(metrics.sd_aligned(pred_mm, truth_mm), truth_mm) + 1e-6).all()


def test_a_mirrored_hand_passes_only_where_reflection_is_allowed():
    truth_mm = random_hands_mm(3, 5)
    mirrored = truth_mm * [-1, 1, 1]
    assert metrics.epe(metrics.procrustes_aligned(mirrored, truth_mm, allow_reflection=True), truth_mm) < 1e-6
    assert metrics.epe(metrics.procrustes_aligned(mirrored, truth_mm), truth_mm) > 3


def test_an_aligned_pose_does_not_depend_on_its_neighbours():
    truth_mm, pred_mm = random_hands_mm(6, 6), random_hands_mm(6, 7)
    aligners = (
        metrics.procrustes_aligned,
        metrics.scale_aligned,
        metrics.sd_aligned,
        metrics.scale_and_root_known,
    )
    for align in aligners:
        together = align(pred_mm.reshape(2, 3, 21, 3), truth_mm.reshape(2, 3, 21, 3)).reshape(6, 21, 3)
        alone = [align(pred, truth) for pred, truth in zip(pred_mm, truth_mm, strict=True)]
        np.testing.assert_allclose(together, alone, atol=1e-9)


def test_a_pose_without_extent_or_with_nan_is_refused_by_index():
    truth_mm = random_hands_mm(2, 8)
    flat = truth_mm.copy()
    flat[1] = flat[1, 0]
    for align in (metrics.procrustes_aligned, metrics.scale_aligned, metrics.sd_aligned):
        with pytest.raises(ValueError, match=r"pred_mm\[1\]: all joints coincide"):
            align(flat, truth_mm)
        broken = truth_mm.copy()
        broken[1, 3, 2] = np.nan
        with pytest.raises(ValueError, match=r"truth_mm\[1, 3, 2\] is nan"):
            align(truth_mm, broken)
