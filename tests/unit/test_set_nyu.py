"""frames/sets/nyu.py on a miniature after jonathantompson/jonathantompson.github.io (NYU_Hand_Pose_Dataset.htm at
3d58b70) and moberweger/deep-prior-pp (src/data/importers.py at 46fd495)."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.frames.sets import files
from semihand.frames.sets.nyu import EVALUATED
from semihand.hand.skeleton import JOINT_NAMES, reorder_to_semihand
from semihand.tables import as_numpy
from sets_of_hands import (
    assert_annotations_are_counted,
    assert_joints_lie_on_the_hand,
    assert_no_truth,
    rendered_hands,
    save_picture,
    through_camera,
)

TRUTH = ListOptions(with_truth=True)
WIDTH, HEIGHT = 640, 480
K = np.array([[588.036865, 0, 320], [0, 587.075073, 240], [0, 0, 1]])
# Where our joints stand among the 36: F1 is the little finger, KNU3_A its tip, KNU2_B the middle joint.
PLACES = {
    "little_tip": 0, "little_pip": 3, "ring_tip": 6, "ring_pip": 9, "middle_tip": 12, "middle_pip": 15,
    "index_tip": 18, "index_pip": 21, "thumb_tip": 24, "thumb_ip": 25, "thumb_mcp": 27,
}  # fmt: skip
KNOWN = np.array([name in PLACES for name in JOINT_NAMES])


def points_of(hand):
    """The 36 points, y up: those without a joint of ours lie about the wrist."""
    points_mm = hand.joints_mm[0] + np.linspace(-5, 5, 36)[:, None]
    for name, place in PLACES.items():
        points_mm[place] = hand.joints_mm[JOINT_NAMES.index(name)]
    return points_mm * [1, -1, 1]


def save_joints(path, points_mm):
    """points_mm: [3][frames][36][3]."""
    x, y, z = np.moveaxis(points_mm, -1, 0)
    u, v = 588.036865 * x / z + 320, 240 - 587.075073 * y / z
    names = np.empty((1, 36), object)
    names[0] = [f"P{place}" for place in range(36)]
    uvd = np.stack([u, v, z], -1)
    scipy.io.savemat(path, {"joint_names": names, "joint_xyz": points_mm, "joint_uvd": uvd}, do_compression=True)
    return uvd


def save_depth(path, hand):
    whole_mm = np.rint(hand.depth_mm).astype(np.uint16)
    save_picture(path, np.stack([0 * whole_mm, whole_mm >> 8, whole_mm & 255], -1).astype(np.uint8))


@pytest.fixture(scope="module")
def hands():
    """By frame and camera: in train two instants before three cameras, in test one before the first camera."""
    each = [through_camera(hand, K, WIDTH, HEIGHT) for hand in rendered_hands(7)]
    return {"train": [each[:3], each[3:6]], "test": [[each[6]] * 3]}


@pytest.fixture
def nyu(hands, tmp_path):
    root = tmp_path / "dataset"
    for split, frames in hands.items():
        for number, views in enumerate(frames, 1):
            for view, hand in enumerate(views, 1):
                if split == "train" or view == 1:
                    save_depth(root / split / f"depth_{view}_{number:07d}.png", hand)
        points_mm = np.stack([[points_of(views[view]) for views in frames] for view in range(3)])
        save_joints(root / split / "joint_data.mat", points_mm)
    return root


def test_the_first_cameras_points_are_joints_of_ours_where_they_have_counterparts(nyu, hands):
    listing = list_frames(f"nyu:{nyu}", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert [uri.rsplit("/", 1)[1] for uri in frames["uri"].to_pylist()] == [
        "depth_1_0000001.png", "depth_1_0000002.png",
    ]  # fmt: skip
    np.testing.assert_array_equal(as_numpy(frames["joints_valid"]), [KNOWN, KNOWN])
    joints_mm = as_numpy(frames["joints_mm"])
    expected = np.stack([views[0].joints_mm for views in hands["train"]])
    np.testing.assert_allclose(joints_mm[:, KNOWN], expected[:, KNOWN], atol=1e-3)
    assert np.isnan(joints_mm[:, ~KNOWN]).all()
    assert (set(frames["hand"].to_pylist()), set(frames["modality"].to_pylist())) == ({"right"}, {"depth"})
    assert_joints_lie_on_the_hand(frames)


def test_joints_lie_where_the_data_sets_own_pixels_have_them(nyu):
    frames = list_frames(f"nyu:{nyu}", TRUTH).frames
    uvd = scipy.io.loadmat(nyu / "train/joint_data.mat")["joint_uvd"][0]
    order = [PLACES[name] for name in JOINT_NAMES if name in PLACES]
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[:, KNOWN], uvd[:, order, :2], atol=1e-3)
    x, y, width, height = as_numpy(frames["bbox_px"]).T
    for low, size, pixels in ((x, width, uvd[..., 0]), (y, height, uvd[..., 1])):
        assert ((low < pixels.min(1)) & (low + size > pixels.max(1))).all()


def test_depth_is_that_of_the_picture_and_of_the_picture_as_read(nyu, hands):
    frames = list_frames(f"nyu:{nyu}", TRUTH).frames
    expected = [np.rint(views[0].depth_mm) for views in hands["train"]]
    for png, depth_mm in zip(frames["depth_png"].to_pylist(), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), 10 * depth_mm)
    for row, picture in read_pictures(frames):
        np.testing.assert_array_equal(256.0 * picture[..., 1] + picture[..., 2], expected[row])
    for frame, depth_mm in zip(frames.to_pylist(), expected, strict=True):
        u, v = np.rint(np.array(frame["joints_uv_px"])[KNOWN]).astype(int).T
        on_hand = depth_mm[v, u] > 0
        assert on_hand.mean() > 0.5  # the tips lie on the very edge
        assert (np.abs(depth_mm[v, u] - np.array(frame["joints_mm"])[KNOWN, 2])[on_hand] < 60).all()


def test_three_cameras_see_one_instant_and_missing_ones_are_no_rows(nyu, hands):
    frames = list_frames(f"nyu:{nyu}?camera=all&split=all", TRUTH).frames
    assert frames["view_id"].to_pylist() == ["1", "1", "2", "2", "3", "3", "1"]
    instants = ["nyu/train-0000001", "nyu/train-0000002"] * 3
    assert frames["instant_id"].to_pylist() == [*instants, "nyu/test-0000001"]
    joints_mm = as_numpy(frames["joints_mm"])
    np.testing.assert_allclose(joints_mm[3][KNOWN], hands["train"][1][1].joints_mm[KNOWN], atol=1e-3)
    np.testing.assert_allclose(joints_mm[6][KNOWN], hands["test"][0][0].joints_mm[KNOWN], atol=1e-3)


def test_the_people_of_test_change_at_frame_2441(nyu, hands):
    for number in (2440, 2441):
        save_depth(nyu / f"test/depth_1_{number:07d}.png", hands["test"][0][0])
    frames = list_frames(f"nyu:{nyu}?split=all", ListOptions()).frames
    assert frames["subject_id"].to_pylist() == [*["nyu/train"] * 2, *["nyu/test-1"] * 2, "nyu/test-2"]


def test_an_unlabelled_pool_opens_no_label(nyu):
    (nyu / "train/joint_data.mat").unlink()
    assert_no_truth(list_frames(f"nyu:{nyu}", ListOptions()).frames)
    with pytest.raises(InputError, match=r"joint_data\.mat.*not complete"):
        list_frames(f"nyu:{nyu}", TRUTH)


def test_what_is_wrong_in_one_frame_is_that_rows_problem(nyu, hands):
    save_depth(nyu / "train/depth_1_0000003.png", hands["train"][0][0])
    points_mm = np.stack([[points_of(views[view]) for views in hands["train"]] for view in range(3)])
    points_mm[0, 1, 5, 2] = np.nan
    save_joints(nyu / "train/joint_data.mat", points_mm)
    listing = list_frames(f"nyu:{nyu}", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth", "bad_truth"]
    assert listing.frames.num_rows == 1


def test_labels_of_another_layout_and_a_folder_without_pictures_are_named(nyu, tmp_path):
    save_joints(nyu / "train/joint_data.mat", np.ones((2, 2, 36, 3)))
    with pytest.raises(InputError, match="joint_xyz is float64 of shape"):
        list_frames(f"nyu:{nyu}", TRUTH)
    with pytest.raises(InputError, match="not complete"):
        list_frames(f"nyu:{tmp_path}", TRUTH)


def test_published_labels_of_the_test_set_are_right_hands_where_they_say(nyu):
    folder = os.environ.get("SEMIHAND_REAL_DATA")
    if not folder or not (path := Path(folder) / "nyu_results/nyu_test.npz").is_file():
        pytest.skip("SEMIHAND_REAL_DATA is not set to a folder with nyu_results/")
    uvd = np.load(path)["ground_truth_uvd"][::400].astype(np.float64)
    u, v, z = np.moveaxis(uvd, -1, 0)
    labels_mm = np.stack([(u - 320) * z / 588.03, (v - 240) * z / -587.07, z], -1)
    points_mm = np.repeat(labels_mm[:, :1], 36, axis=1)
    points_mm[:, list(EVALUATED)] = labels_mm
    save_joints(nyu / "test/joint_data.mat", np.repeat(points_mm[None], 3, 0))
    for number in range(len(uvd)):
        save_picture(nyu / f"test/depth_1_{number + 1:07d}.png", np.full((HEIGHT, WIDTH, 3), 3, np.uint8))
    frames = list_frames(f"nyu:{nyu}?split=test", TRUTH).frames
    seen = reorder_to_semihand(uvd[..., :2], "nyu14")
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[:, KNOWN], seen[:, KNOWN], atol=0.02)
    # Fingers bend towards the palm: to the side where, of a right hand, the turn from little finger over index to
    # finger tips is counter-clockwise.
    at = {name: as_numpy(frames["joints_mm"])[:, JOINT_NAMES.index(name)] for name in PLACES}
    bend = sum(at[f"{finger}_tip"] - at[f"{finger}_pip"] for finger in ("index", "middle", "ring", "little"))
    palmar = np.cross(at["index_pip"] - at["little_pip"], at["middle_pip"] - at["thumb_mcp"])
    assert ((bend * palmar).sum(-1) > 0).mean() > 0.9
    assert set(frames["hand"].to_pylist()) == {"right"}


def test_all_that_actors_parse_is_counted(nyu):
    assert_annotations_are_counted(f"nyu:{nyu}?split=all")


def test_the_users_limits_hold_for_labels(nyu, monkeypatch):
    with pytest.raises(InputError, match=r"joint_data\.mat: \d+ bytes, the limit is 100"):
        list_frames(f"nyu:{nyu}", ListOptions(with_truth=True, limits=Limits(max_annotation_bytes=100)))
    asked, one = [], files.one

    def noted(task, *item, limits, patience_s):
        asked.append((limits.max_file_s, patience_s))
        return one(task, *item, limits=limits, patience_s=patience_s)

    monkeypatch.setattr(files, "one", lambda task, *item, **how: (noted if task == "mat" else one)(task, *item, **how))
    files.forget_annotations()
    slow = Limits(max_file_s=123.0)
    assert list_frames(f"nyu:{nyu}", ListOptions(with_truth=True, limits=slow)).quarantine.num_rows == 0
    assert asked == [(123.0, files.for_a_file(slow))]


def test_a_picture_that_is_a_link_within_the_set_has_its_truth_too(nyu):
    picture = nyu / "train/depth_1_0000001.png"
    picture.rename(nyu / "kept.png")
    picture.symlink_to(nyu / "kept.png")
    listing = list_frames(f"nyu:{nyu}", TRUTH)
    assert (listing.frames.num_rows, listing.quarantine.num_rows) == (2, 0)
    assert listing.frames["depth_png"].null_count == 0
