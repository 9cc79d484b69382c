"""steps/moves.py, report/label_moves.py and rounds/diffing.py: what moved between two rounds, and whose it is."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from finished_campaigns import IDS, NAMES, ROWS, finished_campaign, label_joints_mm, shown_hands
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sample_hands import random_hands_mm
from semihand.frames.errors import InputError
from semihand.report.label_moves import Group, groups_figure, moved_curve
from semihand.report.names import frame_name
from semihand.rounds.config import RoundConfig
from semihand.rounds.diff_page import _figures
from semihand.rounds.diffing import DiffConfig, diff_labels
from semihand.rounds.shown import Shown
from semihand.steps.moves import label_moves, moves_by, selection_changes, with_clusters
from semihand.steps.poses import pose_vectors_mm, shape_vectors

SEEDS = st.integers(0, 2**32 - 1)


def labels(joints_mm, subjects=None, selected=None, first=0):
    num = len(joints_mm)
    arrays = {"label_mm": joints_mm, "joints_uv_px": joints_mm[..., :2]}
    return pl.DataFrame(
        {
            "frame_id": [f"{row:04d}" for row in range(first, first + num)],
            "subject_id": subjects or ["ada"] * num, "hand": ["right"] * num,
            "predicted_error_mm": np.arange(num, dtype=np.float32), "selected": selected or [True] * num,
        }
    ).with_columns(**{
        name: pl.Series(values.astype(np.float32), dtype=pl.Array(pl.Float32, values.shape[1:]))
        for name, values in arrays.items()
    })  # fmt: skip


@settings(max_examples=20)
@given(SEEDS, st.floats(0, 200))
def test_a_hand_that_is_only_carried_away_has_not_moved_but_its_root_has(seed, distance_mm):
    joints_mm = random_hands_mm(4, seed)
    carried = joints_mm + distance_mm * np.array([0.6, 0.0, 0.8])
    moves = label_moves(labels(joints_mm), labels(carried))
    np.testing.assert_allclose(moves["moved_mm"], 0, atol=1e-3)
    np.testing.assert_allclose(moves["root_moved_mm"], distance_mm, atol=1e-2)


@settings(max_examples=20)
@given(SEEDS, SEEDS)
def test_moves_are_the_same_there_and_back_and_however_both_hands_are_turned(seed, other):
    before, after = random_hands_mm(5, seed), random_hands_mm(5, other)
    turn = Rotation.random(random_state=seed % 2**31).as_matrix()
    there, back, turned = (
        label_moves(labels(first), labels(last))["moved_mm"].to_numpy()
        for first, last in ((before, after), (after, before), (before @ turn, after @ turn))
    )
    np.testing.assert_allclose(there, back, rtol=1e-5)
    np.testing.assert_allclose(there, turned, rtol=1e-3, atol=1e-3)


def test_one_joint_that_moves_is_a_twenty_first_of_the_move():
    before = random_hands_mm(3, 1)
    after = before.copy()
    after[1, 8] += [0, 0, 21.0]
    moves = label_moves(labels(before), labels(after))
    np.testing.assert_allclose(moves["moved_mm"], [0, 1, 0], atol=1e-4)
    np.testing.assert_allclose(moves["joint_moved_mm"].to_numpy()[1], 21.0 * (np.arange(21) == 8), atol=1e-4)


def test_only_frames_of_both_sides_are_compared_whatever_their_order():
    joints_mm = random_hands_mm(6, 2)
    moves = label_moves(labels(joints_mm[:4]), labels(joints_mm[2:], first=2).sort("frame_id", descending=True))
    assert moves["frame_id"].to_list() == ["0002", "0003"]
    np.testing.assert_allclose(moves["moved_mm"], 0, atol=1e-4)
    assert not len(label_moves(labels(joints_mm[:2]), labels(joints_mm[2:], first=2)))


def test_groups_come_most_moved_first_with_a_label_to_look_at():
    before = random_hands_mm(9, 3)
    after = before.copy()
    far_mm = np.array([1, 2, 9, 10, 20, 60, 3, 3, 3])
    after[:, 4, 2] += 21.0 * far_mm
    subjects = ["ada"] * 3 + ["bob"] * 3 + [None] * 3
    moves = label_moves(labels(before, subjects), labels(after, subjects))
    table = moves_by(moves, "subject_id")
    assert table["subject_id"].to_list() == ["bob", None, "ada"]
    np.testing.assert_allclose(table["median_mm"], [20, 3, 2], rtol=1e-4)
    assert table["num_labels"].to_list() == [3, 3, 3]
    assert table["example"][0] == "0004"
    assert table.sort("subject_id")["expected_before_mm"].to_list() == [7.0, 1.0, 4.0]


def test_changes_of_the_selection_are_counted_where_both_sides_selected():
    joints_mm = random_hands_mm(4, 4)
    before, after = (
        labels(joints_mm, selected=[True, True, False, False]),
        labels(joints_mm, selected=[True, False] * 2),
    )
    moves = label_moves(before, after)
    assert selection_changes(moves) == {"kept": 1, "newly_selected": 1, "dropped": 1, "never": 1}
    model = after.with_columns(selected=pl.lit(None, pl.Boolean))
    assert selection_changes(label_moves(before, model)) == {}


def test_a_pose_has_its_cluster_wherever_the_hand_is_and_a_left_hand_is_its_mirror_image():
    poses = random_hands_mm(90, 6)
    moves = label_moves(labels(poses), labels(poses))
    clusters = with_clusters(moves, None)["pose_cluster"]
    assert clusters.n_unique() == 90 // 20 + 1
    carried = poses + np.array([30.0, -20.0, 100.0])
    np.testing.assert_array_equal(
        with_clusters(label_moves(labels(carried), labels(poses)), None)["pose_cluster"], clusters
    )
    flipped = poses * [-1.0, 1.0, 1.0]
    left = label_moves(labels(flipped), labels(flipped)).with_columns(hand=pl.lit("left"))
    np.testing.assert_array_equal(with_clusters(left, None)["pose_cluster"], clusters)


def test_a_campaigns_own_clusters_are_taken_where_it_has_some():
    poses = random_hands_mm(8, 7)
    moves = label_moves(labels(poses), labels(poses))
    centres = shape_vectors(pose_vectors_mm(poses, np.zeros(8, bool)))[::-1].copy()
    assert with_clusters(moves, centres)["pose_cluster"].to_list() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_figures_take_any_number_of_labels_and_groups():
    for num in (0, 1, 40):
        figure = groups_figure([Group(f"group {row}", row + 1, 1.0 + row, 2.0 + row) for row in range(num)], "Title")
        assert len(figure.axes[0].get_yticks()) == min(num, 30)
        assert len(moved_curve({"all": np.arange(float(num)), "none": np.zeros(0)}).axes[0].lines) == min(num, 1)


def test_a_frame_is_called_by_its_file_and_its_number_in_a_video():
    assert frame_name("/data/set/IMG_1.JPG", None) == "IMG_1.JPG"
    assert frame_name("/data/clip.mp4", 340) == "clip.mp4#340"
    assert frame_name("/data/a_name_of_many_characters.mp4", 0, most=10) == "…cters.mp4#0"
    assert frame_name(None, None) is None


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    store = finished_campaign(tmp_path_factory.mktemp("made"), rounds=3)
    settled = RoundConfig().model_dump(mode="json")
    (Path(store.folder) / "config.json").write_text(json.dumps(settled))
    return Path(store.folder)


def compared(campaign, out, **more):
    said = []
    moves = diff_labels(DiffConfig.model_validate({"campaign": campaign, "out": out} | more), said.append)
    return moves, said, json.loads((out / "summary.json").read_text())


def test_the_last_two_rounds_are_compared_and_a_page_is_left(campaign, tmp_path):
    moves, said, summary = compared(campaign, tmp_path / "diff")
    before, after = (label_joints_mm(shown_hands(), number).astype(np.float32).astype(float) for number in (2, 3))
    relative = (after - after[:, 9:10]) - (before - before[:, 9:10])
    expected = dict(zip(IDS.values(), np.linalg.norm(relative, axis=-1).mean(-1), strict=True))
    for row in moves.to_dicts():
        assert row["moved_mm"] == pytest.approx(expected[row["frame_id"]], rel=1e-4)
        assert row["moved_px"] == pytest.approx(np.sqrt(2), rel=1e-3)
        assert row["hand"] == ROWS[NAMES.index({v: k for k, v in IDS.items()}[row["frame_id"]])][1]
    assert moves["moved_mm"].is_sorted(descending=True)
    assert (summary["before"], summary["after"], summary["labels_in_both"]) == ("round 2", "round 3", len(ROWS))
    assert (summary["kept"], summary["never"]) == (sum(row[4] for row in ROWS), sum(not row[4] for row in ROWS))
    assert said[0].startswith(f"round 2 against round 3: {len(ROWS)} labels in both")
    assert any("ada" in line for line in said)
    assert moves["frame_id"][0] in "\n".join(said)
    page = (tmp_path / "diff/report.html").read_text()
    assert page.count("<figure>") == 4
    assert pl.read_parquet(tmp_path / "diff/moves.parquet").equals(moves)


def test_most_moved_frames_are_named_by_where_they_lie(campaign, tmp_path):
    moves, said, _ = compared(campaign, tmp_path / "diff")
    files = {IDS[name]: "no file" if how == "image" else f"{name}.{how}" for name, _, how, _, _ in ROWS}
    files[IDS["second hand"]] = "jpeg.jpg"
    listed = {line.split()[0]: line.rsplit(", ", 1)[1] for line in said[-10:]}
    assert listed == {frame_id: files[frame_id] for frame_id in moves["frame_id"].head(10)}
    page = (tmp_path / "diff/report.html").read_text()
    for example in moves_by(moves, "subject_id")["example"]:
        assert f"<td>{example}</td><td>{files[example]}</td>" in page

    pictures = [np.zeros((9, 9, 3), np.uint8)] * 3
    some = moves.with_columns(uri=pl.lit("/data/clip.mp4"), video_frame=pl.int_range(pl.len()))
    figure = _figures({}, some, Shown([0, 2, 5], pictures, [None] * 3))["the most moved"]
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes[:3]]
    assert titles == ["clip.mp4#0", "clip.mp4#2", "clip.mp4#5"]


def test_a_round_is_compared_with_a_model_on_the_frames_that_it_can_read(campaign, teacher, tmp_path):
    moves, said, summary = compared(campaign, tmp_path / "diff", before="1", after=str(teacher))
    assert set(moves["frame_id"]) == set(IDS.values()) - {IDS["gone"]}
    assert summary["only_before"] == 1
    assert "kept" not in summary
    assert not any(line.startswith("selected") for line in said)
    assert moves["moved_mm"].min() > 0
    assert moves["predicted_error_mm_after"].null_count() == len(moves)


def test_a_model_is_asked_about_some_frames_only(campaign, teacher, tmp_path):
    moves, _, summary = compared(campaign, tmp_path / "diff", before=str(teacher), num_frames=4)
    assert summary["after"] == "round 3"
    assert 3 <= len(moves) <= 4


def test_what_a_picture_may_take_holds_for_the_page_and_for_the_model(campaign, teacher, tmp_path):
    few = {"limits": {"max_pixels": 300}}
    compared(campaign, tmp_path / "diff", **few)
    assert (tmp_path / "diff/report.html").read_text().count("<figure>") == 3  # curves, and no hands
    with pytest.raises(InputError, match="no frame in common"):
        compared(campaign, tmp_path / "model", before="1", after=str(teacher), **few)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"before": "9"}, r"--before 9 is not a finished round .*\[1, 2, 3\]"),
        ({"after": "/nowhere"}, "--after /nowhere is neither a round nor a model folder"),
        ({"before": "3"}, "both 3"),
        ({"campaign": "/nowhere"}, "no campaign here"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_leaves_nothing(campaign, tmp_path, given, complaint):
    with pytest.raises(InputError, match=complaint):
        diff_labels(DiffConfig.model_validate({"campaign": campaign, "out": tmp_path / "diff"} | given))
    assert not (tmp_path / "diff").exists()


def test_one_round_is_not_enough_unless_both_sides_are_named(tmp_path):
    campaign = Path(finished_campaign(tmp_path, rounds=1).folder)
    with pytest.raises(InputError, match=r"finished rounds \[1\], and two are compared"):
        diff_labels(DiffConfig(campaign=campaign, out=tmp_path / "diff"))
