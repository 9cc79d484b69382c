"""frames/sets/mvhand.py on a miniature in the layout of ShichengChen/multiviewDataset (toolkits/toolkit.py at 37bb5213,
toolkits/globalCamera/camera.py at 419d2139)."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import (
    assert_joints_lie_on_the_hand,
    assert_no_truth,
    rendered_hands,
    rolled,
    save_picture,
    through_camera,
)

TRUTH = ListOptions(with_truth=True)
NAME = "7-14-1-2"
SERIALS = ["840412062035", "840412062037", "840412062038", "840412062076"]
# fx, fy, cx, cy of 035 and 076, the root
STANDING = np.array([[619.598, 0, 639 - 325.345], [0, 619.116, 479 - 245.441], [0, 0, 1]])
ROOT = np.array([[615.665, 0, 306.514], [0, 615.09, 240.344], [0, 0, 1]])
HEAD = np.diag([-1.0, -1.0, 1.0, 1.0])
ASIDE = np.eye(4)
ASIDE[:3, :3], ASIDE[:3, 3] = Rotation.from_euler("xyz", [5.0, -12.0, 3.0], degrees=True).as_matrix(), [80, -30, 40]
POSES = [HEAD, ASIDE, np.linalg.inv(ASIDE), np.eye(4)]
# README: 0 wrist, then index, middle, ring, pinky and thumb, each from its base to its tip
PUBLISHED = [0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 1, 2, 3, 4]


def save_view(folder, shot, hand):
    """Picture, mask, and depth as 8-bit colours: its low byte blue, its high byte green."""
    save_picture(folder / f"rgb/{shot}.jpg", hand.picture)
    save_picture(folder / f"mask/{shot}.jpg", np.repeat(hand.mask[..., None] * np.uint8(255), 3, -1))
    depth = np.rint(hand.depth_mm).astype(int)
    depth[0, 0] = 528
    packed = np.stack([np.zeros_like(depth), depth // 256, depth % 256], -1)
    save_picture(folder / f"depth/{shot}.png", packed.astype(np.uint8))


@pytest.fixture(scope="module")
def hands():
    return rendered_hands(2)


@pytest.fixture
def mvhand(hands, tmp_path):
    """Two instants before four cameras: one on its head, two elsewhere, and the root."""
    folder = tmp_path / NAME
    for frame, hand in enumerate(hands):
        save_view(folder, f"{frame:05d}_0", rolled(through_camera(hand, STANDING, 640, 480)))
        save_view(folder, f"{frame:05d}_3", through_camera(hand, ROOT, 640, 480))
        for view in (1, 2):
            save_picture(folder / f"rgb/{frame:05d}_{view}.jpg", hand.picture.repeat(8, 0).repeat(10, 1)[:480])
    joints = np.stack([np.c_[hand.joints_mm[PUBLISHED], np.ones(21)] for hand in hands])[..., None]
    (folder / "mlresults").mkdir()
    np.save(folder / f"mlresults/{NAME}-joints.npy", joints)
    (folder / "calib.pkl").write_bytes(pickle.dumps(dict(zip(SERIALS, POSES, strict=True))))
    return tmp_path


def test_four_views_are_one_hand_in_the_world(mvhand, hands):
    listing = list_frames(f"mvhand:{mvhand}", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["view_id"].to_pylist() == SERIALS * 2
    assert frames["instant_id"].to_pylist() == [f"mvhand/{NAME}/{frame}" for frame in (0, 0, 0, 0, 1, 1, 1, 1)]
    np.testing.assert_allclose(as_numpy(frames["joints_mm"])[3], hands[0].joints_mm, atol=1e-3)
    poses = as_numpy(frames["world_to_camera"]).reshape(-1, 3, 4)
    for row, (joints_mm, pose) in enumerate(zip(as_numpy(frames["joints_mm"]), poses, strict=True)):
        np.testing.assert_allclose((joints_mm - pose[:, 3]) @ pose[:, :3], hands[row // 4].joints_mm, atol=1e-3)
        np.testing.assert_allclose(np.linalg.inv(np.r_[pose, [[0, 0, 0, 1]]]), POSES[row % 4], atol=1e-9)
    assert set(frames["supervision"].to_pylist()) == {"3d"}
    assert_joints_lie_on_the_hand(frames)


def test_masks_and_depths_are_unpacked_where_they_are_given(mvhand, hands):
    assert list_frames(f"mvhand:{mvhand}", TRUTH).frames["depth_png"].null_count == 8
    frames = list_frames(f"mvhand:{mvhand}?depth=yes", TRUTH).frames
    assert frames["mask_png"].is_valid().to_pylist() == [True, False, False, True] * 2
    depth = np.asarray(Image.open(io.BytesIO(frames["depth_png"][3].as_py())))
    expected = 10 * np.rint(through_camera(hands[0], ROOT, 640, 480).depth_mm).astype(int)
    assert depth[0, 0] == 5280
    np.testing.assert_array_equal(depth[1:], expected[1:])


def test_an_unlabelled_pool_has_neither_truth_nor_boxes_from_it(mvhand):
    known = list_frames(f"mvhand:{mvhand}", TRUTH).frames
    (mvhand / NAME / f"mlresults/{NAME}-joints.npy").unlink()
    frames = list_frames(f"mvhand:{mvhand}", ListOptions()).frames
    assert_no_truth(frames)
    assert frames["frame_id"] == known["frame_id"]
    with pytest.raises(InputError, match="not complete"):
        list_frames(f"mvhand:{mvhand}", TRUTH)


def test_a_frame_beyond_the_joints_is_without_truth(mvhand, hands):
    save_picture(mvhand / NAME / "rgb/00002_1.jpg", through_camera(hands[0], ROOT, 640, 480).picture)
    assert list_frames(f"mvhand:{mvhand}", TRUTH).frames["supervision"].to_pylist() == ["3d"] * 8 + ["none"]


def test_a_camera_that_is_none_is_its_views_problem(mvhand):
    poses = [2 * HEAD, *POSES[1:]]
    (mvhand / NAME / "calib.pkl").write_bytes(pickle.dumps(dict(zip(SERIALS, poses, strict=True))))
    listing = list_frames(f"mvhand:{mvhand}", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_camera"] * 2
    assert listing.frames.num_rows == 6


@pytest.mark.parametrize("joints", [np.zeros((2, 21, 3)), np.array([None] * 2), np.full((2, 21, 4, 1), "a")])
def test_joints_that_are_none_are_refused_by_name(mvhand, joints):
    np.save(mvhand / NAME / f"mlresults/{NAME}-joints.npy", joints, allow_pickle=True)
    with pytest.raises(InputError, match=r"joints\.npy"):
        list_frames(f"mvhand:{mvhand}", TRUTH)


def test_calibration_that_runs_code_is_refused(mvhand):
    (mvhand / NAME / "calib.pkl").write_bytes(pickle.dumps({SERIALS[0]: print}))
    with pytest.raises(InputError, match=r"print.*refused"):
        list_frames(f"mvhand:{mvhand}", TRUTH)


def test_a_wrong_folder_is_named(mvhand):
    with pytest.raises(InputError, match="give the folder that holds"):
        list_frames(f"mvhand:{mvhand / NAME}", TRUTH)
