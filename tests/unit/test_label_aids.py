"""steps/label.py with a palm, a second teacher and the labels of the round before."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from frames_tables import with_column

from sample_hands import right_hand_mm
from semihand.hand.projection import palm_of
from semihand.methods.semihand.batches import pose_in_crop
from semihand.methods.semihand.labeller import ViewConfig
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.weights import save_model
from semihand.steps.calibrate import Calibration
from semihand.steps.components import components_of
from semihand.steps.correct import CorrectConfig
from semihand.steps.cropping import read_crops
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import split_labelled
from semihand.steps.previous import COLUMNS, PreviousLabels
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import LABELS, as_numpy, deterministic_columns, fixed_list_column
from semihand.tables.rows import take_rows
from semihand.tables.validation import checked_rows

VIEWS = ViewConfig(num_views=4)
PLAIN = LabelConfig(views=VIEWS, frames_per_pass=4)
CALIBRATION = Calibration(stability=[0.0, 50.0, 2000.0], expected_mm=[2.0, 10.0, 300.0])
EVERYTHING = LabelConfig(
    views=VIEWS, frames_per_pass=4, combine="mean", carry=True,
    correct=CorrectConfig(method="projection", paired_test=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def lengths(card):
    template = np.array(card.template_mm)
    palm = palm_of(right_hand_mm())
    return Lengths({UNNAMED: template, "target-003": template * 1.1}, {UNNAMED: palm, "target-003": palm * 1.1})


@pytest.fixture(scope="module")
def other_teacher(tiny_network, card, tmp_path_factory):
    torch.manual_seed(6)
    network = HandNetwork(tiny_network.config)
    with torch.no_grad():
        network.head.weight[:21].mul_(20.0)
    return save_model(network.eval(), card, tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def first_round(teacher, lengths, target_frames):
    return labelled(FrameLabeller(PLAIN, teacher, lengths, None, 1), target_frames)


def labelled(labeller, frames):
    labels, quarantine = split_labelled(labeller(frames))
    assert quarantine.num_rows == 0
    return checked_rows(labels, LABELS)


def numbers(labels, name):
    return as_numpy(labels[name]).astype(np.float64)


def test_the_same_model_twice_does_not_diverge_and_labels_as_it_does_alone(
    teacher, lengths, target_frames, first_round
):
    for combine in ("first", "mean"):
        config = PLAIN.model_copy(update={"combine": combine})
        twice = labelled(FrameLabeller(config, teacher, lengths, None, 1, second_teacher=teacher), target_frames)
        np.testing.assert_array_equal(numbers(twice, "teacher_divergence_mm"), 0)
        for name in ("joints_mm", "label_mm", "stability", "joint_covariance"):
            np.testing.assert_allclose(numbers(twice, name), numbers(first_round, name), rtol=1e-4, atol=1e-3)
    assert first_round["teacher_divergence_mm"].null_count == target_frames.num_rows


def test_two_models_diverge_by_the_distance_of_their_poses_whichever_is_first(
    teacher, other_teacher, lengths, target_frames, first_round
):
    alone = labelled(FrameLabeller(PLAIN, other_teacher, lengths, None, 1), target_frames)
    ours, theirs = (numbers(each, "joints_mm") for each in (first_round, alone))
    away = (ours - ours[:, 9:10]) - (theirs - theirs[:, 9:10])
    pairs = [(teacher, other_teacher), (other_teacher, teacher)]
    both = [labelled(FrameLabeller(PLAIN, a, lengths, None, 1, second_teacher=b), target_frames) for a, b in pairs]
    for labels, of_first in zip(both, (ours, theirs), strict=True):
        divergence = numbers(labels, "teacher_divergence_mm")
        np.testing.assert_allclose(divergence, np.linalg.norm(away, axis=-1).mean(-1), rtol=1e-3)
        np.testing.assert_array_equal(numbers(labels, "joints_mm"), of_first)
    assert divergence.min() > 1


def test_the_mean_of_two_teachers_lies_between_them_in_the_picture(
    teacher, other_teacher, lengths, target_frames, first_round
):
    config = PLAIN.model_copy(update={"combine": "mean"})
    mean = labelled(FrameLabeller(config, teacher, lengths, None, 1, second_teacher=other_teacher), target_frames)
    alone = labelled(FrameLabeller(PLAIN, other_teacher, lengths, None, 1), target_frames)
    between = (numbers(first_round, "joints_uv_px") + numbers(alone, "joints_uv_px")) / 2
    np.testing.assert_allclose(numbers(mean, "joints_uv_px"), between, atol=1e-3)
    assert (numbers(mean, "stability") > numbers(first_round, "stability")).mean() > 0.5


def test_a_mean_of_one_teacher_and_a_teacher_of_other_crops_are_refused(teacher, card, lengths, tmp_path):
    with pytest.raises(ValueError, match=r"label.combine is 'mean', but there is one teacher: .* --second_teacher"):
        FrameLabeller(PLAIN.model_copy(update={"combine": "mean"}), teacher, lengths, None, 1)
    network = HandNetwork(NetworkConfig(width=8, depth=1, decoder_channels=16))
    wider = save_model(network, card.model_copy(update={"crop_margin": 1.5}), tmp_path)
    with pytest.raises(ValueError, match=r"margin 1\.5, the first of 64 px and margin 1\.2"):
        FrameLabeller(PLAIN, teacher, lengths, None, 1, second_teacher=wider)


def test_what_moved_since_the_last_round_is_known_where_there_was_a_label(
    teacher, other_teacher, lengths, target_frames, first_round
):
    before = first_round.slice(0, 6)
    labels = labelled(
        FrameLabeller(PLAIN, other_teacher, lengths, None, 2, previous=PreviousLabels(before)), target_frames
    )
    ours, theirs = numbers(labels, "joints_mm")[:6], numbers(before, "joints_mm")
    away = (ours - ours[:, 9:10]) - (theirs - theirs[:, 9:10])
    moved = as_numpy(labels["moved_since_last_round_mm"], np.nan)
    np.testing.assert_allclose(moved[:6], np.linalg.norm(away, axis=-1).mean(-1), rtol=1e-4)
    assert np.isnan(moved[6:]).all()
    assert labels["moved_since_last_round_mm"].null_count == 4
    # not carried: everything else is as if there had been no round before
    alone = labelled(FrameLabeller(PLAIN, other_teacher, lengths, None, 2), target_frames)
    for name in set(deterministic_columns(LABELS)) - {"moved_since_last_round_mm"}:
        assert labels[name].equals(alone[name]), name


def test_a_carried_label_is_the_midpoint_of_this_rounds_pose_and_the_last_correction(
    teacher, other_teacher, lengths, target_frames, first_round
):
    order = np.random.default_rng(1).permutation(7)
    previous = PreviousLabels(take_rows(first_round, order))
    config = PLAIN.model_copy(update={"carry": True})
    labels = labelled(FrameLabeller(config, other_teacher, lengths, None, 2, previous=previous), target_frames)
    middle = (numbers(labels, "joints_mm")[:7] + numbers(first_round, "corrected_mm")[:7]) / 2
    np.testing.assert_allclose(numbers(labels, "label_mm")[:7], middle, atol=1e-3)
    fresh = labelled(FrameLabeller(PLAIN, other_teacher, lengths, None, 2), target_frames)
    np.testing.assert_array_equal(numbers(labels, "label_mm")[7:], numbers(fresh, "label_mm")[7:])
    np.testing.assert_array_equal(numbers(labels, "joints_mm"), numbers(fresh, "joints_mm"))


def test_a_carried_label_is_as_unstable_as_the_views_are_about_it_not_about_their_consensus(
    teacher, lengths, target_frames, first_round
):
    off_mm = numbers(first_round, "corrected_mm")
    off_mm[:5] += np.random.default_rng(3).normal(0, 30, (5, 21, 3))  # mislabelled in the round before
    previous = PreviousLabels(with_column(first_round, "corrected_mm", fixed_list_column(off_mm.astype(np.float32))))
    carry = PLAIN.model_copy(update={"carry": True})
    carried = labelled(FrameLabeller(carry, teacher, lengths, CALIBRATION, 2, previous=previous), target_frames)
    plain, stability = (numbers(each, "stability") for each in (first_round, carried))
    cameras = read_crops(target_frames, 64, 1.2).cameras
    away = [pose_in_crop(numbers(carried, name), *cameras) for name in ("label_mm", "joints_mm")]
    uv, depth = (a - b for a, b in zip(*away, strict=True))
    squares = (np.square(uv).sum(-1) + VIEWS.depth_weight * np.square(depth)).mean(-1)
    # a triangle: the root of the mean square about the label is within its distance from the consensus
    np.testing.assert_array_less(np.abs(np.sqrt(stability) - np.sqrt(plain)), np.sqrt(squares) + 1e-3)
    assert (stability[:5] > plain[:5] + 0.2 * squares[:5]).all()
    expected = CALIBRATION.error_mm(stability)
    np.testing.assert_allclose(numbers(carried, "predicted_error_mm"), expected, rtol=1e-4)


def test_a_second_teacher_without_a_pose_costs_the_first_ones_labels_nothing(
    teacher, tiny_network, card, lengths, target_frames, first_round, tmp_path
):
    flat = HandNetwork(tiny_network.config)
    with torch.no_grad():
        flat.head.weight.zero_()
        flat.head.bias.zero_()
    second = save_model(flat, card, tmp_path)
    labels = labelled(FrameLabeller(PLAIN, teacher, lengths, None, 1, second_teacher=second), target_frames)
    assert labels["teacher_divergence_mm"].null_count == target_frames.num_rows
    assert labels["label_mm"].equals(first_round["label_mm"])


def test_with_everything_on_a_label_is_still_the_same_to_the_byte_whichever_frames_come_with_it(
    teacher, other_teacher, lengths, target_frames, first_round
):
    previous = PreviousLabels(first_round.slice(0, 8))
    labeller = FrameLabeller(EVERYTHING, teacher, lengths, None, 2, second_teacher=other_teacher, previous=previous)
    names = ["frame_id", *deterministic_columns(LABELS)]
    whole = {row["frame_id"]: row for row in labelled(labeller, target_frames).select(names).to_pylist()}
    assert {row["correction_kept"] for row in whole.values()} <= {True, False}
    shuffled = take_rows(target_frames, np.random.default_rng(2).permutation(10))
    parts = [labelled(labeller, shuffled.slice(start, num)) for start, num in ((0, 1), (1, 6), (7, 3))]
    assert {row["frame_id"]: row for row in pa.concat_tables(parts).select(names).to_pylist()} == whole


def test_a_correction_that_was_rejected_is_not_carried_but_its_raw_pose_is_known(first_round):
    kept = [row != 2 for row in range(first_round.num_rows)]
    ids = first_round["frame_id"].to_pylist()
    found = PreviousLabels(with_column(first_round, "correction_kept", kept)).rows([ids[5], ids[2], "f" * 32, ids[0]])
    assert np.isnan(found.corrected_mm).all((1, 2)).tolist() == [False, True, True, False]
    np.testing.assert_allclose(found.corrected_mm[[0, 3]], numbers(first_round, "corrected_mm")[[5, 0]])
    np.testing.assert_allclose(found.joints_mm[[0, 1, 3]], numbers(first_round, "joints_mm")[[5, 2, 0]])


def test_what_a_row_lacks_is_no_component_of_its_confidence():
    moved = np.ma.masked_array([3.0, 7.0], mask=[False, True])
    np.testing.assert_array_equal(components_of({"moved_since_last_round_mm": moved})["moved_since_last_round_mm"],
                                  [3.0, np.nan])  # fmt: skip


def test_frames_that_had_no_label_before_are_not_found():
    empty = PreviousLabels(LABELS.empty_table().select(COLUMNS))
    assert np.isnan(empty.rows(["a" * 32]).joints_mm).all()
