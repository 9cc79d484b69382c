"""frames/sets/multiview.py: our own layout of calibrated recordings, and that of TemugeB/handpose3d (handpose3d.py
at 0676fe4)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sample_pictures import write_video
from scipy.spatial.transform import Rotation

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.multiview import Multiview, MultiviewOptions
from semihand.hand.camera import project, unproject
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, assert_no_truth, rendered_hands, rolled, save_picture

TRUTH = ListOptions(with_truth=True)
R, T_MM = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix(), np.array([40.0, -25.0, 300.0])
ROLL = np.diag([-1.0, -1.0, 1.0])


def in_world(joints_mm):
    return (joints_mm - T_MM) @ R


def save_cameras(path, hand, **more):
    """The camera that a hand was rendered through, and the same on its head."""
    pose = np.column_stack([R, T_MM])
    cameras = {
        "upright": {"intrinsics": hand.K.tolist(), "world_to_camera": pose.tolist()} | more,
        "on.its-head": {"intrinsics": rolled(hand).K.tolist(), "world_to_camera": (ROLL @ pose).tolist()} | more,
    }
    if path.suffix == ".json":
        path.write_text(json.dumps({"cameras": cameras}))
    else:
        lines = [f'[cameras."{name}"]\n' + "".join(f"{key} = {value}\n" for key, value in camera.items())
                 for name, camera in cameras.items()]  # fmt: skip
        path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def hand():
    return rendered_hands(1)[0]


@pytest.fixture
def recording(hand, tmp_path):
    """Two cameras; instant b is missing before the second, and only instant a is labelled."""
    root = tmp_path / "tuesday"
    for name, seen, instants in (("upright", hand, "ab"), ("on.its-head", rolled(hand), "a")):
        for instant in instants:
            save_picture(root / name / f"{instant}.png", seen.picture)
    save_cameras(root / "cameras.toml", hand)
    (root / "joints.json").write_text(json.dumps({"a": in_world(hand.joints_mm).tolist()}))
    return root


def test_views_of_an_instant_share_it_and_its_joints(recording, hand):
    listing = list_frames(f"multiview:{recording}?hand=right", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["view_id"].to_pylist() == ["upright", "upright", "on.its-head"]
    assert frames["instant_id"].to_pylist() == ["tuesday/a", "tuesday/b", "tuesday/a"]
    assert set(frames["dataset"].to_pylist()) == set(frames["sequence_id"].to_pylist()) == {"tuesday"}
    assert frames["supervision"].to_pylist() == ["3d", "none", "3d"]
    labelled = frames.take([0, 2])
    expected = np.stack([hand.joints_mm, rolled(hand).joints_mm])
    np.testing.assert_allclose(as_numpy(labelled["joints_mm"]), expected, atol=1e-3)
    expected = np.stack([hand.uv_px, rolled(hand).uv_px])
    np.testing.assert_allclose(as_numpy(labelled["joints_uv_px"]), expected, atol=1e-2)
    np.testing.assert_allclose(as_numpy(frames["world_to_camera"])[0], np.column_stack([R, T_MM]).ravel())
    assert_joints_lie_on_the_hand(labelled)


def test_cameras_may_stand_in_json(recording, hand):
    expected = list_frames(f"multiview:{recording}?hand=right", TRUTH).frames
    (recording / "cameras.toml").unlink()
    save_cameras(recording / "cameras.json", hand)
    assert list_frames(f"multiview:{recording}?hand=right", TRUTH).frames == expected


def test_joints_are_seen_through_the_lens_and_unknown_ones_stay_unknown(recording, hand):
    k1, k2, p1, p2 = -0.1, 0.02, 0.003, -0.002
    save_cameras(recording / "cameras.toml", hand, distortion=[k1, k2, p1, p2])
    joints = in_world(hand.joints_mm).tolist()
    joints[8] = [None, None, None]
    joints[4] = in_world(np.array([1.0, 2.0, -50.0])).tolist()  # behind the first camera
    (recording / "joints.json").write_text(json.dumps({"a": joints}))
    frame = list_frames(f"multiview:{recording}?hand=right", TRUTH).frames.to_pylist()[0]
    assert frame["distortion"] == [k1, k2, p1, p2]
    assert [joint for joint in range(21) if not frame["joints_valid"][joint]] == [4, 8]
    x, y = (hand.joints_mm[:, :2] / hand.joints_mm[:, 2:]).T
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    expected = np.stack([u, v], -1) @ hand.K[:2, :2] + hand.K[:2, 2]
    valid = frame["joints_valid"]
    np.testing.assert_allclose(np.array(frame["joints_uv_px"])[valid], expected[valid], atol=1e-3)


def test_frames_of_videos_with_one_number_are_one_instant(recording):
    for name in ("upright", "on.its-head"):
        write_video(recording / f"{name}.mp4", 6, size=(64, 64))
    frames = list_frames(f"multiview:{recording}?hand=left&frame_step=2", TRUTH).frames
    assert frames["video_frame"].to_pylist() == [0, 2, 4] * 2
    assert frames["instant_id"].to_pylist() == ["tuesday/0", "tuesday/2", "tuesday/4"] * 2
    assert frames["timestamp_s"].to_pylist() == pytest.approx([0, 0.08, 0.16] * 2)
    assert (set(frames["hand"].to_pylist()), set(frames["sequence_id"].to_pylist())) == ({"left"}, {"tuesday"})
    assert len(set(frames["frame_id"].to_pylist())) == 6


def test_an_unlabelled_pool_opens_no_joints(recording):
    (recording / "joints.json").write_text("[")
    frames = list_frames(f"multiview:{recording}?hand=right", ListOptions()).frames
    assert frames.num_rows == 3
    assert_no_truth(frames)
    with pytest.raises(InputError, match=r"joints\.json: cannot be read"):
        list_frames(f"multiview:{recording}?hand=right", TRUTH)


def test_what_is_wrong_with_one_instant_is_its_rows_problem(recording, hand):
    (recording / "joints.json").write_text(json.dumps({"a": in_world(hand.joints_mm[:20]).tolist()}))
    (recording / "upright/c.jpg").write_bytes(b"no picture")
    listing = list_frames(f"multiview:{recording}?hand=right", TRUTH)
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_truth", "bad_truth", "not_a_picture"]
    assert listing.frames.num_rows == 1


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"world_to_camera": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0]]}, "camera upright: the camera's rotation"),
        ({"intrinsics": [[50, 1, 32], [0, 50, 32], [0, 0, 1]]}, r"not \[\[fx, 0, cx\]"),
        ({"intrinsics": [[50, 0, 32], [0, 50, 32]]}, "cameras.upright.intrinsics"),
        ({"distortion": [0.1, 0.2]}, "2 distortion coefficients"),
        ({"focal": 50}, "cameras.upright.focal"),
    ],
)
def test_a_camera_that_cannot_be_is_one_clear_line(recording, hand, changed, complaint):
    save_cameras(recording / "cameras.toml", hand, **changed)
    with pytest.raises(InputError, match=complaint):
        list_frames(f"multiview:{recording}?hand=right", TRUTH)


def test_what_the_folder_lacks_is_named(recording, hand, tmp_path):
    with pytest.raises(InputError, match="option 'hand'"):
        list_frames(f"multiview:{recording}", TRUTH)
    with pytest.raises(InputError, match="neither cameras"):
        list_frames(f"multiview:{tmp_path}?hand=right", TRUTH)
    (recording / "upright").rename(recording / "elsewhere")
    with pytest.raises(InputError, match="upright: No such file"):
        list_frames(f"multiview:{recording}?hand=right", TRUTH)
    (recording / "cameras.toml").write_text(
        '[cameras."../up"]\nintrinsics = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n'
        "world_to_camera = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]\n"
    )
    with pytest.raises(InputError, match=r"camera '../up' names no folder"):
        list_frames(f"multiview:{recording}?hand=right", TRUTH)


def save_dat(folder, number, K, pose, text=""):
    """A camera as TemugeB/handpose3d stores it; after its pose, that from one camera to the next may follow."""

    def rows(values):
        return "".join(" ".join(map(str, row)) + " \n" for row in np.atleast_2d(values).tolist())

    folder.mkdir(exist_ok=True)
    (folder / f"c{number}.dat").write_text(f"intrinsic:\n{rows(K)}distortion:\n{rows(np.zeros(5))}")
    (folder / f"rot_trans_c{number}.dat").write_text(f"R:\n{rows(pose[:, :3])}T:\n{rows(pose[:, 3:])}{text}")


def test_a_stereo_calibration_in_squares_needs_their_size(hand, tmp_path):
    pose = np.column_stack([R, T_MM / 25])
    other = "\n#below is rotation and translation to go from cam0 to cam1.\nR:\n1 0 0\n0 1 0\n0 0 1\nT:\n9\n9\n9\n"
    save_dat(tmp_path / "camera_parameters", 0, hand.K, pose)
    save_dat(tmp_path / "camera_parameters", 1, hand.K, ROLL @ pose, other)
    write_video(tmp_path / "cam0.mp4", 3, size=(64, 64))
    (tmp_path / "media").mkdir()
    write_video(tmp_path / "media/cam1_test.mp4", 3, size=(64, 64))
    with pytest.raises(InputError, match="square_mm="):
        list_frames(f"multiview:{tmp_path}?hand=right", TRUTH)
    frames = list_frames(f"multiview:{tmp_path}?hand=right&square_mm=25", TRUTH).frames
    assert frames["view_id"].to_pylist() == ["cam0"] * 3 + ["cam1"] * 3
    poses = as_numpy(frames["world_to_camera"]).reshape(-1, 3, 4)
    np.testing.assert_allclose(poses[[0, 3]], [np.column_stack([R, T_MM]), ROLL @ np.column_stack([R, T_MM])])
    (tmp_path / "camera_parameters/rot_trans_c1.dat").write_text("R:\n1 0 0\n0 1\n")
    with pytest.raises(InputError, match=r"c1\.dat: R:"):
        list_frames(f"multiview:{tmp_path}?hand=right&square_mm=25", TRUTH)


# Points found by eye in frame 250 of the recording, cam0 and cam1: three marks of the pad, then tips of thumb, index,
# middle and little finger.
SEEN_PX = np.array(
    [[[188, 481], [637, 584], [308, 556], [645, 225], [601, 320], [540, 333], [438, 302]],
     [[486, 690], [632, 408], [580, 608], [413, 260], [514, 292], [526, 312], [460, 376]]], np.float64
)  # fmt: skip


def test_marks_in_the_real_recording_meet_in_space():
    folder = os.environ.get("SEMIHAND_REAL_DATA")
    if not folder or not (path := Path(folder) / "two_view_video").is_dir():
        pytest.skip("SEMIHAND_REAL_DATA is not set to a folder with two_view_video/")
    square_mm = 28.0
    frames = list_frames(f"multiview:{path}?hand=right&square_mm={square_mm}&frame_step=125", TRUTH).frames
    assert frames["instant_id"].to_pylist() == [f"two_view_video/{number}" for number in (0, 125, 250, 375)] * 2
    rows = [frame for frame in frames.to_pylist() if frame["video_frame"] == 250]
    equations, values = [], []
    for frame, uv_px in zip(rows, SEEN_PX, strict=True):
        K, pose = camera_of(frame)
        rays = unproject(uv_px, np.ones(len(uv_px)), K, np.array(frame["distortion"]))
        equations.append(pose[:2, :3] - rays[:, :2, None] * pose[2, :3])
        values.append(rays[:, :2] * pose[2, 3] - pose[:2, 3])
    points_mm = np.stack(
        [np.linalg.lstsq(a, b)[0] for a, b in zip(np.hstack(equations), np.hstack(values), strict=True)]
    )
    for frame, uv_px in zip(rows, SEEN_PX, strict=True):
        K, pose = camera_of(frame)
        seen = project(points_mm @ pose[:, :3].T + pose[:, 3], K, np.array(frame["distortion"]))
        assert np.linalg.norm(seen - uv_px, axis=-1).max() < 4
    assert np.ptp(points_mm[:3, 2]) < 0.1 * square_mm  # the pad lies flat on the board's plane
    assert (points_mm[3:, 2] < points_mm[:3, 2].min() - 2 * square_mm).all()  # and the hand above it


def camera_of(frame):
    K = np.array([[frame["fx"], 0, frame["cx"]], [0, frame["fy"], frame["cy"]], [0, 0, 1]])
    return K, np.array(frame["world_to_camera"]).reshape(3, 4)


def test_parts_are_small_enough_and_together_all_frames(tmp_path, hand):
    save_cameras(tmp_path / "cameras.toml", hand)
    for name in ("upright", "on.its-head"):
        (tmp_path / name).mkdir()
        for number in range(1003):
            (tmp_path / name / f"{number:06d}.jpg").touch()
    parts = Multiview(tmp_path, MultiviewOptions(hand="right")).parts()
    assert [len(part.about["instants"]) for part in parts] == [1000, 3] * 2
