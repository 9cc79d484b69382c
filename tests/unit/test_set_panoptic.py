"""frames/sets/panoptic.py on miniatures in the layouts that CMU-Perceptual-Computing-Lab/openpose_train
(training/b2_mpii_generateJson.py at c13e987b) and naoc-1861355/Public_Handpose_Datasets (CMU/hand_labels/viz.py at
a74e2f61, CMU/hand_labels_synth/normdat.py at 537fa312, CMU/hand_panopticdb/normdat.py at 60c8f033) read."""

import json

import numpy as np
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_no_truth, mirrored, rendered_hands, save_picture

TRUTH = ListOptions(with_truth=True)
TIPS = [4, 8, 12, 16, 20]


@pytest.fixture(scope="module")
def hands():
    right, left, other = rendered_hands(3)
    return {"right": right, "left": mirrored(left), "other": other}


def flagged(hand, invalid=()):
    """[x, y, flag]; zeros where a joint is not annotated."""
    joints = np.c_[hand.uv_px, np.ones(21)]
    joints[list(invalid)] = 0.0
    return joints.tolist()


def save_hand(path, hand, is_left, invalid=(), **more):
    save_picture(path.with_name(f"{path.name}.jpg"), hand.picture)
    content = {"hand_pts": flagged(hand, invalid), "hand_box_center": [30.0, 30.0], "is_left": is_left, **more}
    path.with_name(f"{path.name}.json").write_text(json.dumps(content))


@pytest.fixture
def panoptic(hands, tmp_path):
    """All three releases."""
    save_picture(tmp_path / "hand143_panopticdb/imgs/00000000.jpg", hands["right"].picture)
    save_picture(tmp_path / "hand143_panopticdb/imgs/00000007.jpg", hands["other"].picture)
    root = [
        {"img_paths": "imgs/00000000.jpg", "joint_self": flagged(hands["right"], [3]), "objpos": [30, 30]},
        {"img_paths": "imgs/00000007.jpg", "joint_self": flagged(hands["other"])},
    ]
    (tmp_path / "hand143_panopticdb/hands_v143_14817.json").write_text(json.dumps({"root": root}))
    manual, synth = tmp_path / "hand_labels", tmp_path / "hand_labels_synth"
    mpii = {"mpii_body_pts": [[0, 0, 0]] * 16, "is_mpii": 1, "head_size": 60.0}
    save_hand(manual / "manual_train/000015774_01_l", hands["left"], True, [11, 12], **mpii)
    save_hand(manual / "manual_train/000015774_02_r", hands["right"], False, **mpii)
    save_hand(manual / "manual_test/ex2_2.flv_000040_r", hands["other"], 0)
    for number, hand in ((1, "right"), (2, "left"), (3, "other"), (4, "right")):
        save_hand(synth / f"synth{number}/0001", hands[hand], int(hand == "left"))
    return tmp_path


@pytest.mark.parametrize(("flag", "is_valid"), [(1, True), (0.97, True), (0, False), (2, False), (0.5, False)])
def test_a_flag_is_read_as_openpose_train_reads_it(panoptic, flag, is_valid):
    path = panoptic / "hand_labels/manual_train/000015774_02_r.json"
    entry = json.loads(path.read_text())
    entry["hand_pts"][6][2] = flag
    path.write_text(json.dumps(entry))
    frames = list_frames(f"panoptic:{panoptic}?release=hand_labels", TRUTH).frames
    assert frames["joints_valid"].to_pylist()[1][6] is is_valid


def test_hand143_is_one_recording_of_right_hands(panoptic, hands):
    frames = list_frames(f"panoptic:{panoptic}?release=hand143_panopticdb", TRUTH).frames
    assert [uri.rsplit("/", 1)[1] for uri in frames["uri"].to_pylist()] == ["00000000.jpg", "00000007.jpg"]
    assert set(frames["hand"].to_pylist()) == {"right"}
    assert set(frames["sequence_id"].to_pylist()) == {"panoptic/hand143_panopticdb"}
    assert set(frames["supervision"].to_pylist()) == {"2d"}
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[1], hands["other"].uv_px, atol=1e-3)
    valid = np.array(frames["joints_valid"].to_pylist())
    assert np.argwhere(~valid).tolist() == [[0, 3]]


def test_manual_labels_have_both_sides_and_two_splits(panoptic, hands):
    frames = list_frames(f"panoptic:{panoptic}?release=hand_labels&split=all", TRUTH).frames
    assert frames["hand"].to_pylist() == ["left", "right", "right"]
    assert frames["split"].to_pylist() == ["train", "train", "test"]
    assert frames["sequence_id"].to_pylist() == ["panoptic/000015774"] * 2 + ["panoptic/ex2_2.flv"]
    uv_px, valid = as_numpy(frames["joints_uv_px"]), np.array(frames["joints_valid"].to_pylist())
    assert np.argwhere(~valid).tolist() == [[0, 11], [0, 12]]
    np.testing.assert_allclose(uv_px[0][valid[0]], hands["left"].uv_px[valid[0]], atol=1e-3)
    x, y, width, height = frames["bbox_px"][0].as_py()
    low, high = hands["left"].uv_px[valid[0]].min(0), hands["left"].uv_px[valid[0]].max(0)
    assert x < low[0]
    assert y < low[1]
    assert x + width > high[0]
    assert y + height > high[1]
    alone = list_frames(f"panoptic:{panoptic}?release=hand_labels&split=test", TRUTH).frames
    assert alone["hand"].to_pylist() == ["right"]


def test_the_first_rendered_part_has_no_fingertips_whatever_it_says(panoptic, hands):
    frames = list_frames(f"panoptic:{panoptic}?release=hand_labels_synth", TRUTH).frames
    assert frames["hand"].to_pylist() == ["right", "left", "right", "right"]
    valid = np.array(frames["joints_valid"].to_pylist())
    assert np.argwhere(~valid).tolist() == [[0, tip] for tip in TIPS]
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[1], hands["left"].uv_px, atol=1e-3)


@pytest.mark.parametrize("release", ["hand143_panopticdb", "hand_labels", "hand_labels_synth"])
def test_an_unlabelled_pool_has_neither_truth_nor_boxes_from_it(panoptic, release):
    known = list_frames(f"panoptic:{panoptic}?release={release}", TRUTH).frames
    frames = list_frames(f"panoptic:{panoptic}?release={release}", ListOptions()).frames
    assert_no_truth(frames)
    assert frames["frame_id"] == known["frame_id"]


def test_a_hand_of_which_nothing_is_annotated_has_no_truth(panoptic, hands):
    save_hand(panoptic / "hand_labels/manual_test/ex2_2.flv_000041_l", hands["left"], 1, range(21))
    frames = list_frames(f"panoptic:{panoptic}?release=hand_labels&split=test", TRUTH).frames
    assert frames["supervision"].to_pylist() == ["2d", "none"]


def test_what_is_wrong_in_one_file_is_that_rows_problem(panoptic, hands):
    folder = panoptic / "hand_labels/manual_train"
    save_hand(folder / "1_01_l", hands["left"], "maybe")
    save_hand(folder / "2_01_l", hands["left"], 1)
    (folder / "2_01_l.json").write_text("{")
    save_hand(folder / "3_01_l", hands["left"], 1)
    (folder / "3_01_l.json").write_text(json.dumps({"hand_pts": [[0, 0, 1]], "is_left": 1}))
    (folder / "000015774_02_r.jpg").unlink()
    listing = list_frames(f"panoptic:{panoptic}?release=hand_labels", TRUTH)
    assert listing.frames["hand"].to_pylist() == ["left"]
    reasons = dict(zip(*(listing.quarantine[name].to_pylist() for name in ("uri", "reason")), strict=True))
    assert {uri.rsplit("/", 1)[1]: reason for uri, reason in reasons.items()} == {
        "1_01_l.jpg": "bad_row",
        "2_01_l.jpg": "bad_truth",
        "3_01_l.jpg": "bad_truth",
        "000015774_02_r.jpg": "missing_file",
    }


@pytest.mark.parametrize(
    ("query", "complaint"),
    [("", "option 'release'"), ("?release=hand_labels_synth&split=test", "no split test"),
     ("?release=hand_labels", "manual_train: no .json"), ("?release=hand143_panopticdb", "not complete")],
)  # fmt: skip
def test_what_cannot_be_is_one_clear_line(tmp_path, query, complaint):
    with pytest.raises(InputError, match=complaint):
        list_frames(f"panoptic:{tmp_path}{query}", TRUTH)
