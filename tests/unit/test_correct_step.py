"""steps/correct.py and paired_test.py: the projection, the labels that are carried, and the paired test."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sample_hands import hands, lengths, possible_hands_mm
from seen_hands import looked_at, seen
from semihand.hand.angles import share_within_limits
from semihand.hand.bones import bone_lengths, register_to_lengths
from semihand.hand.correction import Hands, correct_to_hands
from semihand.hand.projection import palm_of
from semihand.methods.semihand.network import NetworkConfig
from semihand.methods.semihand.weights import ModelCard
from semihand.steps.correct import CorrectConfig, Known, correct_poses
from semihand.steps.cropping import read_crops
from semihand.steps.lifting import Halves
from semihand.steps.paired_test import Evidence, closer_to, silhouette_overlap
from semihand.steps.training_set import source_crops
from semihand.tables import as_numpy

PROJECTION = CorrectConfig(method="projection")


def test_the_projection_is_that_of_the_hand_with_its_covariance():
    truth_mm = possible_hands_mm(20, 1)
    p_mm, covariance, _ = looked_at(truth_mm, 3.0, 1)
    known = Known(palm_mm=palm_of(truth_mm), covariance_mm2=covariance)
    expected = correct_to_hands(p_mm, Hands(bone_lengths(truth_mm), palm_of(truth_mm)), covariance)
    made = correct_poses(p_mm, bone_lengths(truth_mm), PROJECTION, known)
    np.testing.assert_array_equal(made.corrected_mm, expected)
    np.testing.assert_array_equal(made.label_mm, (p_mm + expected) / 2)
    np.testing.assert_array_equal(made.feasibility_mm, made.moved_mm)
    assert made.correction_kept is None
    np.testing.assert_allclose(bone_lengths(made.corrected_mm), bone_lengths(truth_mm), rtol=1e-9)


def test_limits_may_be_left_out():
    truth_mm = possible_hands_mm(40, 2)
    p_mm = truth_mm + np.random.default_rng(2).normal(0, 8, truth_mm.shape)
    known = Known(palm_mm=palm_of(truth_mm))
    inside = []
    for limits in (True, False):
        config = PROJECTION.model_copy(update={"limits": limits})
        made = correct_poses(p_mm, bone_lengths(truth_mm), config, known)
        inside.append(share_within_limits(made.corrected_mm).mean())
    assert inside[0] > 0.99 > inside[1]


def test_a_projection_without_a_palm_names_the_way_out():
    truth_mm = possible_hands_mm(2, 3)
    with pytest.raises(ValueError, match=r"'projection', but the subjects have no palm_mm: name a teacher"):
        correct_poses(truth_mm, bone_lengths(truth_mm), PROJECTION)


def test_a_paired_test_without_evidence_is_refused():
    truth_mm = possible_hands_mm(2, 3)
    with pytest.raises(ValueError, match="paired_test needs evidence"):
        correct_poses(truth_mm, bone_lengths(truth_mm), CorrectConfig(paired_test=True))


@given(hands(), lengths(), st.integers(0, 2**31))
def test_a_carried_label_is_the_midpoint_to_the_last_correction_and_is_corrected_again(joints_mm, lengths_mm, seed):
    before_mm = joints_mm + np.random.default_rng(seed).normal(0, 5, joints_mm.shape)
    before_mm[1] = np.nan  # a frame that had no label
    made = correct_poses(joints_mm, lengths_mm, CorrectConfig(label="corrected"), Known(carried_mm=before_mm))
    middle = (joints_mm[[0, 2]] + before_mm[[0, 2]]) / 2
    np.testing.assert_array_equal(made.label_mm[[0, 2]], middle)
    np.testing.assert_array_equal(made.corrected_mm[[0, 2]], register_to_lengths(middle, lengths_mm[[0, 2]]))
    feasibility = np.linalg.norm(made.corrected_mm[[0, 2]] - middle, axis=-1).mean(-1)
    np.testing.assert_allclose(made.feasibility_mm[[0, 2]], feasibility)
    alone = correct_poses(joints_mm[1:2], lengths_mm[1:2], CorrectConfig(label="corrected"))
    for name in ("corrected_mm", "label_mm", "moved_mm", "feasibility_mm"):
        np.testing.assert_array_equal(getattr(made, name)[1], getattr(alone, name)[0])


def test_a_correction_that_would_pull_the_label_behind_the_camera_is_not_carried():
    truth_mm = possible_hands_mm(2, 3)
    before_mm = truth_mm.copy()
    before_mm[1, 8, 2] = -2000
    made = correct_poses(truth_mm, bone_lengths(truth_mm), CorrectConfig(), Known(carried_mm=before_mm))
    assert made.is_carried.tolist() == [True, False]
    np.testing.assert_allclose(made.label_mm, truth_mm, atol=1e-6)


@pytest.mark.parametrize("method", ["registration", "projection"])
def test_the_paired_test_tells_a_right_template_from_a_wrong_one(method):
    truth_mm = possible_hands_mm(400, 4)
    p_mm, covariance, evidence = looked_at(truth_mm, 3.0, 4)
    config = CorrectConfig(method=method, paired_test=True, label="corrected")
    known = Known(palm_mm=palm_of(truth_mm), covariance_mm2=covariance, evidence=evidence)
    right_mm = bone_lengths(truth_mm)
    wrong_mm = right_mm * np.random.default_rng(5).uniform(0.75, 1.25, right_mm.shape)
    right, wrong = (correct_poses(p_mm, each, config, known) for each in (right_mm, wrong_mm))
    assert wrong.correction_kept.mean() < 0.15
    if method == "projection":  # registration does not denoise, so nothing tells it from the raw pose
        assert right.correction_kept.mean() > 0.85
    for made in (right, wrong):
        kept = made.correction_kept
        np.testing.assert_array_equal(made.label_mm[kept], made.corrected_mm[kept])
        np.testing.assert_array_equal(made.label_mm[~kept], p_mm[~kept])
        assert (np.abs(made.corrected_mm - p_mm).max((1, 2)) > 1e-3).all()  # stored either way


def test_labels_end_nearer_the_truth_with_the_test_than_without_where_the_template_is_wrong():
    truth_mm = possible_hands_mm(300, 6)
    p_mm, covariance, evidence = looked_at(truth_mm, 3.0, 6)
    lengths_mm = bone_lengths(truth_mm)
    half = np.arange(300) % 2 == 0
    lengths_mm[half] *= np.random.default_rng(7).uniform(0.75, 1.25, (150, 20))
    known = Known(palm_mm=palm_of(truth_mm), covariance_mm2=covariance, evidence=evidence)
    errors = [
        np.linalg.norm(
            correct_poses(
                p_mm, lengths_mm, PROJECTION.model_copy(update={"paired_test": each, "label": "corrected"}), known
            ).label_mm
            - truth_mm,
            axis=-1,
        ).mean()
        for each in (True, False)
    ]
    raw = np.linalg.norm(p_mm - truth_mm, axis=-1).mean()
    assert errors[0] < raw < errors[1]


def test_a_carried_row_that_fails_the_test_keeps_its_raw_pose():
    truth_mm = possible_hands_mm(6, 8)
    p_mm, covariance, evidence = looked_at(truth_mm, 2.0, 8)
    before_mm = truth_mm.copy()
    before_mm[3] += np.random.default_rng(9).normal(0, 40, (21, 3))
    known = Known(palm_of(truth_mm), None, covariance, before_mm, evidence)
    made = correct_poses(p_mm, bone_lengths(truth_mm), PROJECTION.model_copy(update={"paired_test": True}), known)
    assert not made.correction_kept[3]
    np.testing.assert_array_equal(made.label_mm[3], p_mm[3])
    kept = made.correction_kept
    assert kept.sum() >= 4
    np.testing.assert_array_equal(made.label_mm[kept], ((p_mm + before_mm) / 2)[kept])


def test_a_pose_that_is_its_own_correction_is_kept():
    truth_mm = possible_hands_mm(5, 10)
    _, covariance, evidence = looked_at(truth_mm, 2.0, 10)
    assert closer_to(evidence.halves.odd_mm, truth_mm, truth_mm).all()
    known = Known(palm_mm=palm_of(truth_mm), evidence=evidence._replace(halves=Halves(truth_mm, covariance, truth_mm)))
    config = CorrectConfig(paired_test=True)
    assert correct_poses(truth_mm, bone_lengths(truth_mm), config, known).correction_kept.all()


def test_the_silhouette_of_the_true_pose_overlaps_its_mask_best():
    truth_mm = possible_hands_mm(30, 11)
    cameras, masks = seen(truth_mm)
    evidence = Evidence(Halves(truth_mm, np.zeros((30, 21, 3, 3)), truth_mm), masks, cameras)
    overlaps = [
        silhouette_overlap(truth_mm + np.random.default_rng(1).normal(0, sigma, truth_mm.shape),
                           bone_lengths(truth_mm), evidence).mean()
        for sigma in (0.0, 5.0, 15.0)
    ]  # fmt: skip
    assert overlaps[0] > 0.8  # the silhouette has soft edges
    assert overlaps[0] > overlaps[1] + 0.02 > overlaps[2] + 0.05
    behind = truth_mm * np.array([1, 1, -1.0])
    assert np.isnan(silhouette_overlap(behind, bone_lengths(truth_mm), evidence)).all()
    assert not correct_poses(
        truth_mm, bone_lengths(truth_mm), CorrectConfig(paired_test=True),
        Known(evidence=evidence._replace(masks=np.full_like(masks, np.nan))),
    ).correction_kept.any()  # fmt: skip


def test_generic_radii_draw_the_generic_hand(source_frames):
    card = ModelCard(network=NetworkConfig(), crop_margin=1.2, template_mm=[1.0] * 20)
    crops = source_crops(source_frames, card)
    joints_mm = as_numpy(source_frames["joints_mm"]).astype(np.float64)
    evidence = Evidence(
        Halves(joints_mm, np.zeros((8, 21, 3, 3)), joints_mm),
        torch.nn.functional.avg_pool2d(crops.masks.double() / 255, 2)[:, 0].numpy(),
        read_crops(source_frames, 64, 1.2).cameras,
    )
    overlap = silhouette_overlap(joints_mm, bone_lengths(joints_mm), evidence)
    assert overlap.min() > 0.65
    assert overlap.mean() > 0.75
    thin = silhouette_overlap(joints_mm, 0.6 * bone_lengths(joints_mm), evidence)
    fat = silhouette_overlap(joints_mm, 1.6 * bone_lengths(joints_mm), evidence)
    assert (overlap > np.maximum(thin, fat)).all()
