"""steps/label.py and label_rows.py: a label is a function of its frame alone, and right where the views are."""

import io
from copy import copy

import numpy as np
import pyarrow as pa
import pytest
import torch
from frames_tables import png, with_column, with_garbage_truth
from PIL import Image

from semihand.frames.limits import Limits
from semihand.frames.truth import without_truth
from semihand.hand.bones import bone_lengths
from semihand.hand.camera import project
from semihand.hand.palm import square_distances
from semihand.methods.semihand.batches import pose_in_crop
from semihand.methods.semihand.labeller import ViewConfig, Views
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.weights import save_model
from semihand.steps import label
from semihand.steps.calibrate import Calibration
from semihand.steps.cropping import read_crops
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import LABELLED, split_labelled
from semihand.steps.rules import Thresholds
from semihand.steps.selection import SelectConfig, select_labels
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import LABELS, QUARANTINE, SELECTIONS, as_numpy, content_sha256, deterministic_columns
from semihand.tables.rows import take_rows
from semihand.tables.validation import checked_rows

CONFIG = LabelConfig(views=ViewConfig(num_views=3), frames_per_pass=4)
CALIBRATION = Calibration(stability=[0.0, 50.0, 200.0], expected_mm=[2.0, 10.0, 30.0])


@pytest.fixture(scope="module")
def labeller(teacher, card):
    lengths = Lengths({UNNAMED: np.array(card.template_mm), "target-003": np.array(card.template_mm) * 1.1})
    return FrameLabeller(CONFIG, teacher, lengths, CALIBRATION, 2)


@pytest.fixture(scope="module")
def labelled(labeller, target_frames):
    return labeller(target_frames)


def by_frame(table: pa.Table) -> dict[str, dict[str, object]]:
    """The deterministic columns of every label."""
    labels, _ = split_labelled(table)
    rows = labels.select(list(deterministic_columns(LABELS))).to_pylist()
    return {row["frame_id"]: row for row in rows}


def perfect(frames: pa.Table, margin: float, num_views: int = 3):
    """A stand-in for `look` that knows the truth: every view says it, first to last frame of a pass."""
    read = read_crops(frames, 64, margin)
    uv, depth = pose_in_crop(as_numpy(frames["joints_mm"]).astype(np.float64), *read.cameras)
    done = iter(range(0, len(uv), CONFIG.frames_per_pass))

    def look(network, crops, warps, depth_weight):
        start = next(done)
        rows = np.arange(start, start + CONFIG.frames_per_pass) % len(uv)
        ours, deep = torch.from_numpy(uv[rows]), torch.from_numpy(depth[rows])
        zeros = torch.zeros(len(rows))
        masks = torch.zeros(len(rows), 32, 32)
        return Views(
            ours, deep, masks, ours.expand(num_views, -1, -1, -1), deep.expand(num_views, -1, -1), zeros, zeros
        )

    return look


def test_frames_beyond_the_limits_are_quarantined_and_the_rest_is_labelled_as_before(labeller, labelled, target_frames):
    large = png(np.zeros((80, 80, 3), np.uint8))
    images = [large, *target_frames["image"].to_pylist()[1:]]
    frames = with_column(target_frames, "image", images)
    hashes = [content_sha256(image) for image in images]
    frames = with_column(frames, "content_sha256", hashes)
    tight = copy(labeller)
    tight.limits = Limits(max_side_px=64)
    labels, quarantine = split_labelled(tight(frames))
    assert quarantine.select(["frame_id", "reason"]).to_pylist() == [
        {"frame_id": target_frames["frame_id"][0].as_py(), "reason": "too_large"}
    ]
    expected = by_frame(labelled)
    assert by_frame(tight(frames)) == {name: expected[name] for name in labels["frame_id"].to_pylist()}


def test_labels_keep_the_contract_of_their_table(labelled, target_frames):
    assert labelled.schema.equals(LABELLED)
    labels, quarantine = split_labelled(labelled)
    checked = checked_rows(labels, LABELS)
    assert checked["frame_id"].to_pylist() == target_frames["frame_id"].to_pylist()  # row for row
    assert set(checked["round"].to_pylist()) == {2}
    assert quarantine.num_rows == 0
    overlap = as_numpy(checked["silhouette_overlap"])
    assert ((overlap > 0) & (overlap <= 1)).all()
    assert len({str(row) for row in checked["joints_mm"].to_pylist()}) == target_frames.num_rows


@pytest.mark.parametrize("sizes", [(10,), (1, 9), (3, 4, 3)])
def test_a_label_is_the_same_to_the_byte_whichever_frames_come_with_it(labeller, labelled, target_frames, sizes):
    order = np.random.default_rng(sum(sizes[:2])).permutation(target_frames.num_rows)
    shuffled = take_rows(target_frames, order)
    starts = np.cumsum([0, *sizes[:-1]])
    parts = [labeller(shuffled.slice(start, size)) for start, size in zip(starts, sizes, strict=True)]
    assert by_frame(pa.concat_tables(parts)) == by_frame(labelled)


def test_an_unreadable_neighbour_changes_no_label_and_leaves_its_reason(labeller, labelled, target_frames):
    images = target_frames["image"].to_pylist()
    broken = with_column(target_frames, "image", [*images[:2], b"", *images[3:]])
    labels, quarantine = split_labelled(labeller(broken))
    lost = target_frames["frame_id"][2].as_py()
    expected = by_frame(labelled)
    assert by_frame(labeller(broken)) == {name: row for name, row in expected.items() if name != lost}
    (row,) = checked_rows(quarantine, QUARANTINE).to_pylist()
    assert (row["frame_id"], row["reason"], row["stage"], row["round"]) == (lost, "changed", "label", 2)
    assert labels.num_rows == target_frames.num_rows - 1


def test_truth_full_of_garbage_changes_neither_label_nor_selection(labeller, labelled, target_frames):
    garbage = with_garbage_truth(target_frames)
    assert by_frame(labeller(garbage)) == by_frame(labelled)
    assert without_truth(garbage).equals(without_truth(target_frames))
    assert by_frame(labeller(without_truth(garbage))) == by_frame(labelled)
    choose = [select_labels(split_labelled(each)[0], Thresholds(max_stability=60.0, max_feasibility_mm=90.0,
              min_mask_agreement=0.0), SelectConfig()) for each in (labeller(garbage), labelled)]  # fmt: skip
    assert choose[0].equals(choose[1])
    checked_rows(choose[0], SELECTIONS)


def test_the_expected_error_is_the_calibrations_and_null_without_one(labeller, labelled, target_frames, teacher):
    labels, _ = split_labelled(labelled)
    expected = CALIBRATION.error_mm(as_numpy(labels["stability"]).astype(np.float64))
    np.testing.assert_allclose(as_numpy(labels["predicted_error_mm"]), expected, rtol=1e-5)
    without = FrameLabeller(CONFIG, teacher, labeller.lengths, None, 2)(target_frames.slice(0, 2))
    assert without["predicted_error_mm"].null_count == 2


def test_corrected_poses_have_their_subjects_bones_and_raw_ones_their_size(labelled, card):
    labels, _ = split_labelled(labelled)
    template = np.array(card.template_mm)
    wanted = np.array([template * (1.1 if name == "target-003" else 1.0) for name in labels["subject_id"].to_pylist()])
    assert len({each[0] for each in wanted}) == 2
    corrected, raw = (as_numpy(labels[name]).astype(np.float64) for name in ("corrected_mm", "joints_mm"))
    np.testing.assert_allclose(bone_lengths(corrected), wanted, rtol=1e-3)
    np.testing.assert_allclose(as_numpy(labels["bone_mm"]), bone_lengths(raw), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(as_numpy(labels["bone_residual_mm"]), bone_lengths(raw) - wanted, atol=0.05)
    # least squares over all bones: the residual has no part along the raw lengths
    bones = bone_lengths(raw)
    np.testing.assert_allclose((bones * (bones - wanted)).sum(-1) / np.square(bones).sum(-1), 0, atol=1e-4)


@pytest.mark.parametrize("hand", ["right", "left"])
def test_perfect_views_give_the_true_hand_back(source_frames, teacher, card, monkeypatch, hand):
    frames = with_column(source_frames, "hand", [hand] * source_frames.num_rows)
    frames = with_column(frames, "subject_id", [f"subject-{row}" for row in range(frames.num_rows)])
    true_mm = as_numpy(frames["joints_mm"]).astype(np.float64)
    lengths = Lengths({f"subject-{row}": bone_lengths(pose) for row, pose in enumerate(true_mm)}
                      | {UNNAMED: np.array(card.template_mm)})  # fmt: skip
    monkeypatch.setattr(label, "look", perfect(frames, card.crop_margin))
    labels, _ = split_labelled(FrameLabeller(CONFIG, teacher, lengths, None, 1)(frames))
    for name in ("joints_mm", "corrected_mm", "label_mm"):
        np.testing.assert_allclose(as_numpy(labels[name]), true_mm, atol=0.05)
    np.testing.assert_allclose(as_numpy(labels["joints_uv_px"]), as_numpy(frames["joints_uv_px"]), atol=0.01)
    np.testing.assert_allclose(as_numpy(labels["root_mm"]), true_mm[:, 9], atol=0.05)
    np.testing.assert_allclose(as_numpy(labels["feasibility_mm"]), 0, atol=0.01)
    np.testing.assert_allclose(as_numpy(labels["joint_covariance"]), 0, atol=1e-4)
    np.testing.assert_allclose(as_numpy(labels["joint_confidence"]), 1)


def test_spread_and_covariance_are_those_of_the_views(source_frames, teacher, card, monkeypatch):
    frames = source_frames.slice(0, 4)
    exact = perfect(frames, card.crop_margin)

    def two_views_apart(network, crops, warps, depth_weight):
        views = exact(network, crops, warps, depth_weight)
        apart = torch.zeros(2, len(crops), 21, 2, dtype=torch.float64)
        apart[0, :, 6, 0], apart[1, :, 6, 0] = 1.0, -1.0  # joint 6 is seen 1 px to the right and to the left
        return views._replace(views_uv=views.uv + apart, views_depth=views.depth.expand(2, -1, -1))

    monkeypatch.setattr(label, "look", two_views_apart)
    lengths = Lengths({UNNAMED: np.array(card.template_mm)})
    labels, _ = split_labelled(FrameLabeller(CONFIG, teacher, lengths, None, 1)(frames))
    confidence = as_numpy(labels["joint_confidence"])
    np.testing.assert_allclose(confidence[:, 6], 0.5, rtol=1e-5)  # a spread of 1 px of 64 halves it
    assert (np.delete(confidence, 6, axis=1) == 1).all()
    per_crop_px = np.array(frames["bbox_px"].to_pylist())[:, 2:].max(1) * 1.2 / 64
    np.testing.assert_allclose(as_numpy(labels["joint_spread_px"])[:, 6], per_crop_px, rtol=1e-4)
    covariance = as_numpy(labels["joint_covariance"]).reshape(-1, 21, 3, 3)
    np.testing.assert_allclose(covariance, covariance.swapaxes(-1, -2), atol=1e-6)
    # sideways at depth z, a pixel of the picture is z / fx mm
    depth_mm = as_numpy(labels["joints_mm"])[:, 6, 2]
    sideways = per_crop_px * depth_mm / np.array(frames["fx"].to_pylist())
    np.testing.assert_allclose(covariance[:, 6, 0, 0], sideways**2, rtol=1e-3)
    assert np.abs(np.delete(covariance, 6, axis=1)).max() < 1e-6


def test_views_that_shift_the_whole_hand_do_not_shorten_its_bones_or_palm(source_frames, teacher, card, monkeypatch):
    frames = source_frames.slice(0, 4)
    exact = perfect(frames, card.crop_margin, num_views=8)
    shifts = torch.from_numpy(np.random.default_rng(3).normal(0, 2.0, (8, 4, 1, 2)))

    def shifted(network, crops, warps, depth_weight):
        views = exact(network, crops, warps, depth_weight)
        return views._replace(views_uv=views.views_uv + shifts)

    monkeypatch.setattr(label, "look", shifted)
    true_mm = as_numpy(frames["joints_mm"]).astype(np.float64)
    lengths = Lengths(dict.fromkeys([UNNAMED, *frames["subject_id"].to_pylist()], bone_lengths(true_mm[0])))
    labels, _ = split_labelled(FrameLabeller(CONFIG, teacher, lengths, None, 1)(frames))
    scatter = as_numpy(labels["joint_covariance"]).reshape(-1, 21, 3, 3).trace(axis1=-2, axis2=-1)
    assert scatter.min() > 20  # mm²: subtracted from a bone's square, it would take several of its millimetres
    raw_mm = as_numpy(labels["joints_mm"]).astype(np.float64)
    np.testing.assert_allclose(np.sqrt(as_numpy(labels["bone_square_mm2"])), bone_lengths(raw_mm), atol=0.1)
    np.testing.assert_allclose(
        np.sqrt(as_numpy(labels["palm_square_mm2"])), np.sqrt(square_distances(raw_mm)), atol=0.3
    )


def test_a_network_that_sees_one_point_quarantines_every_frame(target_frames, tiny_network, card, tmp_path):
    flat = HandNetwork(tiny_network.config)
    with torch.no_grad():
        flat.head.weight.zero_()
        flat.head.bias.zero_()
    lengths = Lengths({UNNAMED: np.array(card.template_mm)})
    folder = save_model(flat, card, tmp_path)
    labels, quarantine = split_labelled(FrameLabeller(CONFIG, folder, lengths, None, 1)(target_frames.slice(0, 5)))
    assert labels.num_rows == 0
    assert set(quarantine["reason"].to_pylist()) == {"not_finite"}
    assert sorted(quarantine["frame_id"].to_pylist()) == sorted(target_frames["frame_id"].to_pylist()[:5])


def test_no_frames_give_no_labels(labeller, target_frames):
    assert labeller(target_frames.slice(0, 0)).num_rows == 0


def test_the_mask_is_a_picture_of_zero_and_255(labelled):
    mask = np.asarray(Image.open(io.BytesIO(labelled["mask_png"][0].as_py())))
    assert mask.shape == (32, 32)
    assert set(np.unique(mask)) <= {0, 255}


def test_the_label_in_space_is_the_label_in_the_picture(labelled, target_frames, card):
    labels, _ = split_labelled(labelled)
    cameras = read_crops(target_frames, 64, card.crop_margin).cameras
    joints_mm = as_numpy(labels["joints_mm"]).astype(np.float64)
    seen_px = project(joints_mm, cameras.intrinsics, cameras.distortion)
    np.testing.assert_allclose(as_numpy(labels["joints_uv_px"]), seen_px, atol=0.01)
