"""frames/sets/interhand.py on a miniature in the layout of facebookresearch/InterHand2.6M (DATASET.md at 8f194b3f,
tool/MANO_world_to_camera/convert.py at 1f11fe90) and facebookresearch/InterWild
(data/InterHand26M/InterHand26M.py at 6753d55c)."""

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.transform import Rotation

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames, list_parts
from semihand.frames.options import ListOptions
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.tables import as_numpy
from sets_of_hands import (
    assert_annotations_are_counted,
    assert_joints_lie_on_the_hand,
    assert_no_truth,
    mirrored,
    rendered_hands,
    rolled,
    save_mano,
    save_picture,
)

TRUTH = ListOptions(with_truth=True)
# skeleton.txt: r_thumb4 .. r_thumb1, index, middle, ring, pinky, r_wrist
PUBLISHED = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
CAMROT = Rotation.from_euler("xyz", [20.0, -40.0, 75.0], degrees=True).as_matrix()
CAMPOS_MM = np.array([300.0, -1200.0, 900.0])
ROM = "ROM01_No_Interaction_2_Hand"


def to_world(joints_mm):
    return joints_mm @ CAMROT + CAMPOS_MM


class Split:
    """The four files of a split, and its pictures."""

    def __init__(self, root, name):
        self.root, self.name = root, name
        self.data = {"images": [], "annotations": []}
        self.cameras, self.joints, self.fits = {}, {}, {}

    def add(self, folder, camera, frame, picture, K, hand_type):
        """A picture and its annotation, which the published files number alike."""
        number = 5000 + 7 * len(self.data["images"])
        file_name = f"Capture0/{folder}/cam{camera}/image{frame}.jpg"
        save_picture(self.root / "images" / self.name / file_name, picture)
        self.data["images"].append({
            "id": number, "file_name": file_name, "width": picture.shape[1], "height": picture.shape[0],
            "capture": 0, "subject": 1, "seq_name": folder, "camera": camera, "frame_idx": frame,
        })  # fmt: skip
        self.data["annotations"].append({
            "id": number, "image_id": number, "bbox": [1.0, 2.0, 30.0, 40.0], "joint_valid": [[1]] * 42,
            "hand_type": hand_type, "hand_type_valid": 1,
        })  # fmt: skip
        kept = self.cameras.setdefault("0", {"campos": {}, "camrot": {}, "focal": {}, "princpt": {}})
        kept["campos"][camera] = CAMPOS_MM.tolist()
        kept["camrot"][camera] = CAMROT.tolist()
        kept["focal"][camera] = [K[0, 0], K[1, 1]]
        kept["princpt"][camera] = K[:2, 2].tolist()

    def label(self, frame, right=None, left=None):
        """Joints of a frame, one filler for all that is not annotated."""
        world, valid = np.ones((42, 3)), np.zeros((42, 1), bool)
        for start, hand in ((0, right), (21, left)):
            if hand is not None:
                world[start : start + 21], valid[start : start + 21] = to_world(hand)[PUBLISHED], True
        self.joints.setdefault("0", {})[str(frame)] = {
            "world_coord": world.tolist(), "joint_valid": valid.tolist(), "hand_type": "right", "hand_type_valid": True,
        }  # fmt: skip

    def save(self, folder=None):
        kept = self.root / "annotations" / (folder or self.name)
        kept.mkdir(parents=True, exist_ok=True)
        tables = {"data": self.data, "camera": self.cameras, "joint_3d": self.joints, "MANO_NeuralAnnot": self.fits}
        for name, table in tables.items():
            (kept / f"InterHand2.6M_{self.name}_{name}.json").write_text(json.dumps(table))


@pytest.fixture(scope="module")
def hands():
    right, other, pair, val = rendered_hands(4)
    return {"right": right, "left": mirrored(other), "pair": pair, "val": val}


@pytest.fixture
def test_split(hands, tmp_path):
    """A right hand in two views, a left one, and a pair."""
    split = Split(tmp_path, "test")
    for folder, camera, frame, hand, hand_type in (
        (ROM, "400262", 21511, hands["right"], "right"),
        (ROM, "400263", 21511, rolled(hands["right"]), "right"),
        (ROM, "400264", 21517, hands["left"], "left"),
        ("0000_pair", "400265", 21523, hands["pair"], "interacting"),
    ):
        split.add(folder, camera, frame, hand.picture, hand.K, hand_type)
    split.cameras["0"]["camrot"]["400263"] = (np.diag([-1.0, -1.0, 1.0]) @ CAMROT).tolist()
    split.label(21511, right=hands["right"].joints_mm)
    split.label(21517, left=hands["left"].joints_mm)
    split.label(21523, hands["pair"].joints_mm, other_of(hands["pair"]))
    split.save()
    return split


def other_of(hand):
    """A left hand beside a right one."""
    return hand.joints_mm * [-1.0, 1.0, 1.0] + [90.0, 0.0, 0.0]


def test_every_hand_of_a_picture_is_a_row_with_its_own_truth(test_split, hands, tmp_path):
    listing = list_frames(f"interhand:{tmp_path}?split=test", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["hand"].to_pylist() == ["right", "right", "left", "right", "left"]
    assert len(set(frames["frame_id"].to_pylist())) == 5
    pair = hands["pair"].joints_mm
    expected = [hands["right"].joints_mm, rolled(hands["right"]).joints_mm, hands["left"].joints_mm, pair]
    np.testing.assert_allclose(as_numpy(frames["joints_mm"]), np.stack([*expected, other_of(hands["pair"])]), atol=1e-3)
    np.testing.assert_allclose(as_numpy(frames["joints_uv_px"])[2], hands["left"].uv_px, atol=1e-2)
    assert set(frames["supervision"].to_pylist()) == {"3d"}
    assert frames["subject_id"].to_pylist() == ["interhand/test-1"] * 5
    assert set(frames["intrinsics_source"].to_pylist()) == {"given"}
    assert_joints_lie_on_the_hand(frames)


def test_views_of_an_instant_agree_on_the_world(test_split, hands, tmp_path):
    frames = list_frames(f"interhand:{tmp_path}?split=test", TRUTH).frames.slice(0, 2)
    assert frames["instant_id"].to_pylist() == ["interhand/test-0/21511"] * 2
    assert frames["view_id"].to_pylist() == ["400262", "400263"]
    for joints_mm, pose in zip(as_numpy(frames["joints_mm"]), as_numpy(frames["world_to_camera"]), strict=True):
        R, t_mm = pose.reshape(3, 4)[:, :3], pose.reshape(3, 4)[:, 3]
        np.testing.assert_allclose((joints_mm - t_mm) @ R, to_world(hands["right"].joints_mm), atol=1e-3)


def test_only_validity_decides_which_joints_are_known(test_split, hands, tmp_path):
    labelled = test_split.joints["0"]["21511"]
    labelled["joint_valid"][20] = [False]  # the wrist, its coordinates left in place
    labelled["joint_valid"][0] = [0]
    test_split.joints["0"]["21523"]["joint_valid"] = [1] * 21 + [0] * 21  # as other releases write it
    test_split.save()
    frames = list_frames(f"interhand:{tmp_path}?split=test", TRUTH).frames
    valid = as_numpy(frames["joints_valid"].slice(0, 1))[0]
    assert np.flatnonzero(~valid).tolist() == [0, 4]
    assert np.isnan(as_numpy(frames["joints_mm"].slice(0, 1))[0][[0, 4]]).all()
    assert frames["supervision"].to_pylist() == ["3d", "3d", "3d", "3d", "none"]
    assert not frames["joints_mm"][4].is_valid


def test_equal_names_in_two_splits_are_two_frames(test_split, hands, tmp_path):
    for name in ("train", "val"):
        split = Split(tmp_path, name)
        split.add(ROM, "400262", 21511, hands["val"].picture, hands["val"].K, "right")
        split.label(21511, right=hands["val"].joints_mm)
        split.save()
    frames = list_frames(f"interhand:{tmp_path}?split=all", TRUTH).frames
    assert frames["split"].to_pylist() == ["train", "val", *["test"] * 5]
    for name in ("frame_id", "sequence_id", "instant_id", "subject_id"):
        assert len(set(frames[name].to_pylist()[:3])) == 3
    np.testing.assert_allclose(as_numpy(frames["joints_mm"])[1], hands["val"].joints_mm, atol=1e-3)


def test_the_first_version_keeps_its_annotations_elsewhere(test_split, hands, tmp_path):
    known = list_frames(f"interhand:{tmp_path}?split=test", TRUTH).frames
    (tmp_path / "annotations/test").rename(tmp_path / "annotations/all")
    split = Split(tmp_path, "val")
    split.add(ROM, "400262", 21511, hands["val"].picture, hands["val"].K, "right")
    split.label(21511, right=hands["val"].joints_mm)
    split.save("machine_annot")
    assert list_frames(f"interhand:{tmp_path}?split=test", TRUTH).frames.equals(known)
    assert list_frames(f"interhand:{tmp_path}?split=val", TRUTH).frames.num_rows == 1


def test_an_unlabelled_pool_has_the_same_frames_without_their_truth(test_split, tmp_path):
    known = list_frames(f"interhand:{tmp_path}?split=test", TRUTH).frames
    (tmp_path / "annotations/test/InterHand2.6M_test_joint_3d.json").write_text("never opened")
    frames = list_frames(f"interhand:{tmp_path}?split=test", ListOptions()).frames
    assert_no_truth(frames)
    assert frames["frame_id"] == known["frame_id"]


def published_fit(hand, side):
    """MANO of a hand in the camera as the set gives it: world frame, metres, no mean pose."""
    across = [-1.0, 1.0, 1.0] if side == "left" else [1.0, 1.0, 1.0]
    model = build_generic_hand()
    root_m = model.J_regressor[0] @ (model.v_template + model.shapedirs @ hand.mano_shape) * across
    turn = CAMROT.T @ Rotation.from_rotvec(hand.mano_pose[:3]).as_matrix()
    mean = model.hands_mean * np.tile([1.0, -1.0, -1.0] if side == "left" else 1.0, 15 if side == "left" else 1)
    world_mm = CAMROT.T @ (1000 * root_m + hand.mano_translation_mm) + CAMPOS_MM
    pose = [*Rotation.from_matrix(turn).as_rotvec(), *(hand.mano_pose[3:] - mean)]
    return {"pose": pose, "shape": hand.mano_shape.tolist(), "trans": (world_mm / 1000 - root_m).tolist()}


def test_fits_come_with_the_users_files_of_either_side(test_split, hands, tmp_path):
    test_split.fits["0"] = {
        "21511": {"right": published_fit(hands["right"], "right"), "left": None},
        "21517": {"right": None, "left": published_fit(hands["left"], "left")},
    }
    test_split.save()
    right, left = save_mano(tmp_path / "right.npz"), save_mano(tmp_path / "left.npz", mirror=True)
    frames = list_frames(f"interhand:{tmp_path}?split=test&mano={right}&mano_left={left}", TRUTH).frames
    assert frames["supervision"].to_pylist() == ["mano", "mano", "mano", "3d", "3d"]
    for row, side in ((0, "right"), (2, "left")):
        frame, hand = frames.slice(row, 1).to_pylist()[0], hands[side]
        pose = np.array(frame["mano_pose"])
        turns = Rotation.from_rotvec(np.stack([pose[:3], hand.mano_pose[:3]])).as_matrix()
        np.testing.assert_allclose(*turns, atol=1e-5)
        np.testing.assert_allclose(pose[3:], hand.mano_pose[3:], atol=1e-5)
        np.testing.assert_allclose(frame["mano_shape"], hand.mano_shape, atol=1e-5)
        np.testing.assert_allclose(frame["mano_translation_mm"], hand.mano_translation_mm, atol=0.01)
    alone = list_frames(f"interhand:{tmp_path}?split=test&mano={right}", TRUTH).frames
    assert alone["supervision"].to_pylist() == ["mano", "mano", "3d", "3d", "3d"]
    with pytest.raises(InputError, match="of the right hand"):
        list_frames(f"interhand:{tmp_path}?split=test&mano_left={right}", TRUTH)


def test_what_is_wrong_in_one_annotation_is_that_rows_problem(test_split, tmp_path):
    test_split.data["annotations"][1]["image_id"] = 4
    test_split.data["annotations"][2]["hand_type"] = "both"
    del test_split.cameras["0"]["campos"]["400265"]
    test_split.save()
    listing = list_frames(f"interhand:{tmp_path}?split=test", TRUTH)
    assert listing.frames["view_id"].to_pylist() == ["400262"]
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_hand", "bad_row", "bad_truth", "bad_truth"]


@pytest.mark.parametrize("wrong", [{"world_coord": [[1.0] * 3] * 41}, [[1.0] * 3] * 42])
def test_joints_of_another_shape_are_refused(test_split, tmp_path, wrong):
    test_split.joints["0"]["21517"] = wrong
    test_split.save()
    assert list_frames(f"interhand:{tmp_path}?split=test", TRUTH).quarantine["reason"].to_pylist() == ["bad_truth"]


def test_a_folder_without_annotations_is_named(tmp_path):
    with pytest.raises(InputError, match="no annotations/train"):
        list_frames(f"interhand:{tmp_path}", TRUTH)


def test_all_that_actors_parse_is_counted(test_split, hands, tmp_path):
    assert_annotations_are_counted(f"interhand:{tmp_path}?split=test")
    test_split.fits["0"] = {"21511": {"right": published_fit(hands["right"], "right"), "left": None}}
    test_split.save()
    assert_annotations_are_counted(f"interhand:{tmp_path}?split=test&mano={save_mano(tmp_path / 'right.npz')}")


def test_a_part_holds_no_more_rows_than_it_may_though_a_picture_shows_two_hands(test_split, tmp_path, monkeypatch):
    for annotation in test_split.data["annotations"]:
        annotation["hand_type"] = "interacting"
    test_split.save()
    name = f"interhand:{tmp_path}?split=test"
    whole = list_frames(name, ListOptions()).frames
    monkeypatch.setattr("semihand.frames.sets.reader.ROWS_PER_PART", 5)
    parts = [listing.frames for listing in list_parts(name, ListOptions())]
    assert [part.num_rows for part in parts] == [4, 4]
    assert pa.concat_tables(parts).equals(whole)
