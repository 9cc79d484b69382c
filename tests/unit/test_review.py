"""Review: which labels people are shown, the project they are shown in, and their corrections read back."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from finished_campaigns import IDS, NAMES, ROWS, SIZE_PX, UNPLACED, finished_campaign, label_joints_mm, shown_hands
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sample_hands import random_hands_mm, right_hand_mm
from semihand.exports.corrections import read_task
from semihand.exports.label_studio import label_config
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.hand.bones import bone_lengths
from semihand.hand.camera import project
from semihand.hand.crops import apply_affine, crop_affine
from semihand.hand.skeleton import JOINT_NAMES
from semihand.rounds import reviewing
from semihand.rounds.config import RoundConfig
from semihand.rounds.exporting import ExportConfig, export_labels
from semihand.rounds.inputs import known_frames
from semihand.rounds.reviewing import import_review
from semihand.steps.calibrate import label_errors
from semihand.steps.corrected import place_corrected
from semihand.steps.review import ReviewConfig, choose_for_review, dense_clusters
from semihand.tables import read_rows, scan

TRUTH = ListOptions(with_truth=True)
NAME_OF = {frame_id: name for name, frame_id in IDS.items()}


def pose_rows(joints_mm, expected_mm):
    num = len(joints_mm)
    return pa.table(
        {
            "frame_id": [f"{row:08d}" for row in range(num)], "label_mm": joints_mm.tolist(), "hand": ["right"] * num,
            "subject_id": ["ada"] * num, "sequence_id": pa.nulls(num, pa.string()),
            "stability": np.zeros(num), "predicted_error_mm": expected_mm,
        }
    )  # fmt: skip


def test_the_worst_labels_of_the_densest_poses_come_first():
    """Sixty hands of one pose and thirty of thirty others, whose labels are all worse."""
    rng = np.random.default_rng(0)
    same = right_hand_mm(20) + rng.normal(0, 4, (60, 21, 3))
    joints_mm = np.concatenate([same, random_hands_mm(30, 1)])
    expected_mm = np.concatenate([rng.permutation(60) / 10, 50 + np.arange(30.0)])
    config = ReviewConfig(num=70, thin_mm=0, num_clusters=12)
    chosen = choose_for_review(pose_rows(joints_mm, expected_mm), config)
    dense = chosen.rows[:45]  # the share that is taken first
    assert (dense < 60).all()
    assert (np.diff(expected_mm[dense]) < 0).all()
    # then what is worst among the rest, which are the odd poses
    odd = chosen.rows[chosen.rows >= 60]
    np.testing.assert_array_equal(odd, 89 - np.arange(len(odd)))
    assert len(odd) > 10


def test_the_order_of_rows_and_near_duplicates_do_not_matter():
    joints_mm = random_hands_mm(40, 3)
    twice = np.concatenate([joints_mm, joints_mm + 0.5])
    expected_mm = np.concatenate([np.arange(40.0), np.arange(40.0) + 0.25])
    rows = choose_for_review(pose_rows(twice, expected_mm), ReviewConfig(num=80)).rows
    assert sorted(rows.tolist()) == list(range(40, 80))  # of each pair the worse one


def test_no_labels_are_no_review():
    assert not len(choose_for_review(pose_rows(np.zeros((0, 21, 3)), np.zeros(0)), ReviewConfig()).rows)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_dense_clusters_hold_the_share_and_not_one_fewer_would(seed, share):
    rng = np.random.default_rng(seed)
    vectors, centres = rng.normal(0, 40, (50, 63)), rng.normal(0, 1, (6, 63))
    cluster = rng.integers(0, 6, 50)
    dense = dense_clusters(vectors, cluster, centres, share)
    assert np.isin(cluster, dense).sum() >= share * 50
    assert np.isin(cluster, dense[:-1]).sum() < share * 50


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Path(finished_campaign(tmp_path_factory.mktemp("made")).folder)


@pytest.fixture(scope="module")
def project_folder(campaign, tmp_path_factory):
    out = tmp_path_factory.mktemp("review") / "out"
    config = {"campaign": campaign, "out": out, "formats": ["review"], "review": {"thin_mm": 0}}
    export_labels(ExportConfig.model_validate(config), lambda text: None)
    return out / "review"


@pytest.fixture(scope="module")
def tasks(project_folder):
    return json.loads((project_folder / "tasks.json").read_text())


@pytest.fixture(scope="module")
def labels_mm():
    return dict(zip(NAMES, label_joints_mm(shown_hands(), 2), strict=True))


def test_the_interface_has_a_label_for_every_joint_and_one_point_for_each(project_folder):
    root = ET.parse(project_folder / "label_config.xml").getroot()
    assert (project_folder / "label_config.xml").read_text() == label_config()
    assert root.find("Image").get("value") == "$image"
    points = root.find("KeyPointLabels")
    assert (points.get("toName"), points.get("maxUsages")) == (root.find("Image").get("name"), "1")
    assert [label.get("value") for label in points] == list(JOINT_NAMES)


def test_every_task_shows_a_picture_of_the_project_and_says_which_hand(project_folder, tasks):
    assert {NAME_OF[task["data"]["frame_id"]] for task in tasks} == set(NAMES) - {"gone"}
    for task in tasks:
        root, _, path = task["data"]["image"].partition("/data/local-files/?d=")
        assert not root
        with Image.open(project_folder.parent / path) as picture:
            assert picture.size == (task["data"]["width"], task["data"]["height"]) == (SIZE_PX, SIZE_PX)
        side = ROWS[NAMES.index(NAME_OF[task["data"]["frame_id"]])][1]
        assert task["data"]["about"].startswith(f"{side} hand, expected to be off by")
    assert str(project_folder.parent) in (project_folder / "README.md").read_text()


def test_results_have_ids_of_their_own_and_lie_within_the_picture(tasks):
    results = [result for task in tasks for result in task["predictions"][0]["result"]]
    assert len({result["id"] for result in results}) == len(results)
    for result in results:
        assert (result["type"], result["from_name"], result["to_name"]) == ("keypointlabels", "joints", "picture")
        assert (result["original_width"], result["original_height"], result["image_rotation"]) == (SIZE_PX, SIZE_PX, 0)
        assert 0 <= result["value"]["x"] <= 100
        assert 0 <= result["value"]["y"] <= 100


def submitted(task, change=lambda results: results, **more):
    """The task as Label Studio exports it: the prediction, changed by a person."""
    results = change(json.loads(json.dumps(task["predictions"][0]["result"])))
    annotation = {"id": 1, "result": results, "was_cancelled": False, "updated_at": "2026-11-21T10:00:00Z"} | more
    return {**task, "id": 7, "annotations": [annotation]}


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_points_come_back_to_the_pixel_that_they_were_put_on(seed):
    """Through percent of a crop, and the crop's way back to the picture."""
    rng = np.random.default_rng(seed)
    size, uv_px = rng.integers(20, 3000, 2), rng.uniform(0, 500, (21, 2))
    affine = crop_affine(np.array([*rng.uniform(-50, 50, 2), *rng.uniform(30, 900, 2)]), 512)
    percent = 100 * (apply_affine(affine, uv_px) + 0.5) / size
    result = [
        {"type": "keypointlabels", "value": {"x": x, "y": y, "keypointlabels": [name]}}
        for (x, y), name in zip(percent.tolist(), JOINT_NAMES, strict=True)
    ]
    data = {"frame_id": "a", "round": 1, "width": int(size[0]), "height": int(size[1]), "affine": affine.tolist()}
    found = read_task({"data": data, "annotations": [{"result": result}]})
    np.testing.assert_allclose(found.uv_px, uv_px, atol=1e-6)
    assert found.seen.all()


def test_a_hand_that_was_confirmed_comes_back_as_it_was(campaign, tasks, labels_mm, tmp_path):
    by_name = {NAME_OF[task["data"]["frame_id"]]: task for task in tasks}
    (tmp_path / "export.json").write_text(json.dumps([submitted(task) for task in by_name.values()]))
    found = import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert found["moved_px_max"] < 1e-3
    summary = json.loads((tmp_path / "checked/summary.json").read_text())
    assert summary == found
    assert found["hands_2d"] == sum(found["why_2d"].values()) == len(UNPLACED)
    said = " ".join(f"{num} {reason}" for reason, num in found["why_2d"].items())
    for reason in ("their camera was not measured", "their label has no place", "a part of their label lies behind"):
        assert f"1 {reason}" in said
    rows = {NAME_OF[row["frame_id"]]: row for row in list_frames(tmp_path / "checked", TRUTH).frames.to_pylist()}
    assert len(rows) == len(by_name)
    row = rows["jpeg"]
    assert row["supervision"] == "3d"
    np.testing.assert_allclose(row["joints_mm"], labels_mm["jpeg"], atol=2e-3)
    hand = shown_hands()[0]
    np.testing.assert_allclose(row["joints_uv_px"], project(labels_mm["jpeg"], hand.K), atol=1e-3)
    assert (row["hand"], row["mano_pose"], row["mask_png"]) == ("right", None, None)  # the pool's own truth is not
    assert rows["left"]["hand"] == "left"
    assert rows["lens"]["supervision"] == "3d"
    np.testing.assert_allclose(rows["lens"]["joints_mm"], labels_mm["lens"], atol=2e-3)
    assert {name: rows[name]["supervision"] for name in UNPLACED} == dict.fromkeys(UNPLACED, "2d")


def test_corrections_can_calibrate(campaign, tasks, tmp_path):
    (tmp_path / "export.json").write_text(json.dumps([submitted(task) for task in tasks]))
    import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    known = known_frames(RoundConfig(), tmp_path / "checked")
    labels = read_rows(campaign, "labels", pl.col("round") == 1)
    errors = label_errors(labels, known)
    assert len(errors) == known.num_rows >= 2
    assert 0 < errors["error_mm"].mean() < 20


def moved(name, x=0.0, y=0.0):
    def change(results):
        for result in results:
            if result["value"]["keypointlabels"] == [name]:
                result["value"]["x"] += x
                result["value"]["y"] += y
        return results

    return change


def test_a_joint_that_was_moved_far_is_truth_in_the_picture_and_not_in_space(campaign, tasks, tmp_path):
    [task] = [task for task in tasks if NAME_OF[task["data"]["frame_id"]] == "jpeg"]
    (tmp_path / "export.json").write_text(json.dumps([submitted(task, moved("index_tip", y=20.0))]))
    found = import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert found["moved_px_max"] == pytest.approx(0.2 * SIZE_PX, abs=1e-3)
    assert found["why_2d"] == {"corrected joints at the label's depths put bones over 8 mm off their lengths": 1}
    [row] = list_frames(tmp_path / "checked", TRUTH).frames.to_pylist()
    assert (row["supervision"], row["joints_mm"], row["joints_valid"]) == ("2d", None, [True] * 21)
    shown = next(result["value"] for result in task["predictions"][0]["result"] if "index_tip" in result["id"])
    expected = [shown["x"] * SIZE_PX / 100 - 0.5, (shown["y"] + 20) * SIZE_PX / 100 - 0.5]
    np.testing.assert_allclose(row["joints_uv_px"][JOINT_NAMES.index("index_tip")], expected, atol=1e-3)


def test_a_label_of_impossible_bones_gives_no_truth_in_space_however_well_it_was_confirmed(
    campaign, tasks, tmp_path, monkeypatch
):
    lengths_of = reviewing._lengths
    monkeypatch.setattr(reviewing, "_lengths", lambda *given: 1.3 * lengths_of(*given))
    [task] = [task for task in tasks if NAME_OF[task["data"]["frame_id"]] == "jpeg"]
    (tmp_path / "export.json").write_text(json.dumps([submitted(task)]))
    found = import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert found["why_2d"] == {"bones of the label itself are over 8 mm off their lengths": 1}


def test_a_joint_that_was_deleted_is_not_valid(campaign, tasks, tmp_path):
    [task] = [task for task in tasks if NAME_OF[task["data"]["frame_id"]] == "inline"]
    without = submitted(task, lambda results: [each for each in results if "ring_dip" not in each["id"]])
    (tmp_path / "export.json").write_text(json.dumps([without]))
    found = import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert found["why_2d"] == {"joints were left out": 1}
    [row] = list_frames(tmp_path / "checked", TRUTH).frames.to_pylist()
    missing = JOINT_NAMES.index("ring_dip")
    assert row["joints_valid"] == [joint != missing for joint in range(21)]
    assert row["supervision"] == "2d"
    assert np.isnan(row["joints_uv_px"][missing]).all()


def test_a_prediction_that_nobody_submitted_is_no_truth(campaign, tasks, tmp_path):
    skipped = submitted(tasks[1], was_cancelled=True)
    emptied = submitted(tasks[2], lambda results: [])
    (tmp_path / "export.json").write_text(json.dumps([tasks[0], skipped, emptied, submitted(tasks[3])]))
    found = import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert found["problems"] == {"not submitted, or skipped": 2, "no joint left in it": 1}
    assert scan(tmp_path / "checked", "frames").collect()["frame_id"].to_list() == [tasks[3]["data"]["frame_id"]]


def test_the_latest_annotation_counts_unless_one_is_the_ground_truth(tasks):
    task = tasks[0]
    early, late, marked = (
        submitted(task, moved("wrist", x=x), updated_at=f"2026-11-2{day}T10:00:00Z")["annotations"][0]
        for x, day in ((1.0, 1), (2.0, 3), (3.0, 2))
    )
    wrist = read_task(submitted(task)).uv_px[0, 0]

    def found(*annotations):
        return (read_task({**task, "annotations": list(annotations)}).uv_px[0, 0] - wrist) * 100 / SIZE_PX

    assert found(late, early) == pytest.approx(2.0)
    assert found(late, marked | {"ground_truth": True}, early) == pytest.approx(3.0)


HOSTILE = [
    None, 3, [], "x", {}, {"data": {"frame_id": 5, "round": 1}}, {"data": {"frame_id": "a", "round": "1"}},
    {"value": {"x": 1.0, "y": 2.0, "keypointlabels": ["nose"]}},
    {"value": {"x": 1.0, "y": 2.0, "keypointlabels": ["wrist", "thumb_cmc"]}},
    {"value": {"x": "1", "y": 2.0, "keypointlabels": ["wrist"]}},
    {"value": {"x": float("nan"), "y": 2.0, "keypointlabels": ["wrist"]}},
    {"value": {"x": True, "y": 2.0, "keypointlabels": ["wrist"]}},
    {"value": {"y": 2.0, "keypointlabels": ["wrist"]}}, {"value": None},
    {"value": {"x": 1.0, "y": 2.0, "keypointlabels": ["wrist"]}, "image_rotation": 90},
]  # fmt: skip


@pytest.mark.parametrize("entry", HOSTILE, ids=str)
def test_what_is_wrong_in_one_task_is_that_tasks_problem(tasks, entry):
    task = tasks[0]
    if isinstance(entry, dict) and "value" in entry:
        entry = {**task, "annotations": [{"result": [{"type": "keypointlabels"} | entry]}]}
    with pytest.raises(BadFrame, match="bad_row"):
        read_task(entry)


@pytest.mark.parametrize("about", [{"affine": [[1, 0], [0, 1]]}, {"affine": [[0, 0, 0], [0, 0, 0]]}, {"width": None},
                                   {"affine": "x"}, {"affine": None}])  # fmt: skip
def test_a_task_whose_data_were_changed_is_refused(tasks, about):
    task = submitted(tasks[0])
    with pytest.raises(BadFrame, match="bad_row"):
        read_task({**task, "data": task["data"] | about})


def test_a_point_twice_is_refused_and_other_regions_are_passed_over(tasks):
    task = submitted(tasks[0], lambda results: [*results, results[0]])
    with pytest.raises(BadFrame, match="twice"):
        read_task(task)
    plain = submitted(tasks[0], lambda results: [*results, {"type": "choices", "value": {"choices": ["blurred"]}}])
    assert read_task(plain).seen.sum() == len(tasks[0]["predictions"][0]["result"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{}", "no list of tasks"), ("[]", "no corrected hand"), ("not json", "cannot be read"), (None, "no such file")],
)
def test_an_export_that_cannot_be_used_is_one_line_and_leaves_nothing(campaign, tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "export.json").write_text(content)
    with pytest.raises(InputError, match=complaint):
        import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert not (tmp_path / "checked").exists()


def test_labels_of_other_campaigns_and_rounds_are_counted(campaign, tasks, tmp_path):
    other = [submitted(task) for task in tasks[:4]]
    other[0]["data"] = other[0]["data"] | {"frame_id": "f" * 32}
    other[1]["data"] = other[1]["data"] | {"round": 9}
    (tmp_path / "export.json").write_text(json.dumps([*other, other[3]]))
    found = import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    assert found["hands_2d"] + found["hands_3d"] == 2
    assert sum(found["problems"].values()) == 3


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(10.0, 60.0))
def test_depth_stands_while_bones_keep_their_lengths(seed, shift_mm):
    joints_mm = random_hands_mm(3, seed)
    K = np.tile(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), (3, 1, 1))
    uv_px, flat = project(joints_mm, K), np.zeros((3, 8))
    lengths_mm = bone_lengths(joints_mm)
    placed = place_corrected(uv_px, joints_mm, K, flat, lengths_mm)
    assert placed.is_sound.all()
    np.testing.assert_allclose(placed.joints_mm, joints_mm, atol=1e-6)
    # along its own bone, so that no other direction could keep the length
    bone = joints_mm[1, 8] - joints_mm[1, 7]
    along = bone[:2] / np.linalg.norm(bone[:2])
    changed = uv_px.copy()
    changed[1, 8] += along * (np.linalg.norm(bone) + shift_mm) * 600 / joints_mm[1, 8, 2]
    changed[2, 4] = np.nan
    again = place_corrected(changed, joints_mm, K, flat, lengths_mm)
    np.testing.assert_array_equal(again.is_sound, [True, False, False])
    assert np.isnan(again.joints_mm[2, 4]).all()


def test_joints_confirmed_on_crops_come_back_in_the_whole_picture(campaign, labels_mm, tmp_path):
    config = {"campaign": campaign, "out": tmp_path / "out", "formats": ["review"], "crop_px": 200}
    export_labels(ExportConfig.model_validate(config), lambda text: None)
    tasks = json.loads((tmp_path / "out/review/tasks.json").read_text())
    assert {(task["data"]["width"], task["data"]["height"]) for task in tasks} == {(200, 200)}
    (tmp_path / "export.json").write_text(json.dumps([submitted(task) for task in tasks]))
    import_review(campaign, tmp_path / "export.json", tmp_path / "checked")
    rows = {NAME_OF[row["frame_id"]]: row for row in list_frames(tmp_path / "checked", TRUTH).frames.to_pylist()}
    for name in ("jpeg", "left", "inline"):
        expected = project(labels_mm[name], shown_hands()[NAMES.index(name)].K)
        valid = np.array(rows[name]["joints_valid"])
        assert valid.sum() > 10
        np.testing.assert_allclose(np.array(rows[name]["joints_uv_px"])[valid], expected[valid], atol=2e-3)
