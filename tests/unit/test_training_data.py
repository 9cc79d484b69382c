"""steps/training_data.py: what a worker loads by path and version, and what it never sees."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from frames_tables import with_column, with_garbage_truth

from semihand.frames.limits import Limits
from semihand.steps.training_data import DataSource, load_data, read_frames
from semihand.tables import LABELS, SELECTIONS, Store, as_numpy, rows_of
from semihand.tables.rows import take_rows

ROUND = 3
LABELLED, SELECTED = [1, 3, 4, 8], [True, False, True, True]


def labels_of(frames: pa.Table, round_number: int, moved_mm: float = 0.0) -> tuple[pa.Table, pa.Table]:
    """Labels a little off the truth, and what was selected of them."""
    rows = take_rows(frames, LABELLED)
    num, poses = rows.num_rows, as_numpy(rows["joints_mm"]) + np.float32(moved_mm)
    keys = {"frame_id": rows["frame_id"], "round": [round_number] * num, "labeller": ["semihand"] * num}
    poses = dict.fromkeys(("joints_mm", "corrected_mm", "label_mm"), poses)
    labels = rows_of(LABELS, keys | poses | {"model": ["0" * 64] * num, "joints_uv_px": as_numpy(rows["joints_uv_px"])})
    weight = np.float32(SELECTED)
    joints = weight[:, None] * np.linspace(0.5, 1.5, 21, dtype=np.float32)
    selected = {"selected": SELECTED, "weight": weight, "joint_weight": joints, "reason": ["accepted"] * num}
    return labels, rows_of(SELECTIONS, keys | selected)


def stored(folder, frames: pa.Table, labelled: tuple[pa.Table, pa.Table] | None = None) -> Store:
    store = Store(folder)
    store.create()
    store.append("frames", frames)
    if labelled is not None:
        for name, rows in zip(("labels", "selections"), labelled, strict=True):
            store.append(name, rows, ROUND)
    return store


@pytest.fixture(scope="module")
def campaign(tmp_path_factory, source_frames, target_frames):
    """A labelled source, and the same campaign twice: as it is, and with garbage for truth."""
    folder = tmp_path_factory.mktemp("campaign")
    stored(folder / "source", source_frames)
    labelled = labels_of(target_frames, ROUND)
    stored(folder / "pool", target_frames, labelled)
    stored(folder / "garbage", with_garbage_truth(target_frames), labelled)
    return folder


def source_of(folder, name: str = "pool", **more) -> DataSource:
    return DataSource(str(folder / "source"), campaign=str(folder / name), round_number=ROUND, **more)


def test_frames_come_by_id_whatever_order_they_were_written_in(campaign, source_frames):
    frames = read_frames(campaign / "source")
    order = np.argsort(source_frames["frame_id"].to_pylist())
    assert frames.equals(take_rows(source_frames, order))


def test_a_fit_gets_the_same_data_whatever_stands_in_the_pools_truth(campaign, card):
    once, garbage = (load_data(source_of(campaign, name), card) for name in ("pool", "garbage"))
    for ours, theirs in zip((*once.source, *once.target), (*garbage.source, *garbage.target), strict=True):
        assert torch.equal(ours, theirs)


def test_only_selected_labels_weigh(campaign, card, target_frames):
    target = load_data(source_of(campaign), card).target
    chosen = {target_frames["frame_id"][row].as_py() for row, taken in zip(LABELLED, SELECTED, strict=True) if taken}
    ids = read_frames(campaign / "pool")["frame_id"].to_pylist()
    assert [bool(weight > 0) for weight in target.joint_weight.sum(1)] == [each in chosen for each in ids]
    assert target.num_rows == target_frames.num_rows


def test_the_corrected_pose_of_every_label_is_read_where_it_is_asked_for(campaign, card, target_frames):
    target = load_data(source_of(campaign), card, with_registered=True).target
    labelled = {target_frames["frame_id"][row].as_py() for row in LABELLED}
    ids = read_frames(campaign / "pool")["frame_id"].to_pylist()
    assert [bool(weight == 21) for weight in target.registered_weight.sum(1)] == [each in labelled for each in ids]
    assert load_data(source_of(campaign), card).target.registered_weight.sum() == 0


def test_a_correction_that_the_paired_test_rejected_is_not_read(tmp_path, source_frames, target_frames, card):
    labels, selections = labels_of(target_frames, ROUND)
    labels = with_column(labels, "correction_kept", [True, False, None, True])
    stored(tmp_path / "source", source_frames)
    stored(tmp_path / "pool", target_frames, (labels, selections))
    target = load_data(source_of(tmp_path), card, with_registered=True).target
    kept = {target_frames["frame_id"][LABELLED[row]].as_py() for row in (0, 2, 3)}
    ids = read_frames(tmp_path / "pool")["frame_id"].to_pylist()
    assert [bool(weight > 0) for weight in target.registered_weight.sum(1)] == [each in kept for each in ids]


def test_frames_kept_for_calibration_are_not_trained_on(campaign, card):
    whole = load_data(DataSource(str(campaign / "source")), card)
    assert whole.target is None
    kept = load_data(DataSource(str(campaign / "source"), held_out=3), card)
    assert torch.equal(kept.source.pictures, whole.source.pictures[3:])


def test_frames_with_truth_in_the_picture_are_learned_from_beside_the_source(campaign, tmp_path, source_frames, card):
    supervision = ["2d", "none", *["3d"] * (source_frames.num_rows - 2)]
    stored(tmp_path / "points", with_column(source_frames, "supervision", supervision))
    alone = load_data(DataSource(str(campaign / "source")), card).source
    both = load_data(DataSource(str(campaign / "source"), 3, source_2d=str(tmp_path / "points")), card).source
    num_3d = alone.num_rows - 3
    assert both.num_rows == num_3d + source_frames.num_rows - 1
    assert torch.equal(both.depth[:num_3d], alone.depth[3:])
    assert both.depth[num_3d:].isnan().all()
    hidden = read_frames(tmp_path / "points")["supervision"].to_pylist().index("none")
    shown = [row for row in range(alone.num_rows) if row != hidden]
    torch.testing.assert_close(both.uv[num_3d:], alone.uv[shown], atol=0.02, rtol=0)


def test_labels_that_come_later_or_belong_to_another_round_change_nothing(tmp_path, source_frames, target_frames, card):
    stored(tmp_path / "source", source_frames)
    store = stored(tmp_path / "pool", target_frames, labels_of(target_frames, ROUND))
    versions = tuple((name, store.version(name)) for name in ("frames", "labels", "selections"))
    before = load_data(source_of(tmp_path, versions=versions), card)
    for name, rows in zip(("labels", "selections"), labels_of(target_frames, ROUND + 1, moved_mm=40.0), strict=True):
        store.append(name, rows, ROUND + 1)
    for pinned in (versions, ()):
        after = load_data(source_of(tmp_path, versions=pinned), card)
        for ours, theirs in zip(before.target, after.target, strict=True):
            assert torch.equal(ours, theirs)


def test_a_fit_reads_frames_within_the_limits_it_is_given(campaign, card, target_frames):
    tight = load_data(source_of(campaign, limits=Limits(max_side_px=63)), card)
    assert tight.source.num_rows == tight.target.num_rows == 0
    wide = load_data(source_of(campaign, limits=Limits(max_side_px=64)), card)
    assert wide.target.num_rows == target_frames.num_rows
