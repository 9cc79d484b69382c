"""hand/metrics.py and hand/curves.py: errors, curves and the conventions of benchmarks."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_hands import random_hands_mm
from semihand.hand import metrics

NYU_PUBLISHED_MM = {"deep_prior_uvd": 20.750, "pose_ren_uvd": 11.811, "v2v_posenet_uvd": 8.419}


def predictions(truth_mm: np.ndarray, seed: int = 0, sigma_mm: float = 6.0) -> np.ndarray:
    return truth_mm + np.random.default_rng(seed).normal(0, sigma_mm, truth_mm.shape)


@pytest.mark.parametrize("method", NYU_PUBLISHED_MM)
def test_nyu_errors_are_the_published_ones(method):
    folder = os.environ.get("SEMIHAND_REAL_DATA")
    if not folder:
        pytest.skip("SEMIHAND_REAL_DATA is not set: no published NYU predictions to score")
    with np.load(Path(folder) / "nyu_results" / "nyu_test.npz") as results:
        truth, pred = (results[key].astype(np.float64) for key in ("ground_truth_uvd", method))
    error_mm = metrics.epe(metrics.nyu_mm(pred), metrics.nyu_mm(truth))
    assert error_mm == pytest.approx(NYU_PUBLISHED_MM[method], abs=0.001)


def test_pck_auc_and_medians_are_hand3ds_evaluation():
    # EvalUtil: everything per key-point over its valid frames, then the mean over key-points that have any.
    rng = np.random.default_rng(0)
    truth_mm = random_hands_mm(30, 4)
    pred_mm, valid = predictions(truth_mm, sigma_mm=15.0), rng.random((30, 21)) < 0.7
    valid[:, 5] = False
    thresholds = np.linspace(0, 50, 20)
    means, curves, areas = [], [], []
    for joint in range(21):
        data = np.linalg.norm(pred_mm - truth_mm, axis=-1)[valid[:, joint], joint]
        if data.size:
            means.append(np.median(data))
            curves.append([np.mean((data <= threshold).astype(float)) for threshold in thresholds])
            areas.append(np.trapezoid(curves[-1], thresholds) / np.trapezoid(np.ones(20), thresholds))
    errors = metrics.joint_errors(pred_mm, truth_mm, valid)
    assert metrics.median_epe(pred_mm, truth_mm, valid) == pytest.approx(np.mean(means))
    np.testing.assert_allclose(metrics.pck(errors, thresholds), np.mean(curves, 0))
    assert metrics.auc(errors, 0.0, 50.0, 20) == pytest.approx(np.mean(areas))
    assert metrics.auc_by_convention(errors, "rhd") == pytest.approx(np.mean(areas))


def test_semihands_published_pck_points_give_its_published_auc():
    # SemiHand's STB curve, read off its figure: linear in between, its AUC(20-50) is printed as 0.927.
    known_mm, share = [21.1, 26.3, 31.6, 36.8, 42.1, 50.0], [0.771, 0.864, 0.924, 0.957, 0.975, 0.989]
    probability = np.interp(np.linspace(0, 50, 20)[8:], known_mm, share)
    # 1000 errors with that distribution.
    counts = np.rint(1000 * np.diff(probability, prepend=0, append=1)).astype(int)
    errors = np.repeat([*np.linspace(0, 50, 20)[8:], 99.0], counts)[:, None]
    assert metrics.auc_by_convention(errors, "stb") == pytest.approx(0.927, abs=0.004)


def test_stb_uses_12_thresholds_from_21_to_50_mm_and_the_others_their_whole_range():
    stb = metrics.AUC_CONVENTIONS["stb"]
    kept = np.linspace(stb.lo, stb.hi, stb.num)[stb.keep]
    assert (len(kept), kept[0], kept[-1]) == (12, pytest.approx(21.05, abs=0.01), 50.0)
    used = {name: (how.lo, how.hi, how.num) for name, how in metrics.AUC_CONVENTIONS.items()}
    assert used["do"] == (0, 100, 20)
    assert used["rhd"] == used["stb"] == (0, 50, 20)
    assert used["freihand"] == (0, 50, 100)
    assert metrics.AUC_CONVENTIONS["do"].keep is None


def test_errors_are_means_over_valid_joints_only():
    truth_mm = random_hands_mm(4, 9)
    shift_mm = np.arange(1.0, 5.0)[:, None] * np.linspace(1, 2, 21)
    pred_mm = truth_mm + shift_mm[..., None] * [0.6, 0.0, 0.8]
    valid = np.random.default_rng(0).random((4, 21)) < 0.5
    truth_mm[~valid] = np.nan
    np.testing.assert_allclose(metrics.joint_errors(pred_mm, truth_mm, valid)[valid], shift_mm[valid])
    assert metrics.epe(pred_mm, truth_mm, valid) == pytest.approx(shift_mm[valid].mean())


def test_a_missed_hand_cannot_vanish_from_a_mean():
    truth_mm = random_hands_mm(3, 10)
    pred_mm = predictions(truth_mm)
    pred_mm[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"joint error\[1, 2\] is nan"):
        metrics.epe(pred_mm, truth_mm)
    canonical = random_hands_mm(1, 11)[0]
    errors = metrics.coverage_aware_errors(pred_mm, truth_mm, np.array([True, False, True]), canonical)
    np.testing.assert_allclose(errors[1], np.linalg.norm(canonical - truth_mm[1], axis=-1))
    np.testing.assert_allclose(errors[[0, 2]], metrics.joint_errors(pred_mm[[0, 2]], truth_mm[[0, 2]]))


def test_no_valid_joint_is_no_score():
    truth_mm = random_hands_mm(2, 12)
    for score in (metrics.epe, metrics.median_epe):
        with pytest.raises(ValueError, match="no valid joint"):
            score(truth_mm, truth_mm, np.zeros((2, 21), bool))


def test_camera_space_error_counts_failures_and_keeps_them_in_the_mean():
    truth_mm = random_hands_mm(4, 13)
    pred_mm = truth_mm + np.array([0.0, 5.0, 10.0, 2000.0])[:, None, None] * [0.0, 0.0, 1.0]
    assert metrics.camera_space_error(pred_mm, truth_mm) == pytest.approx((2015 / 4, 0.25))


def test_max_error_fraction_counts_frames_by_their_worst_joint():
    errors = np.array([[1.0, 2.0], [5.0, np.nan], [1.0, 9.0], [3.0, 3.0]])
    np.testing.assert_array_equal(
        metrics.max_error_fraction(errors, np.array([2.0, 3.0, 3.1, 10.0])), [0, 0.25, 0.5, 1]
    )


@given(st.integers(0, 2**32 - 1), st.floats(1, 30))
def test_f_score_is_its_definition(seed, tau_mm):
    rng = np.random.default_rng(seed)
    pred, true = rng.uniform(0, 50, (2, 12, 3)), rng.uniform(0, 50, (2, 9, 3))
    distance = np.linalg.norm(pred[:, :, None] - true[:, None], axis=-1)
    precision, recall = (distance.min(2) < tau_mm).mean(1), (distance.min(1) < tau_mm).mean(1)
    total = precision + recall
    expected = np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0)
    np.testing.assert_allclose(metrics.f_score(pred, true, tau_mm), expected)
    np.testing.assert_array_equal(metrics.f_score(true, true, tau_mm), [1, 1])


def test_segmentation_accuracy_weighs_pixels_or_classes():
    truth, pred = np.array([[0, 0, 0, 0], [0, 0, 1, 2]]), np.array([[0, 0, 0, 0], [0, 1, 1, 0]])
    assert metrics.segmentation_accuracy(pred, truth) == pytest.approx((6 / 8, np.mean([5 / 6, 1, 0])))
    assert metrics.segmentation_accuracy(pred, truth, ignore=[0]) == pytest.approx((0.5, 0.5))
    with pytest.raises(ValueError, match="no pixel"):
        metrics.segmentation_accuracy(pred, truth, ignore=[0, 1, 2])


def test_thresholds_that_leave_no_range_and_unknown_conventions_are_refused():
    errors = np.array([[1.0, 2.0]])
    with pytest.raises(ValueError, match="need 2 and hi > lo"):
        metrics.auc(errors, 50.0, 0.0, 20)
    with pytest.raises(ValueError, match="'panoptic' is unknown; known are default, do"):
        metrics.auc_by_convention(errors, "panoptic")
    with pytest.raises(ValueError, match=r"tau_mm is 0\.0"):
        metrics.f_score(np.zeros((3, 3)), np.zeros((3, 3)), 0.0)
