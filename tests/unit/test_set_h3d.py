"""frames/sets/h3d.py on a miniature in the layout of thuml/Transfer-Learning-Library
(tllib/vision/datasets/keypoint_detection/hand_3d_studio.py at 9fcd99cb)."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, assert_no_truth, mirrored, rendered_hands, save_picture

TRUTH = ListOptions(with_truth=True)
UNIT_MM = 15.0


@pytest.fixture(scope="module")
def hands():
    return rendered_hands(3)


def save_crops(folder, hands):
    entries = []
    for number, hand in enumerate(hands):
        save_picture(folder / f"part{number + 1}/a.jpg", hand.picture)
        entries.append({
            "name": f"part{number + 1}/a.jpg", "keypoint2d": hand.uv_px.tolist(), "without_object": number % 2,
            "keypoint3d": (hand.joints_mm / UNIT_MM).tolist(), "intrinsic_matrix": hand.K.tolist(),
        })  # fmt: skip
    (folder / "annotation.json").write_text(json.dumps(entries))
    return entries


@pytest.fixture
def h3d(hands, tmp_path):
    save_crops(tmp_path, hands)
    return tmp_path


def test_joints_in_the_picture_are_the_truth_of_every_crop(h3d, hands):
    listing = list_frames(f"h3d:{h3d}?hand=right", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"]), np.stack([hand.uv_px for hand in hands]), atol=1e-3)
    assert set(frames["supervision"].to_pylist()) == {"2d"}
    assert frames["joints_mm"].null_count == 3
    np.testing.assert_allclose(frames["fx"].to_numpy(), [hand.K[0, 0] for hand in hands])
    assert set(frames["sequence_id"].to_pylist()) == {"h3d"}


def test_left_hands_with_a_unit_have_joints_in_space(hands, tmp_path):
    left = [mirrored(hand) for hand in hands]
    save_crops(tmp_path, left)
    frames = list_frames(f"h3d:{tmp_path}?hand=left&unit_mm={UNIT_MM}", TRUTH).frames
    assert set(frames["hand"].to_pylist()) == {"left"}
    assert set(frames["supervision"].to_pylist()) == {"3d"}
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), np.stack([hand.joints_mm for hand in left]), atol=1e-3)
    assert_joints_lie_on_the_hand(frames)


@pytest.mark.parametrize(("task", "parts"), [("noobject", ["part2"]), ("object", ["part1", "part3"])])
def test_hands_with_and_without_objects_apart(h3d, task, parts):
    uris = list_frames(f"h3d:{h3d}?hand=right&task={task}", TRUTH).frames["uri"].to_pylist()
    assert [uri.split("/")[-2] for uri in uris] == parts


def beside_the_axis(hand, towards_mm):
    """The same picture as a crop of a far larger one: its hand stands aside, and the camera looks past the crop."""
    joints_mm = hand.joints_mm - hand.joints_mm.mean(0) + towards_mm
    K = np.array([[430.0, 0, 0], [0, 430.0, 0], [0, 0, 1]])
    K[:2, 2] = 32 - 430 * np.array(towards_mm[:2]) / towards_mm[2]
    uvw = joints_mm @ K.T
    return replace(hand, joints_mm=joints_mm, K=K, uv_px=uvw[:, :2] / uvw[:, 2:])


def test_the_principal_point_of_a_crop_lies_as_far_outside_as_a_lens_sees(h3d, hands):
    aside = [beside_the_axis(hands[0], [900.0, -700.0, 1500.0]), beside_the_axis(hands[1], [2500.0, 0.0, 1500.0])]
    assert np.abs(aside[0].K[:2, 2]).min() > 150  # of a picture of 64 px
    save_crops(h3d, aside)
    listing = list_frames(f"h3d:{h3d}?hand=right&unit_mm={UNIT_MM}", TRUTH)
    np.testing.assert_allclose(as_numpy(listing.frames["joints_mm"]), aside[0].joints_mm[None], atol=1e-2)
    assert listing.quarantine["reason"].to_pylist() == ["bad_camera"]  # 59 degrees off the axis
    frames = listing.frames.to_pylist()[0]
    pq.write_table(listing.frames, h3d / "frames.parquet")
    with pytest.raises(InputError, match="principal point lies far outside"):  # nothing says that these are crops
        list_frames(h3d / "frames.parquet", TRUTH)
    assert frames["intrinsics_source"] == "given"


def test_an_unlabelled_pool_has_neither_truth_nor_boxes_from_it(h3d):
    frames = list_frames(f"h3d:{h3d}?hand=right", ListOptions()).frames
    assert_no_truth(frames)
    assert frames.num_rows == 3


def test_what_is_wrong_in_one_entry_is_that_rows_problem(h3d, hands):
    entries = save_crops(h3d, hands)
    entries[0]["keypoint3d"] = (hands[0].joints_mm / UNIT_MM + [1.0, 0.0, 0.0]).tolist()
    entries[1]["intrinsic_matrix"] = None
    entries.append({**entries[2], "name": "../outside.jpg"})
    entries.append(["no entry"])
    (h3d / "annotation.json").write_text(json.dumps(entries))
    save_picture(h3d.parent / "outside.jpg", hands[0].picture)
    listing = list_frames(f"h3d:{h3d}?hand=right&unit_mm={UNIT_MM}", TRUTH)
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_path", "bad_row", "bad_truth", "bad_truth"]
    assert listing.frames.num_rows == 1


def test_the_hand_must_be_said(h3d):
    with pytest.raises(InputError, match="option 'hand'"):
        list_frames(f"h3d:{h3d}", TRUTH)
