"""frames/sets/stb.py on a miniature in the layout of zhjwustc/icip17_stereo_hand_pose_dataset (README.md at
0d11c4d)."""

import shutil

import numpy as np
import pytest
import scipy.io

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_annotations_are_counted, mirrored, rendered_hands, save_picture, through_camera

TRUTH = ListOptions(with_truth=True)
SEQUENCES = [f"B{background}{kind}" for background in range(1, 7) for kind in ("Counting", "Random")]
STEREO_K = np.array([[822.79041, 0, 318.47345], [0, 822.79041, 250.31296], [0, 0, 1]])
COLOUR_K = np.array([[607.92271, 0, 314.78337], [0, 607.88192, 236.42484], [0, 0, 1]])
# positionCalc.m at e824750: X_depth = R X_colour + t.
R = np.array([
    [0.99992395, -0.00304166, -0.01195165], [0.00297816, 0.99998137, -0.00532784],
    [0.01196763, 0.00529184, 0.99991438],
])  # fmt: skip
T_MM = np.array([-24.0381, -0.4563, -1.2326])
# handPara's 21 in our numbers: palm centre (as if half way to the middle's base), little to index, thumb.
ORDER = [0, *range(17, 21), *range(13, 17), *range(9, 13), *range(5, 9), *range(1, 5)]
NUMBERS = (0, 1, 10)


def para(joints_mm):
    """handPara [3][21][frames] of hands in one camera."""
    listed = []
    for joints in joints_mm:
        palm = (joints[0] + joints[9]) / 2
        listed.append(np.vstack([palm, joints[ORDER[1:]]]).T)
    return np.stack(listed, -1)


@pytest.fixture(scope="module")
def hands():
    """Left hands for pictures 0 to 10."""
    rendered = [mirrored(hand) for hand in rendered_hands(3)]
    return [rendered[number % 3] for number in range(11)]


@pytest.fixture(scope="module")
def stb(hands, tmp_path_factory):
    """Three instants of the first background, one of the others; picture 1 of the right camera is missing."""
    root = tmp_path_factory.mktemp("STB")
    views = {"BB_left": STEREO_K, "BB_right": STEREO_K, "SK_color": COLOUR_K}
    for view, K in views.items():
        for number in NUMBERS:
            seen = through_camera(hands[number], K, 640, 480)
            save_picture(root / f"images/B1Counting/{view}_{number}.png", seen.picture)
    (root / "images/B1Counting/BB_right_1.png").unlink()
    save_picture(root / "images/B1Counting/SK_depth_0.png", np.zeros((480, 640, 3), np.uint8))
    (root / "labels").mkdir()
    for sequence in SEQUENCES:
        num = 11 if sequence == "B1Counting" else 1
        joints_mm = [hand.joints_mm for hand in hands[:num]]
        scipy.io.savemat(root / f"labels/{sequence}_BB.mat", {"handPara": para(joints_mm)})
        in_depth_mm = [joints @ R.T + T_MM for joints in joints_mm]
        scipy.io.savemat(root / f"labels/{sequence}_SK.mat", {"handPara": para(in_depth_mm)})
        for view in views:
            copy = root / f"images/{sequence}/{view}_0.png"
            copy.parent.mkdir(exist_ok=True)
            if sequence != "B1Counting":
                shutil.copy(root / f"images/B1Counting/{view}_0.png", copy)
    return root


@pytest.mark.parametrize(("view", "K"), [("BB_left", STEREO_K), ("SK_color", COLOUR_K)])
def test_each_camera_sees_the_joints_on_the_hand(stb, hands, view, K):
    listing = list_frames(f"stb:{stb}?split=evaluation&view={view}&wrist=extrapolated", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert [uri.rsplit("_", 1)[1] for uri in frames["uri"].to_pylist()] == ["0.png", "1.png", "10.png", "0.png"]
    assert set(frames["hand"].to_pylist()) == {"left"}
    shown = [hands[number] for number in (*NUMBERS, 0)]
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), [hand.joints_mm for hand in shown], atol=1e-2)
    assert as_numpy(frames["joints_valid"]).all()
    for uv_px, hand in zip(as_numpy(frames["joints_uv_px"]), shown, strict=True):
        mask = through_camera(hand, K, 640, 480).mask
        u, v = np.rint(uv_px).astype(int).T
        inside = (u >= 0) & (v >= 0) & (u < 640) & (v < 480)
        assert inside.sum() > 10
        assert mask[v[inside], u[inside]].mean() > 0.8


def test_the_right_camera_stands_120_mm_to_the_right(stb, hands):
    frames = list_frames(f"stb:{stb}?split=evaluation&view=BB_right&wrist=extrapolated", TRUTH).frames
    right_mm = hands[0].joints_mm - [120.054, 0, 0]
    np.testing.assert_allclose(as_numpy(frames["joints_mm"])[0], right_mm, atol=1e-3)
    placed = as_numpy(frames["world_to_camera"])[0].reshape(3, 4)
    np.testing.assert_allclose(placed, np.column_stack([np.eye(3), [-120.054, 0, 0]]))


def test_views_of_an_instant_share_it_and_a_missing_one_is_told(stb):
    listing = list_frames(f"stb:{stb}?split=evaluation", TRUTH)
    frames = listing.frames
    assert listing.quarantine["reason"].to_pylist() == ["missing_file"]
    assert frames.num_rows == 11
    instants = dict(zip(frames["view_id"].to_pylist(), frames["instant_id"].to_pylist(), strict=True))
    assert instants == dict.fromkeys(("BB_left", "BB_right", "SK_color"), "stb/B1Random/0")
    known = frames["world_to_camera"].is_valid().to_pylist()
    assert known == [view != "SK_color" for view in frames["view_id"].to_pylist()]


def test_without_a_convention_the_wrist_is_unknown(stb, hands):
    frames = list_frames(f"stb:{stb}?view=BB_left", TRUTH).frames
    assert set(frames["split"].to_pylist()) == {"training"}
    assert frames["sequence_id"].to_pylist() == [f"stb/{sequence}" for sequence in SEQUENCES[2:]]
    valid = as_numpy(frames["joints_valid"])
    assert not valid[:, 0].any()
    assert valid[:, 1:].all()
    joints_mm = as_numpy(frames["joints_mm"])
    np.testing.assert_allclose(joints_mm[:, 1:], np.tile(hands[0].joints_mm[1:], (10, 1, 1)), atol=1e-3)
    assert np.isnan(joints_mm[:, 0]).all()


def test_an_unlabelled_pool_needs_no_labels(stb, tmp_path):
    shutil.copytree(stb / "images/B1Counting", tmp_path / "B1Counting")
    shutil.copytree(stb / "images/B1Random", tmp_path / "B1Random")
    frames = list_frames(f"stb:{tmp_path}?split=evaluation&view=SK_color", ListOptions()).frames
    assert frames.num_rows == 4
    assert frames["joints_mm"].null_count == frames["joints_uv_px"].null_count == 4
    assert set(frames["box_source"].to_pylist()) == {"region"}
    assert set(frames["fx"].to_pylist()) == {607.92271}
    with pytest.raises(InputError, match=r"B1Counting_SK\.mat.*not complete"):
        list_frames(f"stb:{tmp_path}?split=evaluation&view=SK_color", TRUTH)
    with pytest.raises(InputError, match="B2Counting: no pictures of BB_left"):
        list_frames(f"stb:{tmp_path}?view=BB_left", TRUTH)


def test_labels_that_do_not_fit_are_told(stb, hands, tmp_path):
    shutil.copytree(stb, tmp_path / "STB")
    labels = tmp_path / "STB/labels/B1Counting_BB.mat"
    scipy.io.savemat(labels, {"handPara": para([hand.joints_mm for hand in hands[:10]])})
    listing = list_frames(f"stb:{tmp_path / 'STB'}?split=evaluation&view=BB_left", TRUTH)
    assert listing.quarantine["detail"].to_pylist() == ["picture 10 has no label, the last is 9"]
    cells = np.empty((3, 21, 11), object)
    cells[:] = 1.0
    for broken in ({"handPara": np.zeros((21, 3, 11))}, {"other": np.zeros(3)}, {"handPara": cells}):
        scipy.io.savemat(labels, broken)
        with pytest.raises(InputError, match=r"B1Counting_BB\.mat: handPara"):
            list_frames(f"stb:{tmp_path / 'STB'}?split=evaluation&view=BB_left", TRUTH)


def test_all_that_actors_parse_is_counted(stb):
    assert_annotations_are_counted(f"stb:{stb}?split=evaluation")
