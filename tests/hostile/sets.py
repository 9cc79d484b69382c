"""Miniature data sets whose annotation files are mutated: JSON, pickles, .npz, .mat, .npy, YAML, TOML and text."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from semihand.frames.sets.dexycb import SERIALS
from sets_of_hands import Hand, rendered_hands, save_picture


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _of_a_camera(hand: Hand) -> np.ndarray:
    """A hand's picture as large as those of sets whose one camera stands in their readers."""
    return np.pad(hand.picture, [(0, 480 - hand.picture.shape[0]), (0, 640 - hand.picture.shape[1]), (0, 0)])


def freihand(root: Path, hands: list[Hand]) -> list[str]:
    """FreiHAND, one version, with masks."""
    for number in range(4 * len(hands)):
        save_picture(root / f"training/rgb/{number:08d}.jpg", hands[number % len(hands)].picture)
    for number, hand in enumerate(hands):
        save_picture(root / f"training/mask/{number:08d}.jpg", np.repeat(hand.mask[..., None] * np.uint8(255), 3, -1))
    _json(root / "training_K.json", [hand.K.tolist() for hand in hands])
    _json(root / "training_xyz.json", [(hand.joints_mm / 1000).tolist() for hand in hands])
    return ["training_K.json", "training_xyz.json", "training/mask/00000000.jpg"]


def rhd(root: Path, hands: list[Hand]) -> list[str]:
    """RHD: a pickle of dicts of arrays, masks and depth in channels."""
    samples = {}
    for number, hand in enumerate(hands):
        save_picture(root / f"training/color/{number:05d}.png", hand.picture)
        save_picture(root / f"training/mask/{number:05d}.png", (hand.mask * np.uint8(20)))
        seen = np.column_stack([hand.uv_px, np.ones(21)])
        samples[number] = {"uv_vis": np.tile(seen, (2, 1)), "xyz": np.tile(hand.joints_mm / 1000, (2, 1)), "K": hand.K}
    (root / "training/anno_training.pickle").write_bytes(pickle.dumps(samples, 2))
    return ["training/anno_training.pickle", "training/mask/00000.png"]


def ho3d(root: Path, hands: list[Hand]) -> list[str]:
    """HO-3D: a pickle a frame, masks at a quarter of the size, calibrations as text."""
    flip, lines = np.diag([1.0, -1.0, -1.0]), []
    for number, hand in enumerate(hands):
        name = f"ABF10/{number:04d}"
        save_picture(root / f"train/ABF10/rgb/{number:04d}.jpg", hand.picture)
        save_picture(root / f"train/ABF10/seg/{number:04d}.png", np.repeat(hand.mask[..., None] * np.uint8(255), 3, -1))
        meta = {"camMat": hand.K, "handJoints3D": hand.joints_mm / 1000 @ flip, "handPose": np.zeros(48),
                "handBeta": np.zeros(10), "handTrans": np.zeros(3), "objName": "x", "objLabel": 3}  # fmt: skip
        path = root / f"train/ABF10/meta/{number:04d}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(meta, 2))
        lines.append(name)
    (root / "train.txt").write_text("\n".join(lines))
    calibration = root / "calibration/ABF1/calibration"
    calibration.mkdir(parents=True)
    (calibration / "cam_orders.txt").write_text("0\n")
    (calibration / "trans_0.txt").write_text(" ".join(str(x) for x in np.eye(4).ravel()))
    return ["train.txt", "train/ABF10/meta/0000.pkl", "train/ABF10/seg/0000.png",
            "calibration/ABF1/calibration/cam_orders.txt", "calibration/ABF1/calibration/trans_0.txt"]  # fmt: skip


def dexycb(root: Path, hands: list[Hand]) -> list[str]:
    """DexYCB: YAML, an .npz and a 16-bit depth picture a frame."""
    scene, view = root / "20200709-subject-01/20200709_141754", SERIALS[0]
    for number, hand in enumerate(hands):
        save_picture(scene / view / f"color_{number:06d}.jpg", hand.picture)
        depth = Image.fromarray(np.clip(hand.depth_mm, 0, 60000).astype(np.uint16))
        depth.save(scene / view / f"aligned_depth_to_color_{number:06d}.png")
        np.savez_compressed(scene / view / f"labels_{number:06d}.npz", seg=hand.mask * np.uint8(255),
                            joint_3d=hand.joints_mm[None] / 1000, pose_m=np.zeros((1, 51)))  # fmt: skip
    (scene / "meta.yml").write_text(
        f"serials: ['{view}']\nnum_frames: {len(hands)}\nmano_sides: [right]\nmano_calib: [a]\nextrinsics: b\n"
    )
    lens = root / f"calibration/intrinsics/{view}_640x480.yml"
    lens.parent.mkdir(parents=True)
    K = hands[0].K
    lens.write_text(f"color: {{fx: {K[0, 0]}, fy: {K[1, 1]}, ppx: {K[0, 2]}, ppy: {K[1, 2]}}}\n")
    pose = root / "calibration/extrinsics_b/extrinsics.yml"
    pose.parent.mkdir(parents=True)
    numbers = np.eye(4)[:3].ravel().tolist()
    pose.write_text(f"extrinsics: {{'{view}': !!python/tuple {numbers}}}\n")
    folder = f"20200709-subject-01/20200709_141754/{view}"
    return [f"{folder}/labels_000000.npz", f"{folder}/aligned_depth_to_color_000000.png",
            "20200709-subject-01/20200709_141754/meta.yml", f"calibration/intrinsics/{view}_640x480.yml",
            "calibration/extrinsics_b/extrinsics.yml"]  # fmt: skip


def stb(root: Path, hands: list[Hand]) -> list[str]:
    """STB: MATLAB files."""
    for number, hand in enumerate(hands):
        save_picture(root / f"images/B1Counting/BB_left_{number}.png", _of_a_camera(hand))
        save_picture(root / f"images/B1Random/BB_left_{number}.png", _of_a_camera(hand))
    labels = np.stack([hand.joints_mm.T for hand in hands], -1)
    (root / "labels").mkdir()
    for name in ("B1Counting", "B1Random"):
        scipy.io.savemat(root / f"labels/{name}_BB.mat", {"handPara": labels}, do_compression=name == "B1Random")
    return ["labels/B1Counting_BB.mat", "labels/B1Random_BB.mat"]


def mvhand(root: Path, hands: list[Hand]) -> list[str]:
    """MVHand: an .npy of joints and a pickle of poses."""
    folder = root / "7-14-1-2"
    for number, hand in enumerate(hands):
        save_picture(folder / f"rgb/{number:05d}_0.jpg", _of_a_camera(hand))
        save_picture(folder / f"depth/{number:05d}_0.png", _of_a_camera(hand))
    joints = np.stack([np.column_stack([hand.joints_mm, np.ones(21)]) for hand in hands])[..., None]
    (folder / "mlresults").mkdir()
    np.save(folder / "mlresults/7-14-1-2-joints.npy", joints)
    poses = {serial: np.eye(4) for serial in ("840412062035", "840412062037")}
    (folder / "calib.pkl").write_bytes(pickle.dumps(poses, 2))
    return ["7-14-1-2/mlresults/7-14-1-2-joints.npy", "7-14-1-2/calib.pkl", "7-14-1-2/depth/00000_0.png"]


def multiview(root: Path, hands: list[Hand]) -> list[str]:
    """Calibrated cameras of our own layout, in JSON."""
    for number, hand in enumerate(hands):
        save_picture(root / f"left/{number}.png", hand.picture)
    pose = np.eye(4)[:3].tolist()
    _json(root / "cameras.json", {"cameras": {"left": {"intrinsics": hands[0].K.tolist(), "world_to_camera": pose}}})
    _json(root / "joints.json", {str(number): hand.joints_mm.tolist() for number, hand in enumerate(hands)})
    return ["cameras.json", "joints.json"]


def panoptic(root: Path, hands: list[Hand]) -> list[str]:
    """CMU Panoptic's hand_labels: a JSON a hand."""
    for number, hand in enumerate(hands):
        stem = root / f"hand_labels/manual_train/scene_{number}_l"
        save_picture(stem.with_suffix(".jpg"), hand.picture)
        points = np.column_stack([hand.uv_px, np.ones(21)]).tolist()
        _json(stem.with_suffix(".json"), {"hand_pts": points, "is_left": number % 2})
    return ["hand_labels/manual_train/scene_0_l.json"]


def coco(root: Path, hands: list[Hand]) -> list[str]:
    """COCO-WholeBody's validation set."""
    images, people = [], []
    for number, hand in enumerate(hands):
        save_picture(root / f"val2017/{number}.jpg", hand.picture)
        images.append({"id": number, "file_name": f"{number}.jpg"})
        points = np.column_stack([hand.uv_px, np.ones(21)]).ravel().tolist()
        people.append({"id": number, "image_id": number, "iscrowd": 0, "lefthand_valid": True,
                       "righthand_valid": False, "lefthand_box": [1, 1, 40, 40], "lefthand_kpts": points})  # fmt: skip
    _json(root / "annotations/coco_wholebody_val_v1.0.json", {"images": images, "annotations": people})
    return ["annotations/coco_wholebody_val_v1.0.json"]


#: how each is made, and what is asked for
SETS: dict[str, tuple[Callable[[Path, list[Hand]], list[str]], str]] = {
    "freihand": (freihand, "version=gs"), "rhd": (rhd, ""), "ho3d": (ho3d, ""),
    "dexycb": (dexycb, "split=all&depth=yes"), "stb": (stb, "split=evaluation&view=BB_left"),
    "mvhand": (mvhand, ""), "multiview": (multiview, "hand=left"), "panoptic": (panoptic, "release=hand_labels"),
    "coco_wholebody": (coco, "split=val"),
}  # fmt: skip


_NUM_HANDS = 2
#: how many rows each set has: RHD holds both sides, STB two recordings
ROWS_OF = dict.fromkeys(SETS, _NUM_HANDS) | {"rhd": 2 * _NUM_HANDS, "stb": 2 * _NUM_HANDS}
#: the files that say which rows there are: damaged ones may say of fewer, or more
LISTS = frozenset({
    "training_K.json", "training/anno_training.pickle", "train.txt", "20200709-subject-01/20200709_141754/meta.yml",
    "cameras.json", "annotations/coco_wholebody_val_v1.0.json",
})  # fmt: skip


def make_sets(folder: Path) -> dict[str, list[str]]:
    """The annotation files of every set, made below the folder, by the set's name."""
    hands = rendered_hands(_NUM_HANDS)
    found = {}
    for name, (make, _) in SETS.items():
        (folder / name).mkdir(parents=True)
        found[name] = make(folder / name, hands)
    return found
