"""frames/sets/icvl.py on a miniature as labicvl/labicvl.github.io (hand.html at 0cdf283), moberweger/deep-prior-pp
(src/data/importers.py at 46fd495) and xinghaochen/awesome-hand-pose-estimation
(evaluation/groundtruth/icvl/test_seq_1.txt at 03f1a8c) know the data set."""

import io

import numpy as np
import pytest
from PIL import Image

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from sets_of_hands import assert_no_truth, mirrored, rendered_hands, save_picture, through_camera

TRUTH = ListOptions(with_truth=True)
K = np.array([[241.42, 0, 160], [0, 241.42, 120], [0, 0, 1]])
BACKGROUND = 32001


def centres_of(hand):
    """Palm, then of every finger, thumb to little, the centres of its three parts: u, v in px, z in mm."""
    mm = [hand.joints_mm[[0, 9]].mean(0)]
    for base in (1, 5, 9, 13, 17):
        mm += [hand.joints_mm[base + part : base + part + 2].mean(0) for part in range(3)]
    x, y, z = np.array(mm).T
    return np.stack([241.42 * x / z + 160, 241.42 * y / z + 120, z], -1)


def line_of(path, hand):
    return f"{path} " + " ".join(f"{number:.3f}" for number in centres_of(hand).ravel()) + " "


def save_depth(path, hand):
    whole_mm = np.where(hand.depth_mm > 0, np.rint(hand.depth_mm), BACKGROUND).astype(np.uint16)
    save_picture(path, whole_mm)


@pytest.fixture(scope="module")
def hands():
    return [through_camera(mirrored(hand), K, 320, 240) for hand in rendered_hands(4)]


@pytest.fixture
def icvl(hands, tmp_path):
    """Two training pictures and turned copies of them, whose lines come between; two test recordings of one each."""
    root = tmp_path / "ICVL"
    lines = []
    for number, hand in enumerate(hands[:2]):
        for folder in ("201403121135", "22-5/201403121135"):
            path = f"{folder}/image_{number:04d}.png"
            save_depth(root / "Training/Depth" / path, hand)
            lines.append(line_of(path, hand))
    lines.append(line_of("201403121135/image_0007.png", hands[0]))  # its picture is missing
    (root / "Training/labels.txt").write_text("\n".join(lines) + "\n")
    for number, hand in enumerate(hands[2:], 1):
        path = f"test_seq_{number}/image_0000.png"
        save_depth(root / "Testing/Depth" / path, hand)
        (root / f"Testing/test_seq_{number}.txt").write_text(line_of(path, hand) + "\n\n")
    return root


def test_depth_and_box_are_the_hands_and_turned_copies_are_not_listed(icvl, hands):
    listing = list_frames(f"icvl:{icvl}", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["sequence_id"].to_pylist() == ["icvl/201403121135"] * 2
    assert (set(frames["hand"].to_pylist()), set(frames["modality"].to_pylist())) == ({"left"}, {"depth"})
    for frame, hand in zip(frames.to_pylist(), hands[:2], strict=True):
        depth = np.asarray(Image.open(io.BytesIO(frame["depth_png"])))
        np.testing.assert_array_equal(depth, 10 * np.rint(hand.depth_mm))
        x, y, width, height = frame["bbox_px"]
        u, v, _ = centres_of(hand).T
        assert x < u.min() <= u.max() < x + width
        assert y < v.min() <= v.max() < y + height
        assert max(width, height) < 1.2 * max(np.ptp(u), np.ptp(v))
        assert (frame["fx"], frame["cx"], frame["box_source"]) == (241.42, 160, "truth")


def test_centres_of_parts_are_no_joints(icvl):
    frames = list_frames(f"icvl:{icvl}?split=all", TRUTH).frames
    assert frames["split"].to_pylist() == ["training", "training", "testing", "testing"]
    for name in ("joints_mm", "joints_uv_px", "joints_valid"):
        assert frames[name].null_count == 4


def test_the_older_release_calls_its_labels_otherwise(icvl):
    expected = list_frames(f"icvl:{icvl}", TRUTH).frames
    (icvl / "Training/labels.txt").rename(icvl / "Training/train.txt")
    assert list_frames(f"icvl:{icvl}", TRUTH).frames == expected


def test_an_unlabelled_pool_opens_no_label(icvl):
    (icvl / "Training/labels.txt").unlink()
    frames = list_frames(f"icvl:{icvl}", ListOptions()).frames
    assert frames.num_rows == 2
    assert_no_truth(frames)
    with pytest.raises(InputError, match=r"labels\.txt"):
        list_frames(f"icvl:{icvl}", TRUTH)


def test_what_is_wrong_with_one_frame_is_that_rows_problem(icvl, hands):
    labels = icvl / "Training/labels.txt"
    good = labels.read_text()
    for number, more in ((2, "1 2 3"), (3, "north")):
        path = f"201403121135/image_{number:04d}.png"
        save_depth(icvl / "Training/Depth" / path, hands[0])
        good += line_of(path, hands[0]) + more + "\n"
    path = "201403121135/image_0004.png"
    save_picture(icvl / "Training/Depth" / path, hands[0].picture)  # three channels
    labels.write_text(good + line_of(path, hands[0]))
    listing = list_frames(f"icvl:{icvl}", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth", "bad_truth", "unreadable"]
    assert listing.frames.num_rows == 2


def test_a_list_of_another_release_is_named(icvl):
    (icvl / "Training/labels.txt").write_text("elsewhere/image_0000.png 1 2 3\n")
    with pytest.raises(InputError, match="no line about 201403121135"):
        list_frames(f"icvl:{icvl}", TRUTH)
