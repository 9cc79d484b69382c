"""HO-3D v2 and v3 (Hampali et al., CVPR 2020): right hands with objects, one to five cameras, with MANO fits.

Layout and meaning after shreyashampali/ho3d, vis_HO3D.py, vis_pcl_all_cameras.py, pred.py and utils/vis_utils.py at
6bce77f, eval.py at 027df19, and the README.txt shipped with v3:

- `train.txt` and `evaluation.txt` name the annotated pictures, `ABF10/0000`; the folders hold others without truth.
  The picture is `train/ABF10/rgb/0000.jpg` (v3) or `.png` (v2). A name that ends in two digits is of a recording and
  one of its cameras, which share numbers: ABF10 and ABF11 see the same instants;
- `meta/0000.pkl` is in metres on OpenGL's axes (y up, z backwards), joints in MANO's order, angles with the mean pose,
  `camMat` in px. Evaluation has the wrist and the box `handBoundingBox` (corners) only;
- `evaluation_xyz.json`, released later, has joints likewise, one entry per line of `evaluation.txt`;
- masks of the training pictures are rendered from the fit at a quarter of the size: the hand is blue in v3
  (`seg/0000.png`) and red in v2 (`HO3D_v2_segmentations_rendered/train/ABF10/seg/0000.jpg`);
- depth is the sensor's, seen through the colour camera: red plus 256 times green, in units of 0.125 mm;
- `calibration/ABF1/calibration` (v3): `trans_i.txt` takes camera number `cam_orders[i]` to the recording's own frame.

The unlabelled reading takes `camMat` from `meta` and nothing else. Who is seen is not published, but a recording shows
one person: `subject_id` is the recording. SB1 is in both splits, cameras 0, 2, 4 in train and 1, 3 in evaluation.
"""

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy.spatial.transform import Rotation

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import check_regular, read_file
from semihand.frames.sets.columns import camera, joints_in_space, pose_of_camera
from semihand.frames.sets.entries import at
from semihand.frames.sets.files import (
    depth_png,
    entry_array,
    mask_png,
    read_annotation,
    read_lines,
    read_picture,
    read_size,
)
from semihand.frames.sets.reader import PROBLEM, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.pickles import read_pickle
from semihand.hand.skeleton import WRIST, reorder_to_semihand

_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])
_DEPTH_UNIT_MM = 0.12498664727900177
_MAX_TEXT_BYTES = 2**16
_MAX_META_BYTES = 2**20  # 40 kB with v3's distances to the object
_NAMED = re.compile(r"(?P<sequence>(?P<recording>[A-Za-z]+[0-9])(?P<camera>[0-9])?)/(?P<number>[0-9]+)")


class Ho3dOptions(SetOptions):
    """Which pictures, and whether their depth is kept: 0.2 MB each."""

    split: Literal["train", "evaluation", "all"] = "train"
    depth: bool = False


class Ho3d(SetReader):
    """HO-3D."""

    name = "ho3d"
    about = "HO-3D v2, v3: split=train|evaluation|all, depth=no|yes"
    Options = Ho3dOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in ("train", "evaluation") if self.options.split == "all" else (self.options.split,):
            for start, stop in spans(len(self._lines(split))):
                parts.append(Part(f"{split} {start}-{stop - 1}", {"split": split, "start": start, "stop": stop}))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, lines = part.about["split"], self._lines(part.about["split"])
        released = self._released(len(lines)) if with_truth and split == "evaluation" else None
        for place in range(part.about["start"], part.about["stop"]):
            entry = None if released is None else released[place]
            yield self._row(split, lines[place], entry, with_truth)

    def _row(self, split: str, line: str, released: Any, with_truth: bool) -> Row:
        found = _NAMED.fullmatch(line)
        row: Row = {"uri": f"{split}/{line}", "hand": "right", "split": split}
        if found is None:
            return row | {PROBLEM: BadFrame("bad_path", f"{split}.txt names {line[:80]!r}, not SEQUENCE/NUMBER")}
        frame = f"{split}/{found['sequence']}", found["number"]
        recording = f"{self.name}/{found['recording']}"
        row |= {"uri": self._picture(*frame), "sequence_id": recording, "subject_id": recording}
        if found["camera"]:
            row |= {"instant_id": f"{recording}/{found['number']}", "view_id": found["camera"]}
        return guarded(
            row,
            partial(self._extrinsics, f"calibration/{found['recording']}/calibration", found["camera"]),
            partial(self._camera_and_truth, frame, released, with_truth),
        )

    def _camera_and_truth(self, frame: tuple[str, str], released: Any, with_truth: bool) -> Row:
        folder, number = frame
        meta = _meta(self._inside(f"{folder}/meta/{number}.pkl"))
        K = entry_array(at(meta, "camMat"), (3, 3), "camMat")
        if not with_truth:
            return camera(K)
        if folder.startswith("train/"):
            return camera(K) | _joints(at(meta, "handJoints3D"), K) | _fit(meta) | self._pictures(*frame)
        known = {} if released is None else _joints(released, K)
        left, top, right, bottom = entry_array(at(meta, "handBoundingBox"), (4,), "handBoundingBox").tolist()
        return camera(K) | known | {"bbox_px": [left, top, right - left, bottom - top], "box_source": "truth"}

    def _pictures(self, folder: str, number: str) -> Row:
        """The mask in the picture's size, and the depth where it is wanted."""
        row: Row = {}
        for mask, colour in (
            (f"{folder}/seg/{number}.png", 2),
            (f"HO3D_v2_segmentations_rendered/{folder}/seg/{number}.jpg", 0),
        ):
            if (path := self._inside_if_any(mask)) is not None:
                picture = self._inside(self._picture(folder, number))
                row["mask_png"] = mask_png(self._of_colour(path, colour, read_size(picture, self.limits)))
                break
        depth = self._inside_if_any(f"{folder}/depth/{number}.png") if self.options.depth else None
        if depth is not None:
            low, high, _ = np.moveaxis(read_picture(depth, self.limits).astype(np.float64), -1, 0)
            row["depth_png"] = depth_png((low + 256 * high) * _DEPTH_UNIT_MM)
        return row

    def _of_colour(self, path: Path, colour: int, size_px: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        picture = read_picture(path, self.limits) > 127  # JPEG mixes colours at edges
        hand = picture[..., colour] & (picture.sum(-1) == 1)
        scaled: np.ndarray = np.asarray(Image.fromarray(hand).resize(size_px, Image.Resampling.NEAREST))
        return scaled

    def _picture(self, folder: str, number: str) -> str:
        of_v2 = f"{folder}/rgb/{number}.png"
        return of_v2 if (self.folder / of_v2).is_file() else f"{folder}/rgb/{number}.jpg"

    def _extrinsics(self, calibration: str, number: str | None) -> Row:
        orders = self._inside_if_any(f"{calibration}/cam_orders.txt") if number else None
        if number is None or orders is None or int(number) not in (cameras := _numbers(orders).tolist()):
            return {}
        numbers = _numbers(self._inside(f"{calibration}/trans_{cameras.index(int(number))}.txt"))
        if numbers.shape != (16,):
            raise BadFrame("bad_camera", f"{calibration}: {numbers.size} numbers for camera {number}, not 4 x 4")
        to_world = numbers.reshape(4, 4)
        turn = to_world[:3, :3].T
        return pose_of_camera(turn, -1000 * turn @ to_world[:3, 3])

    def _lines(self, split: str) -> list[str]:
        return read_lines(self.folder / f"{split}.txt", self.limits)

    def _released(self, num: int) -> list[Any] | None:
        path = self.folder / "evaluation_xyz.json"
        if not path.is_file():
            return None
        entries = read_annotation(path, self.limits)
        if not isinstance(entries, list) or len(entries) != num:
            raise InputError(f"{path}: must list {num} hands, one per line of evaluation.txt; are both of one version?")
        return entries


def _meta(path: Path) -> object:
    check_regular(path)
    try:
        return read_pickle(path, _MAX_META_BYTES)
    except ValueError as error:
        raise BadFrame("bad_truth", str(error)) from error


def _joints(entry: Any, K: Float[np.ndarray, "3 3"]) -> Row:
    joints_mm = 1000 * entry_array(entry, (21, 3), "handJoints3D") @ _FROM_OPENGL
    return joints_in_space(reorder_to_semihand(joints_mm, "ho3d"), K) | {"supervision": "3d"}


def _fit(meta: object) -> Row:
    """MANO turns about its own wrist J0, not the camera: t' = C (t + J0) - J0, and the wrist joint is t + J0."""
    pose = entry_array(at(meta, "handPose"), (48,), "handPose")
    if not np.isfinite(pose).all():
        raise BadFrame("bad_truth", "handPose is not finite")
    turn = Rotation.from_matrix(_FROM_OPENGL) * Rotation.from_rotvec(pose[:3])
    wrist_m = entry_array(at(meta, "handJoints3D"), (21, 3), "handJoints3D")[WRIST]
    rest_m = wrist_m - entry_array(at(meta, "handTrans"), (3,), "handTrans")
    return {
        "mano_pose": np.concatenate([turn.as_rotvec(), pose[3:]]),
        "mano_shape": entry_array(at(meta, "handBeta"), (10,), "handBeta"),
        "mano_translation_mm": 1000 * (_FROM_OPENGL @ wrist_m - rest_m),
        "supervision": "mano",
    }


@lru_cache(maxsize=64)
def _numbers(path: Path) -> Float[np.ndarray, " numbers"]:
    try:
        return np.array(read_file(path, _MAX_TEXT_BYTES).split(), dtype=np.float64)
    except ValueError as error:
        raise BadFrame("bad_camera", f"{path}: {error}") from error
