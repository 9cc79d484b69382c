"""frames/sets/dexycb.py on a miniature in the layout of NVlabs/dex-ycb-toolkit (README.md at bcbed06f,
dex_ycb_toolkit/dex_ycb.py at e957432e, sequence_loader.py at 2f0d1a79)."""

import io
import itertools

import numpy as np
import pytest
from frames_tables import with_column
from PIL import Image
from scipy.spatial.transform import Rotation

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.dexycb import official_split
from semihand.frames.sets.named import open_set
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.tables import as_numpy
from sets_of_hands import (
    assert_joints_lie_on_the_hand,
    assert_no_truth,
    mirrored,
    rendered_hands,
    rolled,
    save_mano,
    save_picture,
)

TRUTH = ListOptions(with_truth=True)
MASTER, OTHER = "840412060917", "836212060125"
FIRST, SECOND = "20200709-subject-01/20200709_141754", "20200813-subject-02/20200813_145427"
# Where the master camera stands in the world: the identity in the release, something else here, so that it shows.
POSE = np.eye(4)
POSE[:3, :3], POSE[:3, 3] = Rotation.from_euler("xyz", [30.0, -10.0, 50.0], degrees=True).as_matrix(), [0.2, -0.7, 1.1]
HEAD = np.diag([-1.0, -1.0, 1.0, 1.0])
META = """serials:
- '{other}'
- '{master}'
num_frames: {frames}
extrinsics: '20200702_151821'
ycb_ids: [2, 5]
ycb_grasp_ind: 1
mano_sides:
- {side}
mano_calib:
- 20200709_140042_subject-01_{side}
"""


def save_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def save_meta(folder, side, frames):
    save_text(folder / "meta.yml", META.format(other=OTHER, master=MASTER, side=side, frames=frames))


def pose_m(hand):
    """51 numbers: global angles, components without the mean, translation in metres."""
    model = build_generic_hand()
    components = np.linalg.solve(model.hands_components.T, hand.mano_pose[3:] - model.hands_mean)
    return np.concatenate([hand.mano_pose[:3], components, hand.mano_translation_mm / 1000])


def save_frame(folder, frame, hand, labelled=True):
    save_picture(folder / f"color_{frame:06d}.jpg", hand.picture)
    depth = np.rint(hand.depth_mm).astype(np.uint16)
    save_picture(folder / f"aligned_depth_to_color_{frame:06d}.png", depth)
    seg = np.where(hand.mask & labelled, 255, 0).astype(np.uint8)
    seg[0, :5] = 5  # an object
    joint_3d, joint_2d = hand.joints_mm / 1000, hand.uv_px
    np.savez_compressed(
        folder / f"labels_{frame:06d}.npz", seg=seg, pose_y=np.zeros((2, 3, 4), np.float32),
        pose_m=(pose_m(hand) if labelled else np.zeros(51))[None].astype(np.float32),
        joint_3d=(joint_3d if labelled else np.full((21, 3), -1))[None].astype(np.float32),
        joint_2d=(joint_2d if labelled else np.full((21, 2), -1))[None].astype(np.float32),
    )  # fmt: skip


def save_calibration(root, hands):
    for serial, hand in ((MASTER, hands["right"]), (OTHER, rolled(hands["right"]))):
        K = hand.K
        text = f"color:\n  fx: {K[0, 0]}\n  fy: {K[1, 1]}\n  ppx: {K[0, 2]}\n  ppy: {K[1, 2]}\n  coeffs: [0.0]\n"
        save_text(root / f"calibration/intrinsics/{serial}_640x480.yml", text)
    text = "extrinsics:\n"
    for serial, to_world in ((OTHER, POSE @ HEAD), (MASTER, POSE), ("apriltag", np.eye(4))):
        name = serial if serial == "apriltag" else f"'{serial}'"
        text += f"  {name}: !!python/tuple\n" + "".join(f"  - {number}\n" for number in to_world[:3].reshape(-1))
    save_text(root / "calibration/extrinsics_20200702_151821/extrinsics.yml", f"{text}master: '{MASTER}'\n")
    betas = "".join(f"- {number}\n" for number in hands["right"].mano_shape)
    save_text(root / "calibration/mano_20200709_140042_subject-01_right/mano.yml", f"betas:\n{betas}")


@pytest.fixture(scope="module")
def hands():
    right, left = rendered_hands(2)
    return {"right": right, "left": mirrored(left)}


@pytest.fixture
def dexycb(hands, tmp_path):
    """A right hand and a frame without labels before two cameras, a left hand before two."""
    save_calibration(tmp_path, hands)
    save_meta(tmp_path / FIRST, "right", 2)
    save_meta(tmp_path / SECOND, "left", 1)
    for serial, turn in ((MASTER, lambda hand: hand), (OTHER, rolled)):
        save_frame(tmp_path / FIRST / serial, 0, turn(hands["right"]))
        save_frame(tmp_path / FIRST / serial, 1, turn(hands["right"]), labelled=False)
        save_frame(tmp_path / SECOND / serial, 0, turn(hands["left"]))
    return tmp_path


def test_a_hand_is_read_as_it_was_rendered_in_each_view(dexycb, hands):
    listing = list_frames(f"dexycb:{dexycb}?setup=s1&depth=yes", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH).frames.equals(with_column(frames, "depth_png", [None] * 6))
    assert frames["supervision"].to_pylist() == ["3d", "none", "3d", "none", "3d", "3d"]
    assert frames["hand"].to_pylist() == ["right"] * 4 + ["left"] * 2
    assert set(frames["split"].to_pylist()) == {"train"}
    np.testing.assert_allclose(as_numpy(frames["joints_mm"].slice(2, 1))[0], hands["right"].joints_mm, atol=1e-3)
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"].slice(2, 1))[0], hands["right"].uv_px, atol=1e-2)
    np.testing.assert_allclose(as_numpy(frames["joints_mm"].slice(5, 1))[0], hands["left"].joints_mm, atol=1e-3)
    mask, depth = (np.asarray(Image.open(io.BytesIO(frames[name][2].as_py()))) for name in ("mask_png", "depth_png"))
    np.testing.assert_array_equal(mask > 0, hands["right"].mask)
    np.testing.assert_array_equal(depth, 10 * np.rint(hands["right"].depth_mm).astype(int))
    assert_joints_lie_on_the_hand(frames.take([0, 2]))


def test_two_cameras_see_one_hand_in_the_world(dexycb, hands):
    frames = list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH).frames.take([0, 2])
    assert len(set(frames["instant_id"].to_pylist())) == 1
    assert frames["view_id"].to_pylist() == [OTHER, MASTER]
    world_mm = hands["right"].joints_mm @ POSE[:3, :3].T + 1000 * POSE[:3, 3]
    for joints_mm, pose in zip(as_numpy(frames["joints_mm"]), as_numpy(frames["world_to_camera"]), strict=True):
        R, t_mm = pose.reshape(3, 4)[:, :3], pose.reshape(3, 4)[:, 3]
        np.testing.assert_allclose((joints_mm - t_mm) @ R, world_mm, atol=1e-2)


def test_fits_of_right_hands_come_with_the_users_mano_file(dexycb, hands, tmp_path):
    mano = save_mano(tmp_path / "hand.npz")
    frames = list_frames(f"dexycb:{dexycb}?setup=s1&mano={mano}", TRUTH).frames
    assert frames["supervision"].to_pylist() == ["mano", "none", "mano", "none", "3d", "3d"]
    for name in ("mano_pose", "mano_shape", "mano_translation_mm"):
        given = np.array(frames[name][2].as_py())
        np.testing.assert_allclose(given, getattr(hands["right"], name), atol=1e-3 if name.endswith("mm") else 1e-5)
    left = save_mano(tmp_path / "left.npz", mirror=True)
    with pytest.raises(InputError, match="of the left hand"):
        list_frames(f"dexycb:{dexycb}?setup=s1&mano={left}", TRUTH)


def test_an_unlabelled_pool_has_neither_truth_nor_boxes_from_it(dexycb):
    known = list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH).frames
    for path in dexycb.glob("*/*/*/labels_*.npz"):
        path.unlink()
    frames = list_frames(f"dexycb:{dexycb}?setup=s1", ListOptions()).frames
    assert_no_truth(frames)
    assert frames["frame_id"] == known["frame_id"]


def test_splits_by_place_need_every_sequence(dexycb):
    with pytest.raises(InputError, match=r"1 sequences, but splits of s0 .* setup=s1"):
        list_frames(f"dexycb:{dexycb}", TRUTH)
    frames = list_frames(f"dexycb:{dexycb}?split=all", TRUTH).frames
    assert (frames.num_rows, frames["split"].null_count) == (6, 6)


def test_a_whole_subject_is_split_by_the_place_of_its_sequences(tmp_path):
    for place in range(100):
        save_meta(tmp_path / f"20201022-subject-10/20201022_{110000 + place}", "right", 3)
    parts = {split: open_set(f"dexycb:{tmp_path}?setup=s3&split={split}").parts() for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in parts.items()} == {"train": 75, "val": 10, "test": 15}
    assert [part.about["sequence"][-2:] for part in parts["val"]] == [f"{n}" for n in (*range(15, 20), *range(95, 100))]
    assert parts["val"][0].about["stop"] == 6


def test_the_splits_are_the_toolkits():
    places = list(itertools.product(range(10), range(100), range(8)))
    chosen = {
        ("s0", "train"): lambda s, i, c: i % 5 != 4,
        ("s0", "val"): lambda s, i, c: s < 2 and i % 5 == 4,
        ("s0", "test"): lambda s, i, c: s >= 2 and i % 5 == 4,
        ("s1", "train"): lambda s, i, c: s in (0, 1, 2, 3, 4, 5, 9),
        ("s1", "val"): lambda s, i, c: s == 6,
        ("s1", "test"): lambda s, i, c: s in (7, 8),
        ("s2", "train"): lambda s, i, c: c < 6,
        ("s2", "val"): lambda s, i, c: c == 6,
        ("s2", "test"): lambda s, i, c: c == 7,
        ("s3", "train"): lambda s, i, c: i // 5 not in (3, 7, 11, 15, 19),
        ("s3", "val"): lambda s, i, c: i // 5 in (3, 19),
        ("s3", "test"): lambda s, i, c: i // 5 in (7, 11, 15),
    }
    given = {setup: [official_split(setup, *place) for place in places] for setup in ("s0", "s1", "s2", "s3")}
    for (setup, split), belongs in chosen.items():
        assert [found == split for found in given[setup]] == [belongs(*place) for place in places]


def test_what_is_wrong_in_one_frame_is_that_rows_problem(dexycb):
    (dexycb / FIRST / OTHER / "labels_000000.npz").write_bytes(b"PK no archive")
    (dexycb / FIRST / MASTER / "color_000000.jpg").unlink()
    np.savez(dexycb / SECOND / MASTER / "labels_000000.npz", joint_3d=np.zeros((1, 20, 3)))
    whole = np.load(dexycb / SECOND / OTHER / "labels_000000.npz")
    records = np.zeros(3, {"names": ["a"], "formats": ["f8"]})  # which nobody asks for
    np.savez(dexycb / SECOND / OTHER / "labels_000000.npz", **whole, records=records, turns=1j * np.zeros(3))
    listing = list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH)
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_truth", "missing_file", "unreadable"]
    assert listing.frames.num_rows == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [(OTHER, "../../secrets"), ("'20200702_151821'", "../elsewhere"), ("num_frames: 2", "num_frames: many"),
     ("- right", "- upper"), ("serials:", "serials: !!python/object/apply:os.getcwd []\nother:")],
)  # fmt: skip
def test_a_description_that_is_none_is_refused_by_name(dexycb, old, new):
    path = dexycb / FIRST / "meta.yml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=r"meta\.yml"):
        list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH)


LAUGHS = "a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)  # a page of text that names 10^30 numbers


@pytest.mark.timeout(60)
def test_a_calibration_that_names_itself_over_and_over_is_refused_at_once(dexycb, tmp_path):
    mano = save_mano(tmp_path / "hand.npz")
    path = dexycb / "calibration/mano_20200709_140042_subject-01_right/mano.yml"
    path.write_text(f"{LAUGHS}betas: *a29\n")
    with pytest.raises(InputError, match=r"mano\.yml: cannot be read \(it repeats a part of itself by an alias"):
        list_frames(f"dexycb:{dexycb}?setup=s1&mano={mano}", TRUTH)
    path = dexycb / FIRST / "meta.yml"
    path.write_text(f"{LAUGHS}{path.read_text().replace('num_frames: 2', 'num_frames: *a29')}")
    with pytest.raises(InputError, match=r"meta\.yml: cannot be read"):
        list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH)
    path.write_text("# " + "x" * 2**18)
    with pytest.raises(InputError, match="the limit is 262144"):
        list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH)


def test_missing_calibration_and_a_wrong_folder_are_named(dexycb):
    (dexycb / f"calibration/intrinsics/{OTHER}_640x480.yml").unlink()
    with pytest.raises(InputError, match=r"640x480\.yml.*not complete"):
        list_frames(f"dexycb:{dexycb}?setup=s1", TRUTH)
    with pytest.raises(InputError, match="holds the subjects"):
        list_frames(f"dexycb:{dexycb / FIRST}", TRUTH)
