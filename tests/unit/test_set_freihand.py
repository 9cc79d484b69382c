"""frames/sets/freihand.py on a miniature in the layout of lmb-freiburg/freihand (utils/fh_utils.py at 517e13e)."""

import json

import numpy as np
import pytest

from made_freihand import dump, write_freihand
from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames, list_parts
from semihand.frames.options import ListOptions
from semihand.frames.sets.fits import mano_model
from semihand.tables import as_numpy
from sets_of_hands import assert_annotations_are_counted, assert_joints_lie_on_the_hand, rendered_hands, save_mano

NUM = 3
TRUTH = ListOptions(with_truth=True)


@pytest.fixture(scope="module")
def hands():
    return rendered_hands(NUM)


@pytest.fixture(scope="module")
def freihand(hands, tmp_path_factory):
    """Three samples in four versions, two evaluation pictures without truth."""
    return write_freihand(tmp_path_factory.mktemp("FreiHAND_pub_v2"), hands, 2)


def test_four_versions_of_a_sample_are_one_instant_with_one_truth(freihand, hands):
    listing = list_frames(f"freihand:{freihand}", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames.num_rows == 4 * NUM
    assert len(set(frames["frame_id"].to_pylist())) == 4 * NUM
    assert frames["instant_id"].to_pylist() == 4 * [f"freihand/training-{sample}" for sample in range(NUM)]
    expected = np.tile(np.stack([hand.joints_mm for hand in hands]), (4, 1, 1))
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), expected, atol=1e-3)
    assert set(frames["hand"].to_pylist()) == {"right"}
    assert set(frames["supervision"].to_pylist()) == {"3d"}
    assert_joints_lie_on_the_hand(frames)


def test_one_version_alone(freihand):
    frames = list_frames(f"freihand:{freihand}?version=sample", TRUTH).frames
    assert [uri.rsplit("/", 1)[1] for uri in frames["uri"].to_pylist()] == [
        f"{2 * NUM + k:08d}.jpg" for k in range(NUM)
    ]


def test_an_unlabelled_pool_has_neither_truth_nor_boxes_from_it(freihand):
    frames = list_frames(f"freihand:{freihand}", ListOptions()).frames
    for name in ("joints_mm", "joints_uv_px", "mask_png"):
        assert frames[name].null_count == frames.num_rows
    assert set(frames["box_source"].to_pylist()) == {"region"}


def test_evaluation_has_truth_only_where_it_was_released(freihand, hands, tmp_path):
    frames = list_frames(f"freihand:{freihand}?split=evaluation", TRUTH).frames
    assert frames["supervision"].to_pylist() == ["none", "none"]
    dump(freihand / "evaluation_xyz.json", [(hand.joints_mm / 1000).tolist() for hand in hands[-2:]])
    try:
        known = list_frames(f"freihand:{freihand}?split=evaluation", TRUTH).frames
    finally:
        (freihand / "evaluation_xyz.json").unlink()
    np.testing.assert_allclose(
        as_numpy(known["joints_mm"]), np.stack([hand.joints_mm for hand in hands[-2:]]), atol=1e-3
    )
    assert known["frame_id"] == frames["frame_id"]


def test_fits_come_with_the_users_mano_file(freihand, hands, tmp_path):
    mano = save_mano(tmp_path / "hand.npz")
    mean = mano_model(mano).hands_mean
    fits = []
    for hand in hands:
        pose = np.concatenate([hand.mano_pose[:3], hand.mano_pose[3:] - mean])
        fits.append([[*pose.tolist(), *hand.mano_shape.tolist(), 0.0, 0.0, 1.0]])
    dump(freihand / "training_mano.json", fits)
    try:
        frames = list_frames(f"freihand:{freihand}?version=gs&mano={mano}", TRUTH).frames
    finally:
        (freihand / "training_mano.json").unlink()
    assert set(frames["supervision"].to_pylist()) == {"mano"}
    for name in ("mano_pose", "mano_shape", "mano_translation_mm"):
        expected = np.stack([getattr(hand, name) for hand in hands])
        np.testing.assert_allclose(as_numpy(frames[name]), expected, atol=0.05 if name.endswith("mm") else 1e-5)


def test_what_is_wrong_in_one_sample_is_that_rows_problem(freihand, hands, tmp_path):
    listed = json.loads((freihand / "training_xyz.json").read_text())
    listed[1] = listed[1][:20]
    (freihand / "training_xyz.json").write_text(json.dumps(listed))
    (freihand / "training/rgb/00000002.jpg").rename(tmp_path / "away.jpg")
    try:
        listing = list_frames(f"freihand:{freihand}?version=gs", TRUTH)
    finally:
        (tmp_path / "away.jpg").rename(freihand / "training/rgb/00000002.jpg")
        dump(freihand / "training_xyz.json", [(hand.joints_mm / 1000).tolist() for hand in hands])
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_truth", "missing_file"]
    assert listing.frames.num_rows == 1


@pytest.mark.parametrize(
    ("query", "complaint"),
    [("?split=test", "option 'split'"), ("?verison=gs", "option 'verison'"), ("?mano=/nowhere.pkl", "no such file")],
)
def test_an_option_that_cannot_be_is_one_clear_line(freihand, query, complaint):
    dump(freihand / "training_mano.json", [[[0.0] * 61]] * NUM)
    try:
        with pytest.raises(InputError, match=complaint):
            list_frames(f"freihand:{freihand}{query}", TRUTH)
    finally:
        (freihand / "training_mano.json").unlink()


def test_an_unknown_set_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no data set is called so.*freihand"):
        list_frames(f"freehand:{tmp_path}", TRUTH)
    with pytest.raises(InputError, match="no folder"):
        list_frames(f"freihand:{tmp_path / 'gone'}", TRUTH)
    with pytest.raises(InputError, match="not complete"):
        list_frames(f"freihand:{tmp_path}", TRUTH)


def test_all_that_actors_parse_is_counted(freihand):
    assert_annotations_are_counted(f"freihand:{freihand}")


def test_masks_may_be_links_within_the_set_and_not_out_of_it(freihand, tmp_path):
    name, masks = f"freihand:{freihand}?version=gs", freihand / "training/mask"
    [plain] = list_parts(name, TRUTH)
    for target in (freihand / "masks", tmp_path / "masks"):
        masks.rename(target)
        masks.symlink_to(target)
        try:
            [listing] = list_parts(name, TRUTH)
        finally:
            masks.unlink()
            target.rename(masks)
        if target.parent == freihand:
            assert listing.frames.equals(plain.frames)
        else:
            assert listing.quarantine["reason"].to_pylist() == ["bad_path"] * NUM
