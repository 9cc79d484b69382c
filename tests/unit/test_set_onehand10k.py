"""frames/sets/onehand10k.py on miniatures in the layouts that mahdinobar/openpifpaf (openpifpaf/datasets/onehand10k.py
at a153850) and open-mmlab/mmpose (tests/data/onehand10k/test_onehand10k.json at d9f4d19) read."""

import json

import numpy as np
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, assert_no_truth, mirrored, rendered_hands, save_picture

TRUTH = ListOptions(with_truth=True)
NOT_LABELLED = [3, 20]


@pytest.fixture(scope="module")
def hands():
    first, second, third = rendered_hands(3)
    return [first, mirrored(second), third]


def write_line(name, hand, missing=()):
    """A line of label_joint.txt: whole pixels, -1,-1 for what is not labelled."""
    uv_px = np.rint(hand.uv_px).astype(int)
    uv_px[list(missing)] = -1
    height, width = hand.mask.shape
    return ",".join(map(str, [name, width, height, 1, *uv_px.ravel()]))


def write_pictures(root, hands):
    for split, numbers in (("Train", (0, 10)), ("Test", (0,))):
        for number in numbers:
            hand = hands[number // 10] if split == "Train" else hands[2]
            save_picture(root / split / f"source/{number}.jpg", hand.picture)
            if split == "Train":
                save_picture(root / split / f"mask/{number}.png", np.where(hand.mask, 250, 3).astype(np.uint8))


@pytest.fixture
def onehand10k(hands, tmp_path):
    root = tmp_path / "OneHand10K"
    write_pictures(root, hands)
    lines = [write_line("0.jpg", hands[0]), write_line("10.jpg", hands[1], NOT_LABELLED)]
    (root / "Train/label_joint.txt").write_text("\n".join(lines) + "\n")
    (root / "Test/label_joint.txt").write_text(write_line("0.jpg", hands[2]) + "\n")
    return root


def assert_are_the_hands(frames, hands):
    valid = np.ones((2, 21), bool)
    valid[1, NOT_LABELLED] = False
    np.testing.assert_array_equal(as_numpy(frames["joints_valid"]), valid)
    expected = np.rint(np.stack([hand.uv_px for hand in hands[:2]]))
    np.testing.assert_array_equal(as_numpy(frames["joints_uv_px"])[valid], expected[valid])
    assert np.isnan(as_numpy(frames["joints_uv_px"])[~valid]).all()
    assert frames["joints_mm"].null_count == 2
    assert_joints_lie_on_the_hand(frames)


def test_joints_and_masks_are_the_pictures(onehand10k, hands):
    listing = list_frames(f"onehand10k:{onehand10k}?hand=right", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["supervision"].to_pylist() == ["2d", "2d"]
    assert frames["intrinsics_source"].to_pylist() == ["assumed", "assumed"]
    assert frames["mask_png"].null_count == 0
    assert_are_the_hands(frames, hands)


def test_the_same_number_in_train_and_test_is_two_pictures_and_test_needs_no_mask(onehand10k, hands):
    frames = list_frames(f"onehand10k:{onehand10k}?hand=left&split=all", TRUTH).frames
    assert len(set(frames["frame_id"].to_pylist())) == 3
    assert frames["split"].to_pylist() == ["train", "train", "test"]
    assert set(frames["hand"].to_pylist()) == {"left"}
    np.testing.assert_array_equal(as_numpy(frames["joints_uv_px"])[2], np.rint(hands[2].uv_px))
    assert frames["mask_png"].is_valid().to_pylist() == [True, True, False]


def test_the_annotations_of_mmpose_stand_in_for_the_list(onehand10k, hands):
    (onehand10k / "Train/label_joint.txt").unlink()
    annotations, images = [], []
    for number, hand, missing in ((10, hands[1], NOT_LABELLED), (0, hands[0], [])):
        joints = np.column_stack([np.rint(hand.uv_px), np.ones(21)])
        joints[missing] = 0
        images.append({"file_name": f"Train/source/{number}.jpg", "height": 64, "width": 64, "id": number + 5})
        annotations.append(
            {"image_id": number + 5, "id": number + 5, "category_id": 1, "iscrowd": 0, "bbox": [1, 2, 3, 4],
             "segmentation": [], "area": 5, "keypoints": joints.ravel().tolist()}
        )  # fmt: skip
    categories = [{"supercategory": "hand", "id": 1, "name": "hand", "keypoints": [], "skeleton": []}]
    content = {"info": {}, "licenses": "", "images": images, "annotations": annotations, "categories": categories}
    (onehand10k / "annotations").mkdir()
    (onehand10k / "annotations/onehand10k_train.json").write_text(json.dumps(content))
    assert_are_the_hands(list_frames(f"onehand10k:{onehand10k}?hand=right", TRUTH).frames, hands)


def test_an_unlabelled_pool_opens_no_label(onehand10k):
    (onehand10k / "Train/label_joint.txt").unlink()
    frames = list_frames(f"onehand10k:{onehand10k}?hand=right", ListOptions()).frames
    assert frames.num_rows == 2
    assert_no_truth(frames)


def test_what_is_wrong_with_one_label_is_that_rows_problem(onehand10k, hands):
    labels = onehand10k / "Train/label_joint.txt"
    first, second = labels.read_text().splitlines()
    for number in (11, 12):
        save_picture(onehand10k / f"Train/source/{number}.jpg", hands[0].picture)
    other_size = write_line("11.jpg", hands[0]).replace(",64,64,", ",640,640,")
    labels.write_text("\n".join([first, second + ",7", other_size, "12.jpg,64,64,1,what"]))
    listing = list_frames(f"onehand10k:{onehand10k}?hand=right", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth"] * 3
    assert listing.frames.num_rows == 1


def test_the_hand_has_to_be_said_and_the_list_has_to_be_there(onehand10k):
    with pytest.raises(InputError, match=r"option 'hand'.*the data set does not say it"):
        list_frames(f"onehand10k:{onehand10k}", TRUTH)
    (onehand10k / "Train/label_joint.txt").unlink()
    with pytest.raises(InputError, match=r"label_joint\.txt"):
        list_frames(f"onehand10k:{onehand10k}?hand=left", TRUTH)
