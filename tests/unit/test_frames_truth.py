"""frames/truth.py: who may see the truth."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_pictures import encode, picture

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.truth import (
    OPENED,
    known_poses,
    open_truth,
    poses_with,
    without_pictures_of_truth,
    without_truth,
)
from semihand.tables import FRAMES, TRUTH_COLUMNS, content_sha256, frame_id, rows_of
from semihand.tables.store import Store

SUPERVISIONS = ("none", "2d", "3d", "mano")


def truth_frames(num: int = 4, seed: int = 0) -> pa.Table:
    """Embedded pictures with every truth there is; row k has the k-th supervision."""
    rng = np.random.default_rng(seed)
    joints_mm = rng.normal(0, 20, (num, 21, 3))
    joints_mm[:, 0] = (0, 0, 400)
    joints_mm[:, 9] = (0, -90, 400)
    images = [encode(picture(index)) for index in range(num)]
    masks = [encode(picture(100 + index), "PNG") for index in range(num)]
    columns = {
        "frame_id": [frame_id("t", f"{index}.png") for index in range(num)],
        "dataset": ["t"] * num, "image": images, "content_sha256": [content_sha256(each) for each in images],
        "modality": ["rgb"] * num, "hand": ["right"] * num, "box_source": ["given"] * num,
        "bbox_px": np.tile(np.float32([4, 3, 30, 25]), (num, 1)),
        "supervision": [SUPERVISIONS[index % 4] for index in range(num)],
        "joints_uv_px": rng.uniform(0, 30, (num, 21, 2)).astype(np.float32),
        "joints_mm": joints_mm.astype(np.float32), "joints_valid": np.ones((num, 21), bool),
        "mano_pose": rng.normal(0, 1, (num, 48)).astype(np.float32),
        "mano_shape": rng.normal(0, 1, (num, 10)).astype(np.float32),
        "mano_translation_mm": rng.normal(0, 1, (num, 3)).astype(np.float32),
        "mask_png": masks, "depth_png": masks, "parts_png": masks,
    }  # fmt: skip
    return rows_of(FRAMES, columns)


def with_column(frames: pa.Table, name: str, values: object) -> pa.Table:
    index = frames.schema.get_field_index(name)
    kind = frames.schema.field(name)
    return frames.set_column(index, kind, pa.array(values, kind.type))


def test_masks_and_depths_can_be_left_behind_and_nothing_else_is():
    frames = truth_frames()
    slim = without_pictures_of_truth(frames)
    for name in FRAMES.names:
        if name in ("mask_png", "depth_png", "parts_png"):
            assert slim[name].null_count == frames.num_rows
        else:
            assert slim[name].equals(frames[name])


def test_poses_are_known_where_supervision_opens_them_and_as_far_as_joints_are():
    frames = truth_frames(8)
    assert known_poses(frames)["supervision"].to_pylist() == ["3d", "mano"] * 2
    joints_mm = np.array(frames["joints_mm"].to_pylist())
    joints_mm[1, 4], joints_mm[2, 8], joints_mm[2, 4] = np.nan, np.nan, np.nan
    frames = with_column(frames, "joints_mm", [None, *joints_mm[1:].tolist()])
    for least, expected in ((2, range(3, 8)), (1, (1, *range(3, 8))), (0, range(1, 8))):
        found = poses_with(frames, (4, 8), least)
        assert found["frame_id"].to_pylist() == [frames["frame_id"][row].as_py() for row in expected]


def test_without_truth_two_sets_that_differ_only_in_truth_are_one():
    garbage = truth_frames(seed=99)
    for name in ("image", "frame_id", "content_sha256"):
        assert garbage[name].equals(truth_frames()[name])
    assert not garbage.equals(truth_frames())
    assert without_truth(garbage).equals(without_truth(truth_frames()))


def test_without_truth_nothing_of_it_is_left_and_no_step_may_read_it():
    hidden = without_truth(truth_frames())
    assert hidden.schema.equals(FRAMES)
    assert all(hidden[name].null_count == 4 for name in TRUTH_COLUMNS)
    assert hidden["supervision"].to_pylist() == ["none"] * 4
    assert without_truth(open_truth(hidden)).equals(hidden)


def test_supervision_opens_its_own_truth_and_no_more():
    frames = truth_frames()
    opened = open_truth(frames)
    assert opened.schema.equals(FRAMES)
    for row, supervision in enumerate(SUPERVISIONS):
        for name in TRUTH_COLUMNS:
            expected = frames[name][row] if name in OPENED[supervision] else None
            assert opened[name][row].as_py() == (expected.as_py() if expected is not None else None)
    assert OPENED["none"] < OPENED["2d"] < OPENED["3d"] < OPENED["mano"] == set(TRUTH_COLUMNS)


def test_truth_boxes_are_refused_for_unlabelled_frames():
    frames = with_column(truth_frames(), "box_source", ["given", "truth", None, "truth"])
    with pytest.raises(InputError, match="2 of 4 unlabelled frames have box_source 'truth'"):
        without_truth(frames)


def test_an_unlabelled_listing_never_reads_the_truth_even_if_it_is_garbage(tmp_path):
    clean = truth_frames()
    pq.write_table(without_truth(clean), tmp_path / "clean.parquet")
    garbage = clean.drop_columns(["joints_mm", "mask_png"])
    garbage = garbage.append_column("joints_mm", pa.array(["no", "joints", "at", "all"]))
    garbage = garbage.append_column("mask_png", pa.array([1.5, 2.5, None, 4.0]))
    pq.write_table(garbage, tmp_path / "garbage.parquet")
    listed = [list_frames(tmp_path / f"{name}.parquet", ListOptions()).frames for name in ("clean", "garbage")]
    assert listed[0].equals(listed[1])
    assert all(listed[1][name].null_count == 4 for name in TRUTH_COLUMNS)


def test_a_labelled_listing_holds_the_truth_its_supervision_opens(tmp_path):
    pq.write_table(truth_frames(), tmp_path / "frames.parquet")
    listed = list_frames(tmp_path, ListOptions(with_truth=True)).frames
    for name in TRUTH_COLUMNS:
        assert listed[name].equals(open_truth(truth_frames())[name])


def test_truth_that_cannot_be_one_is_quarantined(tmp_path):
    joints_mm = np.array(truth_frames(6)["joints_mm"].to_pylist())
    joints_mm[1, 4] = np.nan
    joints_mm[2, 9] = (0, -9, 400)
    joints_mm[3, 4] = np.nan
    valid = np.ones((6, 21), bool)
    valid[3, 4] = False
    frames = with_column(truth_frames(6), "joints_mm", joints_mm.tolist())
    frames = with_column(frames, "joints_valid", valid.tolist())
    pq.write_table(with_column(frames, "supervision", ["3d"] * 6), tmp_path / "frames.parquet")
    listing = list_frames(tmp_path, ListOptions(with_truth=True))
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth", "bad_truth"]
    ids = truth_frames(6)["frame_id"].to_pylist()
    assert listing.quarantine["frame_id"].to_pylist() == [ids[1], ids[2]]


@pytest.mark.parametrize("change", [lambda joints: joints / 1000, lambda joints: np.roll(joints, 9, axis=1)])
def test_joints_in_metres_or_in_another_order_throughout_are_an_error(tmp_path, change):
    joints_mm = change(np.array(truth_frames()["joints_mm"].to_pylist()))
    pq.write_table(with_column(truth_frames(), "joints_mm", joints_mm.tolist()), tmp_path / "frames.parquet")
    with pytest.raises(InputError, match=r"wrist to middle MCP is .* give millimetres, in the order wrist"):
        list_frames(tmp_path, ListOptions(with_truth=True))


def test_twenty_joints_throughout_are_an_error(tmp_path):
    frames = truth_frames().drop_columns(["joints_mm"])
    short = [row[:20] for row in truth_frames()["joints_mm"].to_pylist()]
    pq.write_table(frames.append_column("joints_mm", pa.array(short)), tmp_path / "frames.parquet")
    with pytest.raises(InputError, match="no 'joints_mm' in it has the type"):
        list_frames(tmp_path, ListOptions(with_truth=True))


def test_an_unknown_supervision_is_refused():
    with pytest.raises(InputError, match="supervision is 'everything'"):
        open_truth(with_column(truth_frames(), "supervision", ["none", "everything", "2d", "3d"]))


def test_a_frames_table_of_a_campaign_is_listed_with_and_without_its_truth(tmp_path):
    store = Store(tmp_path / "campaign")
    store.create()
    store.append("frames", truth_frames(), 0)
    for path in (tmp_path / "campaign", tmp_path / "campaign" / "tables" / "frames"):
        hidden = list_frames(path, ListOptions()).frames.sort_by("frame_id")
        assert hidden.equals(list_frames_of(without_truth(truth_frames()), tmp_path).sort_by("frame_id"))
        opened = list_frames(path, ListOptions(with_truth=True)).frames.sort_by("frame_id")
        expected = open_truth(truth_frames()).sort_by("frame_id")
        for name in TRUTH_COLUMNS:
            assert opened[name].combine_chunks().equals(expected[name].combine_chunks())


def test_a_table_that_is_empty_or_damaged_is_an_error_of_one_line(tmp_path):
    store = Store(tmp_path / "campaign")
    store.create()
    with pytest.raises(InputError, match="the table is empty"):
        list_frames(tmp_path / "campaign", ListOptions())
    store.append("frames", truth_frames(), 0)
    log = max((tmp_path / "campaign" / "tables" / "frames" / "_delta_log").glob("*.json"))
    log.write_bytes(b"")
    with pytest.raises(InputError, match="frames"):
        list_frames(tmp_path / "campaign", ListOptions())


def list_frames_of(frames: pa.Table, folder: Path) -> pa.Table:
    pq.write_table(frames, folder / "alone.parquet")
    return list_frames(folder / "alone.parquet", ListOptions()).frames


def test_a_slice_of_frames_opens_its_own_truth_and_not_its_neighbours():
    frames = with_column(truth_frames(12), "supervision", ["mano", "none", "3d"] * 4)
    for start, length in ((0, 12), (5, 4), (11, 1)):
        part = frames.slice(start, length)
        assert open_truth(part).to_pylist() == open_truth(frames).to_pylist()[start : start + length]
        assert without_truth(part).to_pylist() == without_truth(frames).to_pylist()[start : start + length]


def test_a_bad_row_between_good_ones_shifts_no_truth(tmp_path):
    frames = truth_frames(6)
    hands = ["left", None, "right", "left", None, "right"]
    table = frames.drop_columns(["hand"]).append_column("hand", pa.array(hands))
    pq.write_table(table, tmp_path / "frames.parquet", row_group_size=4)
    listed = list_frames(tmp_path, ListOptions(with_truth=True)).frames
    kept = [row for row, hand in zip(open_truth(frames).to_pylist(), hands, strict=True) if hand]
    for name in ("frame_id", "bbox_px", *TRUTH_COLUMNS):
        assert listed[name].to_pylist() == [row[name] for row in kept]
