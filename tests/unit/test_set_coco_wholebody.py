"""frames/sets/coco_wholebody.py on a miniature as jin-s13/COCO-WholeBody describes it (data_format.md at 7705f87)."""

import json

import numpy as np
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, assert_no_truth, mirrored, rendered_hands, save_picture

TRUTH = ListOptions(with_truth=True)
SCORES = np.where(np.arange(21) == 4, 0, np.where(np.arange(21) % 2, 0.18660438060760498, 2))
NONE = {"box": [0, 0, 0, 0], "kpts": [0] * 63, "valid": False}


@pytest.fixture(scope="module")
def hands():
    """What one person shows on the right, the same on the left, and another's left hand."""
    first, second, third = rendered_hands(3)
    return first, mirrored(second), mirrored(third)


def hand_fields(hand, shift, scores):
    """Box and key points of a hand that stands `shift` px to the right in the picture; x = y = 0 where v is."""
    uv_px = hand.uv_px + np.array([shift, 0])
    low, high = uv_px.min(0) - 2, uv_px.max(0) + 2
    joints = np.column_stack([uv_px, scores]) * (scores > 0)[:, None]
    return {"box": [*low, *(high - low)], "kpts": joints.ravel().tolist(), "valid": True}


def person(number, image, left, right, crowd=0):
    fields = {"left": left, "right": right}
    hands = {f"{side}hand_{name}": value for side, each in fields.items() for name, value in each.items()}
    return hands | {
        "id": number, "image_id": image, "iscrowd": crowd, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81,
        "num_keypoints": 0, "keypoints": [0] * 51, "segmentation": {"counts": [1], "size": [1, 1]} if crowd else [],
        "face_box": [0] * 4, "face_kpts": [0] * 204, "face_valid": False, "foot_kpts": [0] * 18, "foot_valid": False,
    }  # fmt: skip


@pytest.fixture
def coco(hands, tmp_path):
    """One picture of two people's hands side by side, and a crowd."""
    root = tmp_path / "coco"
    save_picture(root / "val2017/000000000785.jpg", np.concatenate([hand.picture for hand in hands], 1))
    people = [
        person(7, 785, hand_fields(hands[1], 64, np.ones(21)), hand_fields(hands[0], 0, SCORES)),
        person(8, 785, hand_fields(hands[2], 128, SCORES), NONE),
        person(9, 785, NONE, NONE, crowd=1),
    ]
    write(root / "annotations/coco_wholebody_val_v1.0.json", people)
    return root


def write(path, people):
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": 785, "file_name": "000000000785.jpg", "height": 64, "width": 192, "license": 1}]
    path.write_text(json.dumps({"info": {}, "licenses": [], "images": images, "annotations": people, "categories": []}))


def test_every_hand_of_every_person_is_a_row(coco, hands):
    listing = list_frames(f"coco_wholebody:{coco}?split=val", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["hand"].to_pylist() == ["left", "right", "left"]
    assert len(set(frames["frame_id"].to_pylist())) == 3
    valid = np.stack([np.ones(21, bool), SCORES > 0, SCORES > 0])
    np.testing.assert_array_equal(as_numpy(frames["joints_valid"]), valid)
    expected = np.stack([hands[1].uv_px, hands[0].uv_px, hands[2].uv_px])
    expected[:, :, 0] += [[64], [0], [128]]
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[valid], expected[valid], atol=1e-4)
    np.testing.assert_allclose(as_numpy(frames["bbox_px"])[:, :2], expected.min(1) - 2, atol=1e-3)
    assert set(frames["box_source"].to_pylist()) == {"given"}
    assert set(frames["supervision"].to_pylist()) == {"2d"}
    assert_joints_lie_on_the_hand(frames)


def test_an_unlabelled_pool_has_the_same_hands_and_boxes_but_no_joints(coco):
    known = list_frames(f"coco_wholebody:{coco}?split=val", TRUTH).frames
    frames = list_frames(f"coco_wholebody:{coco}?split=val", ListOptions()).frames
    assert_no_truth(frames)
    assert (frames["frame_id"], frames["bbox_px"]) == (known["frame_id"], known["bbox_px"])


def test_what_is_wrong_with_one_hand_is_that_rows_problem(coco, hands):
    good = hand_fields(hands[0], 0, SCORES)
    people = [
        person(1, 785, good | {"kpts": [0] * 63}, good),
        person(2, 785, good | {"kpts": [1] * 62}, good | {"box": None}),
        person(3, 12, good, NONE),
        person(4, 785, good | {"box": [500, 5, 20, 20]}, NONE),
    ]
    write(coco / "annotations/coco_wholebody_val_v1.0.json", people)
    listing = list_frames(f"coco_wholebody:{coco}?split=val", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth"] * 3 + ["bad_row", "bad_box"]
    assert listing.frames.num_rows == 1


def test_a_set_without_hands_and_one_without_annotations_are_one_clear_line(coco):
    write(coco / "annotations/coco_wholebody_val_v1.0.json", [person(9, 785, NONE, NONE, crowd=1)])
    with pytest.raises(InputError, match="no frame in it"):
        list_frames(f"coco_wholebody:{coco}?split=val", TRUTH)
    with pytest.raises(InputError, match=r"coco_wholebody_train_v1\.0\.json.*not complete"):
        list_frames(f"coco_wholebody:{coco}", TRUTH)


def test_an_entry_that_does_not_say_whether_there_is_a_hand_is_no_silence(coco, hands):
    good = hand_fields(hands[0], 0, SCORES)
    people = [
        person(1, 785, good | {"valid": 1}, good | {"valid": 0}), person(2, 785, good | {"valid": "yes"}, NONE),
        person(3, 785, NONE, good | {"valid": 2}), "somebody", person(5, 785, NONE, NONE),
    ]  # fmt: skip
    del people[-1]["lefthand_valid"]
    write(coco / "annotations/coco_wholebody_val_v1.0.json", people)
    listing = list_frames(f"coco_wholebody:{coco}?split=val", TRUTH)
    assert listing.frames["hand"].to_pylist() == ["left"]
    assert listing.quarantine["reason"].to_pylist() == ["bad_row"] * 5
    details = " ".join(listing.quarantine["detail"].to_pylist())
    for said in ("annotation 1: lefthand_valid is 'yes'", "annotation 2: righthand_valid is 2", "annotation 3: right"):
        assert said in details
    assert len(set(listing.quarantine["frame_id"].to_pylist())) == 5
