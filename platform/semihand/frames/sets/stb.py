"""STB, Stereo Hand Pose Tracking Benchmark (Zhang et al., ICIP 2017): a left hand, a stereo and a depth camera.

Layout, cameras and units after zhjwustc/icip17_stereo_hand_pose_dataset, README.md at 0d11c4d; folders, splits and the
right camera after lmb-freiburg/hand3d, data/stb/create_db.m at a6215d1 and data/BinaryDbReaderSTB.py at 9f00633:

- `images/B1Counting/BB_left_0.png`, `BB_right_0.png` (stereo pair) and `SK_color_0.png`, numbers not padded; the
  sequences may also lie in the root. Some pictures are missing in every copy. Depth pictures, which no colour camera
  shares, are not listed;
- `labels/B1Counting_BB.mat` holds `handPara` [3][21][frames] in mm, in the left camera; `_SK.mat` in the depth camera,
  from where it is brought to the colour camera here;
- joint 0 is the palm's centre. `wrist=none` leaves the wrist unknown; `wrist=extrapolated` puts it as far behind that
  centre as the base of the middle finger lies before it, by convention and not by measurement;
- the benchmark has no splits: evaluation is the first background, as in hand3d and nearly everywhere since.

That all is one person's hand is said by others only, so `subject_id` is null.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.sets.columns import camera, joints_in_space, pose_of_camera
from semihand.frames.sets.entries import at
from semihand.frames.sets.files import read_annotation
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import NUM_JOINTS, WRIST, reorder_to_semihand, wrist_from_palm

SPLITS = {
    "training": tuple(f"B{background}{kind}" for background in range(2, 7) for kind in ("Counting", "Random")),
    "evaluation": ("B1Counting", "B1Random"),
}


class _View(NamedTuple):
    """X_view = R' (X_labels - t): what one camera sees, and which labels are turned to it."""

    K: Float[np.ndarray, "3 3"]
    labels: str
    R: Float[np.ndarray, "3 3"]
    t_mm: Float[np.ndarray, "3"]


_STEREO_K = np.array([[822.79041, 0, 318.47345], [0, 822.79041, 250.31296], [0, 0, 1]])
_COLOUR_K = np.array([[607.92271, 0, 314.78337], [0, 607.88192, 236.42484], [0, 0, 1]])
_COLOUR_TO_DEPTH = Rotation.from_rotvec([0.00531, -0.01196, 0.00301]).as_matrix()
VIEWS = {
    "BB_left": _View(_STEREO_K, "BB", np.eye(3), np.zeros(3)),
    "BB_right": _View(_STEREO_K, "BB", np.eye(3), np.array([120.054, 0, 0])),
    "SK_color": _View(_COLOUR_K, "SK", _COLOUR_TO_DEPTH, np.array([-24.0381, -0.4563, -1.2326])),
}


class StbOptions(SetOptions):
    """Which pictures, and what stands for the wrist."""

    split: Literal["training", "evaluation", "all"] = "training"
    view: Literal["BB_left", "BB_right", "SK_color", "all"] = "all"
    wrist: Literal["none", "extrapolated"] = "none"


class Stb(SetReader):
    """STB."""

    name = "stb"
    about = "STB: split=training|evaluation|all, view=BB_left|BB_right|SK_color|all, wrist=none|extrapolated"
    Options = StbOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in self._splits():
            for sequence in SPLITS[split]:
                numbers = self._numbers(sequence)
                for view in self._views():
                    for start, stop in spans(len(numbers)):
                        about = {"split": split, "sequence": sequence, "view": view, "numbers": numbers[start:stop]}
                        parts.append(Part(f"{sequence} {view} {start}-{stop - 1}", about))
        return parts

    def annotations(self, with_truth: bool) -> list[Path]:
        sequences = [sequence for split in self._splits() for sequence in SPLITS[split]]
        cameras = sorted({VIEWS[view].labels for view in self._views()})
        return [self._labels(sequence, each) for sequence in sequences for each in cameras] if with_truth else []

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, sequence, name = (part.about[key] for key in ("split", "sequence", "view"))
        view = VIEWS[name]
        labels_mm = self._labels_mm(sequence, view.labels) if with_truth else None
        row = camera(view.K) | {"hand": "left", "split": split, "sequence_id": f"{self.name}/{sequence}"}
        if view.labels == "BB":
            row |= pose_of_camera(view.R.T, -view.R.T @ view.t_mm)
        for number in part.about["numbers"]:
            uri = (self._folder(sequence) / f"{name}_{number}.png").relative_to(self.folder).as_posix()
            this = {"uri": uri, "instant_id": f"{self.name}/{sequence}/{number}", "view_id": name}
            known = () if labels_mm is None else (partial(self._truth, labels_mm, number, view),)
            yield guarded(row | this, *known)

    def _truth(self, labels_mm: np.ndarray, number: int, view: _View) -> Row:
        if number >= len(labels_mm):
            raise BadFrame("bad_truth", f"picture {number} has no label, the last is {len(labels_mm) - 1}")
        joints_mm = (reorder_to_semihand(labels_mm[number], "stb") - view.t_mm) @ view.R
        if self.options.wrist == "extrapolated":
            joints_mm = wrist_from_palm(joints_mm)
        else:
            joints_mm[WRIST] = np.nan
        return joints_in_space(joints_mm, view.K) | {"supervision": "3d"}

    def _labels(self, sequence: str, camera_name: str) -> Path:
        return self.folder / "labels" / f"{sequence}_{camera_name}.mat"

    def _labels_mm(self, sequence: str, camera_name: str) -> Float[np.ndarray, "frames 21 3"]:
        path = self._labels(sequence, camera_name)
        labels = np.asarray(at(read_annotation(path, self.limits), "handPara"))
        if labels.ndim != 3 or labels.shape[:2] != (3, NUM_JOINTS) or labels.dtype.kind not in "fiu":
            raise InputError(f"{path}: handPara is {labels.dtype} of shape {labels.shape}, not 3 x 21 x frames")
        return labels.transpose(2, 1, 0).astype(np.float64)

    def _numbers(self, sequence: str) -> list[int]:
        """The instants of which any wanted camera has a picture."""
        folder = self._folder(sequence)
        named = re.compile(rf"(?:{'|'.join(self._views())})_(0|[1-9][0-9]{{0,5}})\.png")
        found = (named.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
        numbers = sorted({int(match[1]) for match in found if match})
        if not numbers:
            raise InputError(f"{folder}: no pictures of {', '.join(self._views())}; the data set is not complete")
        return numbers

    def _folder(self, sequence: str) -> Path:
        return (self.folder / "images" if (self.folder / "images").is_dir() else self.folder) / sequence

    def _splits(self) -> tuple[str, ...]:
        return tuple(SPLITS) if self.options.split == "all" else (self.options.split,)

    def _views(self) -> tuple[str, ...]:
        return tuple(VIEWS) if self.options.view == "all" else (self.options.view,)
