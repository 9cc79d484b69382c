"""steps/training_set.py and methods/semihand/batches.py: crops and the poses that training is given."""

import io

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from frames_tables import with_column, with_garbage_truth
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sample_hands import random_hands_mm
from semihand.frames.crop import crop_hand
from semihand.frames.truth import without_truth
from semihand.hand.camera import intrinsics_matrix, project, relative_depth
from semihand.hand.crops import apply_affine
from semihand.methods.semihand.batches import pose_in_crop, unlabelled
from semihand.steps.cropping import read_crops
from semihand.steps.training_set import kept_corrections, source_2d_crops, source_crops, target_crops
from semihand.tables import as_numpy, fixed_list_column
from semihand.tables.rows import take_rows


def labels_of(frames: pa.Table, rows: list[int], weight: float = 0.5) -> pl.DataFrame:
    """Labels that happen to be the truth, of some rows; joint weights differ."""
    truth = as_numpy(frames["joints_mm"])[rows]
    weights = np.float32(weight + np.arange(len(rows) * 21).reshape(-1, 21) / 100)
    ids = [frames["frame_id"][row].as_py() for row in rows]
    columns = {"label_mm": fixed_list_column(truth), "joint_weight": fixed_list_column(weights)}
    return pl.DataFrame(pl.from_arrow(pa.table({"frame_id": pa.array(ids, pa.string()), **columns})))


@given(st.integers(0, 2**31))
def test_the_pose_in_a_crop_is_the_projection_carried_into_it_and_depth_in_bones(seed):
    joints_mm = random_hands_mm(3, seed)
    rng = np.random.default_rng(seed)
    K = intrinsics_matrix(*rng.uniform(300, 600, (2, 3)), *rng.uniform(100, 200, (2, 3)))
    affine = np.array([[[0.3, 0.0, 5.0], [0.0, 0.3, -4.0]], [[-0.5, 0, 60], [0, 0.5, 1]], [[1, 0, 0], [0, 1, 0]]])
    uv, depth = pose_in_crop(joints_mm, K, np.zeros((3, 8)), affine)
    np.testing.assert_allclose(uv, apply_affine(affine, project(joints_mm, K)))
    np.testing.assert_allclose(depth, relative_depth(joints_mm), atol=1e-12)
    assert (depth[:, 9] == 0).all()


def test_source_joints_are_where_the_frames_own_2d_truth_says(source_frames, card):
    crops = source_crops(source_frames, card)
    affine = read_crops(source_frames, 64, card.crop_margin).cameras.affine
    expected = apply_affine(affine, as_numpy(source_frames["joints_uv_px"]).astype(np.float64))
    np.testing.assert_allclose(crops.uv.numpy(), expected, atol=0.02)
    assert crops.num_rows == source_frames.num_rows
    assert (crops.joint_weight == 1).all()


def test_source_joints_lie_on_the_mask_that_was_cut_out_with_the_picture(source_frames, card):
    crops = source_crops(source_frames, card)
    assert (crops.has_mask == 1).all()
    near = torch.nn.functional.max_pool2d(crops.masks.float(), 5, stride=1, padding=2)[:, 0] > 127
    u, v = crops.uv.round().long().clamp(0, 63).unbind(-1)
    on_hand = near[torch.arange(crops.num_rows).unsqueeze(1), v, u]
    assert on_hand.float().mean() > 0.95
    assert near.float().mean() < 0.8


def test_truth_in_the_picture_lies_where_truth_in_space_does_and_knows_no_depth(source_frames, card):
    flat = with_column(source_frames, "joints_mm", [None] * source_frames.num_rows)
    ours, theirs = source_2d_crops(flat, card), source_crops(source_frames, card)
    assert torch.equal(ours.pictures, theirs.pictures)
    assert torch.equal(ours.masks, theirs.masks)
    torch.testing.assert_close(ours.uv, theirs.uv, atol=0.02, rtol=0)
    assert ours.depth.isnan().all()
    assert (ours.joint_weight == 1).all()


def test_a_joint_that_the_truth_in_the_picture_does_not_know_weighs_nothing(source_frames, card):
    num, uv_px = source_frames.num_rows, as_numpy(source_frames["joints_uv_px"]).copy()
    uv_px[0, 3] = np.nan
    valid = np.ones((num, 21), bool)
    valid[0, 3] = valid[1, 7] = False
    frames = with_column(source_frames, "joints_uv_px", uv_px.tolist())
    crops = source_2d_crops(with_column(frames, "joints_valid", valid.tolist()), card)
    np.testing.assert_array_equal(crops.joint_weight.numpy(), valid)
    assert torch.isfinite(crops.uv).all()


def test_a_frame_without_mask_says_so(source_frames, card):
    masks = source_frames["mask_png"].to_pylist()
    crops = source_crops(with_column(source_frames, "mask_png", [None, *masks[1:]]), card)
    assert crops.has_mask.tolist() == [0.0] + [1.0] * (len(masks) - 1)
    assert crops.masks[0].sum() == 0


def test_left_hands_are_trained_on_as_right_ones(source_frames, card):
    left = with_column(source_frames, "hand", ["left"] * source_frames.num_rows)
    ours, theirs = source_crops(left, card), source_crops(source_frames, card)
    assert torch.equal(ours.pictures, theirs.pictures.flip(3))
    assert torch.equal(ours.masks, theirs.masks.flip(3))
    torch.testing.assert_close(ours.uv[..., 0], 63 - theirs.uv[..., 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.uv[..., 1], theirs.uv[..., 1])


def test_masks_are_cut_as_their_pictures_are(source_frames, card):
    crops = source_crops(source_frames, card)
    mask = np.asarray(Image.open(io.BytesIO(source_frames["mask_png"][3].as_py())).convert("RGB"))
    box = np.array(source_frames["bbox_px"][3].as_py(), np.float64)
    np.testing.assert_array_equal(crops.masks[3, 0].numpy(), crop_hand(mask, box, 64, False, 1.2)[0][..., 0])


def test_a_source_frame_that_cannot_be_read_is_left_out_with_its_truth(source_frames, card):
    images = source_frames["image"].to_pylist()
    broken = source_crops(with_column(source_frames, "image", [images[0], b"no picture", *images[2:]]), card)
    kept = [0, *range(2, source_frames.num_rows)]
    for ours, theirs in zip(broken, source_crops(source_frames, card), strict=True):
        assert torch.equal(ours, theirs[kept])


def test_a_joint_that_the_truth_does_not_know_weighs_nothing(source_frames, card):
    truth = as_numpy(source_frames["joints_mm"]).copy()
    truth[2, 8] = np.nan  # a joint
    truth[4, 9] = np.nan  # the root, without which no depth is known
    rows = truth.tolist()
    rows[6] = None
    crops = source_crops(with_column(source_frames, "joints_mm", rows), card)
    assert all(torch.isfinite(column.float()).all() for column in crops)
    expected = torch.ones(8, 21)
    expected[2, 8], expected[4], expected[6] = 0, 0, 0
    assert torch.equal(crops.joint_weight, expected)


def test_target_frames_carry_their_labels_and_the_rest_weighs_nothing(target_frames, card):
    labels = labels_of(target_frames, [1, 4, 7])
    crops = target_crops(without_truth(target_frames), labels, card)
    assert crops.num_rows == target_frames.num_rows
    rest = [0, 2, 3, 5, 6, 8, 9]
    assert crops.joint_weight[rest].abs().sum() + crops.uv[rest].abs().sum() == 0
    np.testing.assert_allclose(crops.joint_weight[[1, 4, 7]].numpy(), np.stack(labels["joint_weight"].to_list()))
    # these labels are the truth, so the truth's own column says where they belong
    affine = read_crops(target_frames, 64, card.crop_margin).cameras.affine
    expected = apply_affine(affine, as_numpy(target_frames["joints_uv_px"]).astype(np.float64))
    np.testing.assert_allclose(crops.uv[[1, 4, 7]].numpy(), expected[[1, 4, 7]], atol=0.02)
    assert crops.masks.sum() + crops.has_mask.sum() == 0


def test_corrected_poses_come_beside_the_labels_and_count_where_there_is_one(target_frames, card):
    labels = labels_of(target_frames, [1, 4])
    every = labels_of(target_frames, [0, 1, 4, 7]).rename({"label_mm": "corrected_mm"}).drop("joint_weight")
    crops = target_crops(without_truth(target_frames), labels, card, every)
    without = target_crops(without_truth(target_frames), labels, card)
    assert crops.registered_weight.sum(1).tolist() == [21, 21, 0, 0, 21, 0, 0, 21, 0, 0]
    assert torch.equal(crops.registered_uv[[1, 4]], crops.uv[[1, 4]])
    assert torch.equal(crops.registered_depth[[1, 4]], crops.depth[[1, 4]])
    affine = read_crops(target_frames, 64, card.crop_margin).cameras.affine
    expected = apply_affine(affine, as_numpy(target_frames["joints_uv_px"]).astype(np.float64))
    np.testing.assert_allclose(crops.registered_uv[[0, 7]].numpy(), expected[[0, 7]], atol=0.02)
    for ours, theirs in zip(crops[:6], without[:6], strict=True):
        assert torch.equal(ours, theirs)
    assert without.registered_weight.sum() == 0


def test_a_labels_joint_behind_the_camera_weighs_nothing_and_the_others_what_they_did(target_frames, card):
    labels = labels_of(target_frames, [1, 4])
    wild_mm = as_numpy(labels["label_mm"].to_arrow()).copy()
    wild_mm[0, 8] = [3.0, -5.0, -40.0]  # a tip
    wild_mm[1] *= -1  # the whole hand
    wild = labels.with_columns(label_mm=pl.Series(wild_mm, dtype=labels.schema["label_mm"]))
    registered = wild.rename({"label_mm": "corrected_mm"}).drop("joint_weight")
    plain, crops = (target_crops(target_frames, each, card, registered) for each in (labels, wild))
    assert all(torch.isfinite(column.float()).all() for column in crops)
    tip = torch.arange(21) == 8
    assert torch.equal(crops.joint_weight[1], torch.where(tip, 0, plain.joint_weight[1]))
    assert torch.equal(crops.uv[1][~tip], plain.uv[1][~tip])
    assert crops.joint_weight[4].sum() == 0
    assert crops.registered_weight.sum(1).tolist() == [0, 20, *[0] * 8]


def test_labels_find_their_frames_whatever_their_order_and_strangers_are_nobodys(target_frames, card):
    labels = labels_of(target_frames, [1, 4, 7])
    stranger = labels_of(target_frames, [5]).with_columns(frame_id=pl.lit("f" * 32))
    once = target_crops(target_frames, labels, card)
    again = target_crops(target_frames, pl.concat([stranger, labels[[2, 0, 1]]]), card)
    for ours, theirs in zip(once, again, strict=True):
        assert torch.equal(ours, theirs)


def test_corrections_that_a_test_rejected_are_not_registered():
    labels = pl.LazyFrame(
        {"frame_id": ["b", "a", "c"], "corrected_mm": [[2.0], [1.0], [3.0]], "correction_kept": [None, True, False]}
    )
    assert kept_corrections(labels).rows() == [("a", [1.0]), ("b", [2.0])]


def test_target_crops_never_see_the_truth(target_frames, card):
    labels = labels_of(target_frames, [0, 3])
    garbage = with_garbage_truth(target_frames)
    assert not garbage.equals(target_frames)
    for ours, theirs in zip(
        target_crops(without_truth(garbage), labels, card),
        target_crops(without_truth(target_frames), labels, card),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    # and where somebody forgot to drop it, it is not looked at
    assert torch.equal(target_crops(garbage, labels, card).pictures, target_crops(target_frames, labels, card).pictures)
    assert torch.equal(target_crops(garbage, labels, card).uv, target_crops(target_frames, labels, card).uv)


def test_without_any_label_every_crop_is_unlabelled(target_frames, card):
    frames = take_rows(target_frames, [2, 5])
    crops = target_crops(frames, labels_of(target_frames, []), card)
    for ours, theirs in zip(crops, unlabelled(crops.pictures), strict=True):
        assert torch.equal(ours, theirs)
