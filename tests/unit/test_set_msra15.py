"""frames/sets/msra15.py on a miniature as the authors' cvpr15_MSRAHandGestureDB_readme.txt
(jimmysuen.github.io/txt) and geliuhao/CVPR2016_HandPoseEstimation (Projection/Projection/Projection.cpp at aa1d879)
describe it."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.pieces import held_pictures
from semihand.frames.reading import read_pictures
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, assert_no_truth, rendered_hands, through_camera

TRUTH = ListOptions(with_truth=True)
K = np.array([[241.42, 0, 160], [0, 241.42, 120], [0, 0, 1]])
FINGERS = (5, 9, 13, 17, 1)  # where index, middle, ring, little and thumb begin in our order
ORDER = [0, *(base + part for base in FINGERS for part in range(4))]


def box_of(hand):
    rows, columns = np.flatnonzero(hand.mask.any(1)), np.flatnonzero(hand.mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def save_depth(path, hand):
    left, top, right, bottom = box_of(hand)
    patch = hand.depth_mm[top:bottom, left:right].astype("<f4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<6I", 320, 240, left, top, right, bottom) + patch.tobytes())


def line_of(hand):
    """y up, z backwards."""
    return " ".join(f"{number:.6f}" for number in (hand.joints_mm[ORDER] * [1, -1, -1]).ravel()) + " "


@pytest.fixture(scope="module")
def hands():
    return [through_camera(hand, K, 320, 240) for hand in rendered_hands(4)]


@pytest.fixture
def msra15(hands, tmp_path):
    """Two frames of each of two people; a preview and a readme stand beside them."""
    root = tmp_path / "cvpr15_MSRAHandGestureDB"
    for sequence, these in (("P0/1", hands[:2]), ("P1/TIP", hands[2:])):
        for number, hand in enumerate(these):
            save_depth(root / sequence / f"{number:06d}_depth.bin", hand)
        (root / sequence / "000000_depth.jpg").write_bytes(b"preview")
        lines = [str(len(these)), *(line_of(hand) for hand in these)]
        (root / sequence / "joint.txt").write_text("\n".join(lines) + "\n")
    (root / "readme.txt").write_text("")
    return root


def test_joints_and_boxes_are_those_of_the_patches(msra15, hands):
    listing = list_frames(f"msra15:{msra15}", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), np.stack([hand.joints_mm for hand in hands]), atol=1e-3)
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"]), np.stack([hand.uv_px for hand in hands]), atol=1e-3)
    corners = np.array([box_of(hand) for hand in hands])
    boxes_px = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    np.testing.assert_array_equal(as_numpy(frames["bbox_px"]), boxes_px)
    assert set(frames["box_source"].to_pylist()) == {"given"}
    assert frames["subject_id"].to_pylist() == ["msra15/P0"] * 2 + ["msra15/P1"] * 2
    assert frames["sequence_id"].to_pylist() == ["msra15/P0/1"] * 2 + ["msra15/P1/TIP"] * 2
    assert_joints_lie_on_the_hand(frames)


def test_the_picture_as_read_holds_every_tenth_of_a_millimetre(msra15, hands):
    frames = list_frames(f"msra15:{msra15}", TRUTH).frames
    assert set(frames["modality"].to_pylist()) == {"depth"}
    for row, picture in read_pictures(frames):
        np.testing.assert_allclose(25.6 * picture[..., 1] + 0.1 * picture[..., 2], hands[row].depth_mm, atol=0.051)
        depth = np.asarray(Image.open(io.BytesIO(frames["depth_png"][row].as_py())))
        np.testing.assert_array_equal(depth, 256 * picture[..., 1].astype(int) + picture[..., 2])
        u, v = np.rint(hands[row].uv_px).astype(int).T
        assert (np.abs(depth[v, u] / 10 - hands[row].joints_mm[:, 2]) < 60).mean() > 0.6


def test_a_person_is_left_out(msra15):
    for query, people in (
        ("fold=1&split=test", ["P1"]),
        ("fold=1&split=train", ["P0"]),
        ("fold=5&split=train", ["P0", "P1"]),
    ):
        frames = list_frames(f"msra15:{msra15}?{query}", TRUTH).frames
        assert sorted(set(frames["subject_id"].to_pylist())) == [f"msra15/{person}" for person in people]
        assert set(frames["split"].to_pylist()) == {query.rpartition("=")[2]}


def test_an_unlabelled_pool_has_pictures_and_boxes_and_opens_no_label(msra15):
    known = list_frames(f"msra15:{msra15}", TRUTH).frames
    for path in msra15.glob("*/*/joint.txt"):
        path.unlink()
    frames = list_frames(f"msra15:{msra15}", ListOptions()).frames
    assert_no_truth(frames)
    for name in ("frame_id", "image", "bbox_px"):
        assert frames[name] == known[name]
    with pytest.raises(InputError, match=r"joint\.txt"):
        list_frames(f"msra15:{msra15}", TRUTH)


def test_what_is_wrong_with_one_frame_is_that_rows_problem(msra15, hands):
    folder = msra15 / "P1/TIP"
    whole = (folder / "000000_depth.bin").read_bytes()
    (folder / "000002_depth.bin").write_bytes(whole)  # without a label
    (folder / "000003_depth.bin").write_bytes(whole[:-1])
    (folder / "000004_depth.bin").write_bytes(whole[:20])
    (folder / "000005_depth.bin").write_bytes(struct.pack("<6I", 320, 240, 9, 9, 2**32 - 1, 2**32 - 1))
    (folder / "000006_depth.bin").write_bytes(struct.pack("<6I", 320, 240, 9, 9, 9, 9))
    (folder / "000007_depth.bin").write_bytes(b"")
    listing = list_frames(f"msra15:{msra15}", TRUTH)
    reasons = ["bad_truth", "truncated", "truncated", "unreadable", "unreadable", "empty_file"]
    assert listing.quarantine["reason"].to_pylist() == reasons
    assert len({*listing.quarantine["frame_id"].to_pylist(), *listing.frames["frame_id"].to_pylist()}) == 10


def test_labels_that_are_known_to_be_wrong_are_no_truth(msra15, hands):
    for number in (167, 168):
        save_depth(msra15 / f"P8/4/{number:06d}_depth.bin", hands[0])
    (msra15 / "P8/4/joint.txt").write_text("\n".join(["170", *([line_of(hands[0])] * 170)]))
    listing = list_frames(f"msra15:{msra15}?fold=8&split=test", TRUTH)
    assert (listing.frames.num_rows, listing.quarantine["reason"].to_pylist()) == (1, ["bad_truth"])
    assert list_frames(f"msra15:{msra15}?fold=8&split=test", ListOptions()).frames.num_rows == 2


def test_pictures_that_the_reader_makes_are_found_again_by_their_content(msra15):
    rows = list_frames(f"msra15:{msra15}", ListOptions()).frames.select(["content_sha256", "image"]).to_pylist()
    wanted = {row["content_sha256"]: row["image"] for row in rows[1::2]}
    assert held_pictures(f"msra15:{msra15}", wanted.keys()) == wanted
    assert held_pictures(f"msra15:{msra15}", {*wanted, "of none"}) == wanted
