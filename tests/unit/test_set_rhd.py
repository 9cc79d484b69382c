"""frames/sets/rhd.py on a miniature in the layout of lmb-freiburg/hand3d (create_binary_db.py at 9f00633)."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, mirrored, rendered_hands, save_picture, through_camera

TRUTH = ListOptions(with_truth=True)
# One hand's 21 in RHD, in our numbers: the wrist, then each finger from tip to base.
ORDER = [0, *(first + step for first in (1, 5, 9, 13, 17) for step in (3, 2, 1, 0))]
FAR = np.array([900.0, 0.0, 400.0])


def dump(path, value):
    path.write_bytes(pickle.dumps(value, protocol=2))


def half(hand, seen):
    """21 joints as RHD lists them: px and whether seen, metres."""
    uv_vis = np.column_stack([hand.uv_px[ORDER], np.full(21, float(seen))])
    return uv_vis, hand.joints_mm[ORDER] / 1000 + (0 if seen else FAR / 1000)


def entry(left, right, sees):
    halves = half(left, "left" in sees), half(right, "right" in sees)
    uv_vis, xyz = (np.concatenate(both) for both in zip(*halves, strict=True))
    return {"uv_vis": uv_vis, "xyz": xyz.astype(np.float32), "K": right.K.astype(np.float32)}


def save_sample(folder, number, hand, first_part):
    save_picture(folder / f"color/{number:05d}.png", hand.picture)
    parts = np.ones(hand.mask.shape, np.uint8)  # the person's body
    parts[hand.mask] = first_part + np.arange(hand.mask.sum()) % 16
    save_picture(folder / f"mask/{number:05d}.png", parts)
    raw = np.rint(hand.depth_mm / 5000 * 65535).astype(np.uint16)
    save_picture(folder / f"depth/{number:05d}.png", np.stack([raw // 256, raw % 256, 0 * raw], -1).astype(np.uint8))


@pytest.fixture(scope="module")
def hands():
    """A left hand and two right ones, before one camera."""
    first, *others = rendered_hands(3)
    left = mirrored(first)
    return [left, *(through_camera(hand, left.K, 64, 64) for hand in others)]


@pytest.fixture(scope="module")
def rhd(hands, tmp_path_factory):
    """Training: both hands, of which the pictures show the left, then a right one alone. Evaluation: a right one."""
    root = tmp_path_factory.mktemp("RHD_published_v2")
    left, right, other = hands
    save_sample(root / "training", 0, left, 2)
    save_sample(root / "training", 1, right, 18)
    save_sample(root / "evaluation", 0, other, 18)
    annotations = {1: entry(left, right, ("right",)), 0: entry(left, right, ("left", "right"))}
    dump(root / "training/anno_training.pickle", annotations)
    dump(root / "evaluation/anno_evaluation.pickle", {0: entry(left, other, ("right",))})
    return root


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_each_hand_that_is_seen_is_a_row_of_its_own(rhd, hands):
    left, right, _ = hands
    listing = list_frames(f"rhd:{rhd}?depth=yes", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["hand"].to_pylist() == ["left", "right", "right"]
    assert [uri.rsplit("/", 1)[1] for uri in frames["uri"].to_pylist()] == ["00000.png", "00000.png", "00001.png"]
    assert len(set(frames["frame_id"].to_pylist())) == 3
    assert set(frames["supervision"].to_pylist()) == {"3d"}
    truth = np.stack([left.joints_mm, right.joints_mm, right.joints_mm])
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), truth, atol=1e-3)
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[0], left.uv_px, atol=1e-2)
    masks = [decoded(mask) > 0 for mask in frames["mask_png"].to_pylist()]
    for found, expected in zip(masks, (left.mask, 0 * left.mask, right.mask), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(decoded(frames["depth_png"][2].as_py()) / 10, right.depth_mm, atol=0.1)
    assert_joints_lie_on_the_hand(frames.take([0, 2]))


def test_splits(rhd):
    evaluation = list_frames(f"rhd:{rhd}?split=evaluation", TRUTH).frames
    assert evaluation["hand"].to_pylist() == ["right"]
    assert evaluation["depth_png"].null_count == 1
    everything = list_frames(f"rhd:{rhd}?split=all", TRUTH).frames
    assert everything["split"].to_pylist() == ["training"] * 3 + ["evaluation"]


def test_an_unlabelled_pool_is_the_same_hands_without_truth(rhd):
    known, frames = (list_frames(f"rhd:{rhd}", options).frames for options in (TRUTH, ListOptions()))
    for name in ("frame_id", "hand", "fx", "cy"):
        assert frames[name] == known[name]
    for name in ("joints_mm", "joints_uv_px", "mask_png"):
        assert frames[name].null_count == frames.num_rows
    assert set(frames["box_source"].to_pylist()) == {"region"}


def test_what_is_wrong_in_one_sample_is_that_rows_problem(rhd, hands, tmp_path):
    left, right, _ = hands
    for number in range(3):
        save_sample(tmp_path / "training", number, right, 18)
    short = entry(left, right, ("right",))
    short["xyz"] = short["xyz"][:41]
    good = entry(left, right, ("right",))
    annotations = {0: short, 1: good, 2: good | {"K": 0 * good["K"]}, 3: good, 4: {"K": good["K"]}}
    dump(tmp_path / "training/anno_training.pickle", annotations)
    save_picture(tmp_path / "training/color/00004.png", right.picture)
    listing = list_frames(f"rhd:{tmp_path}", TRUTH)
    reasons = ["bad_truth", "bad_camera", "missing_file", "bad_truth", "bad_truth"]
    assert listing.quarantine["reason"].to_pylist() == reasons
    assert listing.frames.num_rows == 1


@pytest.mark.parametrize("broken", [b"", b"no pickle", pickle.dumps([1, 2]), pickle.dumps({"a": 1})])
def test_annotations_that_cannot_be_are_named(tmp_path, broken):
    (tmp_path / "training").mkdir()
    (tmp_path / "training/anno_training.pickle").write_bytes(broken)
    with pytest.raises(InputError, match=r"anno_training\.pickle"):
        list_frames(f"rhd:{tmp_path}", TRUTH)
