"""frames/sets/ho3d.py on a miniature in the layout of shreyashampali/ho3d (utils/vis_utils.py at 6bce77f, and v3's
README.txt)."""

import io
import json
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.tables import as_numpy
from sets_of_hands import assert_joints_lie_on_the_hand, rendered_hands, save_picture

TRUTH = ListOptions(with_truth=True)
OPENGL = np.diag([1.0, -1.0, -1.0])
# handJoints3D, in our numbers: wrist, index, middle, little, ring, thumb without tips, then thumb to little.
MANO_ORDER = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
QUARTER_TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # np.rot90 of a square picture
WORLD_FROM_CAMERA_0 = np.block(
    [[Rotation.from_rotvec([0.3, -0.8, 0.2]).as_matrix(), np.array([[0.1], [-0.4], [0.9]])], [np.zeros((1, 3)), 1.0]]
)


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def in_opengl(joints_mm):
    return (joints_mm[MANO_ORDER] / 1000) @ OPENGL


def train_meta(hand):
    """A rendered fit as HO-3D writes it: J0 is where the model's own wrist lies."""
    joints = in_opengl(hand.joints_mm)
    rest = (hand.joints_mm[0] - hand.mano_translation_mm) / 1000
    turn = Rotation.from_matrix(OPENGL @ Rotation.from_rotvec(hand.mano_pose[:3]).as_matrix()).as_rotvec()
    return {
        "handPose": np.concatenate([turn, hand.mano_pose[3:]]).astype(np.float32),
        "handTrans": (joints[0] - rest).astype(np.float32),
        "handBeta": hand.mano_shape.astype(np.float32),
        "handJoints3D": joints.astype(np.float32),
        "camMat": hand.K,
        "objName": "003_cracker_box",
        "objRot": np.zeros((3, 1)),
        "camIDList": ["0", "1"],
    }


def evaluation_meta(hand):
    low, high = hand.uv_px.min(0), hand.uv_px.max(0)
    return {"handJoints3D": in_opengl(hand.joints_mm)[0], "handBoundingBox": [*low, *high], "camMat": hand.K}


def small_mask(hand):
    """A quarter of the size, thin fingers kept."""
    rows, columns = hand.mask.shape
    return hand.mask.reshape(rows // 4, 4, columns // 4, 4).any((1, 3))


def coloured(mask, hand_channel, object_channel):
    """The hand, and the object on the left of it."""
    picture = np.zeros((*mask.shape, 3), np.uint8)
    picture[..., hand_channel] = mask * 255
    picture[:, :4, object_channel] = ~mask[:, :4] * np.uint8(255)
    return picture


def save_frame(root, split, name, hand, extension="jpg"):
    sequence, number = name.split("/")
    folder = root / split / sequence
    save_picture(folder / f"rgb/{number}.{extension}", hand.picture)
    raw = np.rint(hand.depth_mm / 0.12498664727900177).astype(np.uint16)
    save_picture(folder / f"depth/{number}.png", np.stack([raw % 256, raw // 256, 0 * raw], -1).astype(np.uint8))
    dump(folder / f"meta/{number}.pkl", train_meta(hand) if split == "train" else evaluation_meta(hand))


def save_calibration(folder):
    """Position 0 is camera 1, which is camera 0 turned by a quarter."""
    folder.mkdir(parents=True)
    (folder / "cam_orders.txt").write_text("1\n0\n")
    turned = np.eye(4)
    turned[:3, :3] = QUARTER_TURN.T
    np.savetxt(folder / "trans_0.txt", WORLD_FROM_CAMERA_0 @ turned)
    np.savetxt(folder / "trans_1.txt", WORLD_FROM_CAMERA_0)


@pytest.fixture(scope="module")
def hands():
    return rendered_hands(4, 128)


@pytest.fixture(scope="module")
def turned(hands):
    """What the second camera sees of the first hand: picture and hand turned by a quarter."""
    hand, last = hands[0], len(hands[0].picture) - 1
    K = np.array([[hand.K[1, 1], 0, hand.K[1, 2]], [0, hand.K[0, 0], last - hand.K[0, 2]], [0, 0, 1]])
    return replace(
        hand, picture=np.rot90(hand.picture).copy(), mask=np.rot90(hand.mask).copy(), depth_mm=np.rot90(hand.depth_mm),
        K=K, joints_mm=hand.joints_mm @ QUARTER_TURN.T,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ho3d(hands, turned, tmp_path_factory):
    """v3: two cameras of one instant, a single camera, a picture without truth, two for evaluation out of order."""
    root = tmp_path_factory.mktemp("HO3D_v3")
    for name, hand in {"ABF10/0000": hands[0], "ABF11/0000": turned, "MC1/0001": hands[1]}.items():
        save_frame(root, "train", name, hand)
        sequence, number = name.split("/")
        save_picture(root / f"train/{sequence}/seg/{number}.png", coloured(small_mask(hand), 2, 1))
    save_picture(root / "train/MC1/rgb/0000.jpg", hands[1].picture)
    dump(root / "train/MC1/meta/0000.pkl", dict.fromkeys(train_meta(hands[1])))
    save_frame(root, "evaluation", "SM1/0001", hands[2])
    save_frame(root, "evaluation", "AP10/0000", hands[3])
    (root / "train.txt").write_text("ABF10/0000\nABF11/0000\nMC1/0001\n")
    (root / "evaluation.txt").write_text("SM1/0001\nAP10/0000\n")
    save_calibration(root / "calibration/ABF1/calibration")
    return root


@pytest.fixture
def copy_of(ho3d, tmp_path):
    """A copy to break."""
    return shutil.copytree(ho3d, tmp_path / "HO3D_v3")


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_training_frames_are_the_rendered_hands_with_their_fits(ho3d, hands, turned):
    listing = list_frames(f"ho3d:{ho3d}?depth=yes", TRUTH)
    frames, expected = listing.frames, [hands[0], turned, hands[1]]
    assert listing.quarantine.num_rows == 0
    assert set(frames["supervision"].to_pylist()) == {"mano"}
    assert set(frames["hand"].to_pylist()) == {"right"}
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), [hand.joints_mm for hand in expected], atol=1e-3)
    for name in ("mano_pose", "mano_shape", "mano_translation_mm"):
        of_unturned = as_numpy(frames[name])[[0, 2]]
        np.testing.assert_allclose(of_unturned, [getattr(hands[k], name) for k in (0, 1)], atol=1e-3)
    for frame, hand in zip(frames.to_pylist(), expected, strict=True):
        mask = np.repeat(np.repeat(small_mask(hand), 4, 0), 4, 1)
        np.testing.assert_array_equal(decoded(frame["mask_png"]), mask * 255)
        np.testing.assert_allclose(decoded(frame["depth_png"]) / 10, hand.depth_mm, atol=0.13)
    assert_joints_lie_on_the_hand(frames)


def test_cameras_of_a_recording_share_instants_and_a_world(ho3d):
    frames = list_frames(f"ho3d:{ho3d}", TRUTH).frames
    assert frames["instant_id"].to_pylist() == ["ho3d/ABF1/0000", "ho3d/ABF1/0000", None]
    assert frames["view_id"].to_pylist() == ["0", "1", None]
    assert (
        frames["subject_id"].to_pylist() == frames["sequence_id"].to_pylist() == ["ho3d/ABF1", "ho3d/ABF1", "ho3d/MC1"]
    )
    assert frames["world_to_camera"].is_valid().to_pylist() == [True, True, False]
    poses = as_numpy(frames["world_to_camera"], np.nan)[:2].reshape(2, 3, 4)
    in_world = [
        (joints - pose[:, 3]) @ pose[:, :3]
        for joints, pose in zip(as_numpy(frames["joints_mm"])[:2], poses, strict=True)
    ]
    np.testing.assert_allclose(in_world[0], in_world[1], atol=1e-2)
    origin_mm = 1000 * WORLD_FROM_CAMERA_0[:3, 3]
    np.testing.assert_allclose(poses[0, :, :3] @ origin_mm + poses[0, :, 3], 0, atol=1e-6)


def test_version_2_has_png_pictures_and_red_hands(hands, tmp_path):
    save_frame(tmp_path, "train", "ABF10/0000", hands[0], "png")
    masks = tmp_path / "HO3D_v2_segmentations_rendered/train/ABF10/seg"
    save_picture(masks / "0000.jpg", coloured(small_mask(hands[0]), 0, 2))
    (tmp_path / "train.txt").write_text("ABF10/0000\n")
    frames = list_frames(f"ho3d:{tmp_path}", TRUTH).frames
    assert frames["uri"].to_pylist() == [str(tmp_path / "train/ABF10/rgb/0000.png")]
    assert frames["world_to_camera"].null_count == frames["depth_png"].null_count == 1
    assert_joints_lie_on_the_hand(frames)
    found = decoded(frames["mask_png"][0].as_py()) > 0
    assert (found != np.repeat(np.repeat(small_mask(hands[0]), 4, 0), 4, 1)).mean() < 0.02


def test_only_the_hands_own_colour_is_hand(copy_of, hands):
    picture = coloured(small_mask(hands[1]), 2, 1)
    picture[-4:] = 255
    save_picture(copy_of / "train/MC1/seg/0001.png", picture)
    mask = decoded(list_frames(f"ho3d:{copy_of}", TRUTH).frames["mask_png"][2].as_py())
    assert not mask[-16:].any()
    assert mask[:-16].any()


def test_evaluation_has_boxes_and_the_truth_where_it_was_released(ho3d, hands, copy_of):
    withheld = list_frames(f"ho3d:{ho3d}?split=evaluation", TRUTH).frames
    assert withheld["supervision"].to_pylist() == ["none", "none"]
    assert withheld["box_source"].to_pylist() == ["truth", "truth"]
    low, high = (np.array([edge(hand.uv_px, 0) for hand in hands[2:]]) for edge in (np.min, np.max))
    np.testing.assert_allclose(as_numpy(withheld["bbox_px"]), np.hstack([low, high - low]), atol=1e-3)
    released = [in_opengl(hand.joints_mm).tolist() for hand in hands[2:]]
    (copy_of / "evaluation_xyz.json").write_text(json.dumps(released))
    frames = list_frames(f"ho3d:{copy_of}?split=all", TRUTH).frames
    assert frames["split"].to_pylist() == ["train"] * 3 + ["evaluation"] * 2
    known = frames.slice(3)
    assert known["supervision"].to_pylist() == ["3d", "3d"]
    assert known["frame_id"] == withheld["frame_id"]
    np.testing.assert_allclose(as_numpy(known["joints_mm"]), [hand.joints_mm for hand in hands[2:]], atol=1e-3)
    (copy_of / "evaluation_xyz.json").write_text(json.dumps(released[:1]))
    with pytest.raises(InputError, match="must list 2 hands"):
        list_frames(f"ho3d:{copy_of}?split=evaluation", TRUTH)


def test_an_unlabelled_pool_has_cameras_but_no_truth(ho3d, hands):
    frames = list_frames(f"ho3d:{ho3d}?split=all&depth=yes", ListOptions()).frames
    for name in ("joints_mm", "joints_uv_px", "mano_pose", "mask_png", "depth_png"):
        assert frames[name].null_count == frames.num_rows == 5
    assert set(frames["box_source"].to_pylist()) == {"region"}
    assert frames["fx"].to_pylist()[2:] == [hand.K[0, 0] for hand in hands[1:]]


class Evil:
    def __reduce__(self):
        return os.system, ("echo no",)


def test_what_is_wrong_in_one_frame_is_that_rows_problem(copy_of):
    lines = ["ABF10/0000", "ABF11/0000", "MC1/0000", "MC1/0001", "../../etc/passwd", "MC1/0009"]
    (copy_of / "train.txt").write_text("\n".join(lines))
    dump(copy_of / "train/ABF11/meta/0000.pkl", Evil())
    listing = list_frames(f"ho3d:{copy_of}", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth", "bad_truth", "bad_path", "missing_file"]
    assert "refused" in listing.quarantine["detail"][0].as_py()
    assert listing.frames.num_rows == 2


@pytest.mark.timeout(60)
def test_a_pickle_that_names_itself_over_and_over_is_refused_at_once(copy_of, hands):
    laughs = [0.0] * 10
    for _ in range(30):
        laughs = [laughs] * 10
    dump(copy_of / "train/ABF10/meta/0000.pkl", train_meta(hands[0]) | {"handBeta": laughs})
    listing = list_frames(f"ho3d:{copy_of}", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth"]
    assert "not numbers of shape (10,)" in listing.quarantine["detail"][0].as_py()


def test_a_missing_list_of_frames_is_named(ho3d, tmp_path):
    with pytest.raises(InputError, match=r"train\.txt.*not complete"):
        list_frames(f"ho3d:{tmp_path}", TRUTH)


def test_what_belongs_to_a_frame_may_be_a_link_within_the_set(copy_of):
    plain = list_frames(f"ho3d:{copy_of}?depth=yes", TRUTH).frames
    kept = copy_of / "kept"
    kept.mkdir()
    for number, path in enumerate(sorted(path for path in copy_of.glob("train/*/*/*") if path.is_file())):
        path.symlink_to(path.rename(kept / f"{number}{path.suffix}"))
    for path in sorted(copy_of.glob("calibration/*/calibration/*.txt")):
        path.symlink_to(path.rename(kept / f"{path.parent.parent.name} {path.name}"))
    linked = list_frames(f"ho3d:{copy_of}?depth=yes", TRUTH).frames
    assert plain["mask_png"].null_count < plain.num_rows
    assert plain["world_to_camera"].null_count < plain.num_rows
    assert linked.drop_columns(["uri"]).equals(plain.drop_columns(["uri"]))
