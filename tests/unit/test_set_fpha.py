"""frames/sets/fpha.py on a miniature in the layout of guiggh/hand_pose_action (README.md at b0e8557,
load_example.py at 3609b02)."""

import numpy as np
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, assert_no_truth, rendered_hands, save_picture, through_camera

TRUTH = ListOptions(with_truth=True)
DEPTH_K = np.array([[475.065948, 0, 315.944855], [0, 475.065857, 245.287079], [0, 0, 1]])
COLOUR_K = np.array([[1395.749023, 0, 935.732544], [0, 1395.749268, 540.681030], [0, 0, 1]])
# load_example.py, cam_extr
DEPTH_TO_COLOUR = np.array(
    [[0.999988496304, -0.00468848412856, 0.000982563360594, 25.7],
     [0.00469115935266, 0.999985218048, -0.00273845880292, 1.22],
     [-0.000969709653873, 0.00274303671904, 0.99999576807, 3.902],
     [0, 0, 0, 1]]
)  # fmt: skip
BASES = (1, 5, 9, 13, 17)
ORDER = [0, *BASES, *(base + part for base in BASES for part in (1, 2, 3))]
ACTIONS = "Training 2\nSubject_1/put_salt/1 0\nSubject_2/put_salt/1 0\nTest 1\nSubject_3/use_flash/2 1\n"


def in_depth(hand):
    """The joints of a hand that stands before the colour camera, in the depth camera."""
    return (np.linalg.inv(DEPTH_TO_COLOUR) @ np.column_stack([hand.joints_mm, np.ones(21)]).T).T[:, :3]


def save_sequence(root, sequence, hands, with_depth=True):
    for number, hand in enumerate(hands):
        folder = root / "Video_files" / sequence
        save_picture(folder / f"color/color_{number:04d}.jpeg", hand.picture)
        if with_depth:
            save_picture(folder / f"depth/depth_{number:04d}.png", np.full((480, 640), 500 + number, np.uint16))
    lines = [f"{number:04d} " + " ".join(f"{value:.6f}" for value in in_depth(hand)[ORDER].ravel())
             for number, hand in enumerate(hands)]  # fmt: skip
    path = root / "Hand_pose_annotation_v1" / sequence / "skeleton.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in reversed(lines)))  # by number, not by place
    return path


@pytest.fixture(scope="module")
def hands():
    return [through_camera(hand, COLOUR_K, 1920, 1080) for hand in rendered_hands(3)]


@pytest.fixture
def fpha(hands, tmp_path):
    root = tmp_path / "FPHA"
    save_sequence(root, "Subject_1/put_salt/1", hands[:2])
    save_sequence(root, "Subject_2/put_salt/1", hands[2:], with_depth=False)
    save_sequence(root, "Subject_2/close_milk/4", hands[:1])
    save_sequence(root, "Subject_3/use_flash/2", hands[:1], with_depth=False).write_text("")
    (root / "data_split_action_recognition.txt").write_text(ACTIONS)
    return root


def test_colour_and_depth_are_two_views_of_one_hand(fpha, hands):
    listing = list_frames(f"fpha:{fpha}?view=all", TRUTH)
    assert listing.quarantine.num_rows == 0
    frames = listing.frames.slice(0, 4)
    assert frames["view_id"].to_pylist() == ["colour", "colour", "depth", "depth"]
    assert frames["modality"].to_pylist() == ["rgb", "rgb", "depth", "depth"]
    assert frames["instant_id"].to_pylist() == [f"fpha/Subject_1/put_salt/1/{number}" for number in (0, 1, 0, 1)]
    joints_mm = as_numpy(frames["joints_mm"]).astype(np.float64)
    np.testing.assert_allclose(joints_mm[:2], [hand.joints_mm for hand in hands[:2]], atol=1e-3)
    np.testing.assert_allclose(joints_mm[2:], [in_depth(hand) for hand in hands[:2]], atol=1e-3)
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[:2], [hand.uv_px for hand in hands[:2]], atol=1e-2)
    world = [(pose[:, :3].T @ (mm - pose[:, 3]).T).T for pose, mm in
             zip(as_numpy(frames["world_to_camera"]).reshape(-1, 3, 4), joints_mm, strict=True)]  # fmt: skip
    np.testing.assert_allclose(world[:2], world[2:], atol=1e-2)
    assert_joints_lie_on_the_hand(frames)


def test_a_sequence_with_an_empty_skeleton_has_no_truth(fpha):
    frames = list_frames(f"fpha:{fpha}?view=all", TRUTH).frames
    assert frames["subject_id"].to_pylist() == ["fpha/Subject_1"] * 4 + ["fpha/Subject_3"]
    assert frames["supervision"].to_pylist() == ["3d"] * 4 + ["none"]
    assert frames["depth_png"].null_count == 5


@pytest.mark.parametrize(
    ("query", "people"),
    [
        ("split=test", {"Subject_2": 1}),
        ("split=train", {"Subject_1": 2, "Subject_3": 1}),
        ("split=train&view=all", {"Subject_1": 4, "Subject_3": 1}),
        ("protocol=action&view=colour", {"Subject_1": 2, "Subject_2": 1}),
        ("protocol=action&split=test", {"Subject_3": 1}),
        ("split=all&view=depth", {"Subject_1": 2}),
    ],
)
def test_splits_and_views(fpha, query, people):
    frames = list_frames(f"fpha:{fpha}?{query}", TRUTH).frames
    expected = [f"fpha/{person}" for person, num in people.items() for _ in range(num)]
    assert frames["subject_id"].to_pylist() == expected


def test_an_unlabelled_pool_opens_no_skeleton(fpha):
    (fpha / "Hand_pose_annotation_v1").rename(fpha / "elsewhere")
    assert_no_truth(list_frames(f"fpha:{fpha}", ListOptions()).frames)
    with pytest.raises(InputError, match="no folder Hand_pose_annotation_v1"):
        list_frames(f"fpha:{fpha}", TRUTH)
    (fpha / "elsewhere").rename(fpha / "Hand_pose_annotation_v1_1")
    assert list_frames(f"fpha:{fpha}", TRUTH).frames["supervision"].to_pylist()[0] == "3d"


def test_what_is_wrong_in_one_line_is_that_rows_problem(fpha):
    path = fpha / "Hand_pose_annotation_v1/Subject_1/put_salt/1/skeleton.txt"
    second, first = path.read_text().splitlines()
    path.write_text(f"{first} 12.0\n{second}\n0002 1 2 3\nend\n")
    listing = list_frames(f"fpha:{fpha}?view=all", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth"] * 2
    assert listing.frames["supervision"].to_pylist() == ["3d", "3d", "none"]


def test_a_list_of_splits_that_is_none_and_a_folder_without_videos_are_named(fpha, tmp_path):
    (fpha / "data_split_action_recognition.txt").write_text("Subject_1/put_salt/1 0\n")
    with pytest.raises(InputError, match="not with 'Training'"):
        list_frames(f"fpha:{fpha}?protocol=action", TRUTH)
    with pytest.raises(InputError, match=r"Video_files.*not complete"):
        list_frames(f"fpha:{tmp_path}", TRUTH)
