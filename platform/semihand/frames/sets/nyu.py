"""NYU Hand Pose (Tompson et al., TOG 2014): depth pictures of three synchronised cameras.

Layout and meaning after the authors' page (jonathantompson.github.io, NYU_Hand_Pose_Dataset.htm at 3d58b70), the camera
after their convert_xyz_to_uvd.m, order and use of the joints after moberweger/deep-prior-pp, src/data/importers.py at
46fd495, the people after mmpose, nyuhand_dataset.py at 5a8a1ef:

- `train/depth_1_0000001.png`, camera 1 to 3, frames from 1, 640 x 480: millimetres, high byte in green, low byte in
  blue. The picture is left so: as read it is 256 G + B mm, and nothing is lost; `depth_png` has it in tenths;
- `train/joint_data.mat`: `joint_xyz` [3 cameras][frames][36][3] in mm, y up. The 36 are points of the fitted model.
  Third parties disagree which of them are whose joints; the 14 on which errors are published have 11 counterparts
  here (`nyu14`), the others are not known, the wrist among them;
- published numbers are of camera 1 alone; no pose of one camera to another was published;
- in test a second person comes in at frame 2441. Which of the two is that of train is not published, so they count as
  three;
- the hand looks like a right one. Its box is drawn about all 36 points.

`rgb_1_0000001.png` is not read: how it was brought to the depth picture is not published.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.sets.columns import box_around, camera, joints_in_space
from semihand.frames.sets.files import depth_png, read_annotation, read_picture
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.camera import project
from semihand.hand.skeleton import reorder_to_semihand

K = np.array([[588.036865, 0, 320], [0, 587.075073, 240], [0, 0, 1]])
NUM_POINTS = 36
EVALUATED = (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)
SECOND_PERSON = 2441


class NyuOptions(SetOptions):
    """Which pictures."""

    split: Literal["train", "test", "all"] = "train"
    camera: Literal["1", "2", "3", "all"] = "1"


class Nyu(SetReader):
    """NYU Hand Pose."""

    name = "nyu"
    about = "NYU Hand Pose, depth: split=train|test|all, camera=1|2|3|all"
    Options = NyuOptions

    def parts(self) -> list[Part]:
        cameras = "123" if self.options.camera == "all" else self.options.camera
        parts = []
        for split in self._splits():
            names = names_in(self.folder / split, rf"depth_[{cameras}]_\d{{7}}\.png")
            for start, stop in spans(len(names)):
                parts.append(
                    Part(f"{split} {names[start]}-{names[stop - 1]}", {"split": split, "names": names[start:stop]})
                )
        return parts

    def annotations(self, with_truth: bool) -> list[Path]:
        return [self._labels(split) for split in self._splits()] if with_truth else []

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split = part.about["split"]
        points = self._points(split) if with_truth else None
        for name in part.about["names"]:
            _, view, number = name.removesuffix(".png").split("_")
            row = camera(K) | {
                "uri": f"{split}/{name}",
                "modality": "depth",
                "hand": "right",
                "split": split,
                "instant_id": f"{self.name}/{split}-{number}",
                "view_id": view,
                "subject_id": f"{self.name}/{_person(split, int(number))}",
            }
            known = () if points is None else (partial(self._truth, row["uri"], points, int(view), int(number)),)
            yield guarded(row, *known)

    def _truth(self, uri: str, points: np.ndarray, view: int, number: int) -> Row:
        if not 1 <= number <= points.shape[1]:
            raise BadFrame("bad_truth", f"{uri} has no label, the last is {points.shape[1]}")
        points_mm = points[view - 1, number - 1] * [1, -1, 1]
        if not (np.isfinite(points_mm).all() and (points_mm[:, 2] > 0).all()):
            raise BadFrame("bad_truth", f"joint_data.mat: points of {uri} are not in front of the camera")
        packed = read_picture(self._inside(uri), self.limits).astype(np.float64)
        return joints_in_space(reorder_to_semihand(points_mm[list(EVALUATED)], "nyu14"), K) | {
            "bbox_px": box_around(project(points_mm, K)),
            "depth_png": depth_png(256 * packed[..., 1] + packed[..., 2]),
            "supervision": "3d",
        }

    def _splits(self) -> tuple[str, ...]:
        return ("train", "test") if self.options.split == "all" else (self.options.split,)

    def _labels(self, split: str) -> Path:
        return self.folder / split / "joint_data.mat"

    def _points(self, split: str) -> np.ndarray:
        path = self._labels(split)
        points = np.asarray(read_annotation(path, self.limits).get("joint_xyz"))
        if points.dtype.kind != "f" or points.ndim != 4 or (points.shape[0], *points.shape[2:]) != (3, NUM_POINTS, 3):
            raise InputError(f"{path}: joint_xyz is {points.dtype} of shape {points.shape}, not 3 x frames x 36 x 3")
        return points


def _person(split: str, number: int) -> str:
    return split if split == "train" else f"test-{1 + (number >= SECOND_PERSON)}"
