"""FPHA, First-Person Hand Action (Garcia-Hernando et al., CVPR 2018): right hands with magnetic sensors on them.

Layout, cameras, units and order after guiggh/hand_pose_action, README.md at b0e8557, load_example.py at 3609b02,
load_example.m at a63e5fa; the hand after hassony2/handobjectconsist, meshreg/datasets/fhbhands.py at 76c3517:

- `Video_files/Subject_1/put_salt/1/color/color_0000.jpeg` (1920 x 1080) and `depth/depth_0000.png` (640 x 480, 16 bits)
  are two views of one instant. The unit of the depth is not published, so `depth_png` stays null, and reading the
  picture drops its low byte (`semihand.frames.decode`);
- `Hand_pose_annotation_v1/Subject_1/put_salt/1/skeleton.txt` (or `..._v1_1`): lines of a frame's number and 63
  numbers, mm, x right, y down, z forward in the depth camera. Some sequences have none, some an empty one;
- `protocol=subject`: people 1, 3, 4 against 2, 5, 6; `protocol=action`: `data_split_action_recognition.txt`;
- three sequences that the authors say to leave out are left out.

The truth comes from the sensors, a few mm off the picture; in colour the sensors and their tape are seen, so a model
that learns from it learns them too. No frame rate is published with the files.
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from semihand.frames.errors import InputError
from semihand.frames.sets.columns import camera, joints_in_space, pose_of_camera
from semihand.frames.sets.files import entry_array, read_lines
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import NUM_JOINTS, reorder_to_semihand


class _View(NamedTuple):
    """X_view = R X_depth + t."""

    folder: str
    pattern: str
    modality: str
    K: Float[np.ndarray, "3 3"]
    R: Float[np.ndarray, "3 3"]
    t_mm: Float[np.ndarray, "3"]


VIEWS = {
    "colour": _View(
        "color",
        r"color_\d{4}\.jpeg",
        "rgb",
        np.array([[1395.749023, 0, 935.732544], [0, 1395.749268, 540.681030], [0, 0, 1]]),
        np.array(
            [
                [0.999988496304, -0.00468848412856, 0.000982563360594],
                [0.00469115935266, 0.999985218048, -0.00273845880292],
                [-0.000969709653873, 0.00274303671904, 0.99999576807],
            ]
        ),
        np.array([25.7, 1.22, 3.902]),
    ),
    "depth": _View(
        "depth",
        r"depth_\d{4}\.png",
        "depth",
        np.array([[475.065948, 0, 315.944855], [0, 475.065857, 245.287079], [0, 0, 1]]),
        np.eye(3),
        np.zeros(3),
    ),
}
ANNOTATIONS = ("Hand_pose_annotation_v1", "Hand_pose_annotation_v1_1")
LEFT_OUT = frozenset({"Subject_2/close_milk/4", "Subject_2/put_tea_bag/2", "Subject_4/flip_sponge/2"})
TRAINING = frozenset({"Subject_1", "Subject_3", "Subject_4"})


class FphaOptions(SetOptions):
    """Which sequences, divided how, and which of the two cameras."""

    split: Literal["train", "test", "all"] = "train"
    protocol: Literal["subject", "action"] = "subject"
    view: Literal["colour", "depth", "all"] = "colour"


class Fpha(SetReader):
    """FPHA."""

    name = "fpha"
    about = "FPHA: split=train|test|all, protocol=subject|action, view=colour|depth|all"
    Options = FphaOptions

    def parts(self) -> list[Part]:
        parts = []
        for sequence, split in self._sequences():
            pictures = [(view, name) for view in self._views() for name in self._names(sequence, VIEWS[view])]
            for start, stop in spans(len(pictures)):
                about = {"split": split, "sequence": sequence, "pictures": pictures[start:stop]}
                parts.append(Part(f"{sequence} {start}-{stop - 1}", about))
        if not parts:
            raise InputError(f"{self.folder}/Video_files: no pictures of {', '.join(self._views())} for {self.options}")
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, sequence = part.about["split"], part.about["sequence"]
        labels = self._labels(sequence) if with_truth else {}
        for name, picture in part.about["pictures"]:
            view, number = VIEWS[name], int(picture[6:10])
            row = (
                camera(view.K)
                | pose_of_camera(view.R, view.t_mm)
                | {
                    "uri": f"Video_files/{sequence}/{view.folder}/{picture}",
                    "modality": view.modality,
                    "hand": "right",
                    "split": split,
                    "subject_id": f"{self.name}/{sequence.partition('/')[0]}",
                    "sequence_id": f"{self.name}/{sequence}",
                    "instant_id": f"{self.name}/{sequence}/{number}",
                    "view_id": name,
                }
            )
            known = (partial(_truth, labels[number], view, f"{sequence}, {number}"),) if number in labels else ()
            yield guarded(row, *known)

    def _sequences(self) -> list[tuple[str, str | None]]:
        """The sequences of the wanted split, each with its own."""
        top = self.folder / "Video_files"
        sequences = [
            f"{person}/{action}/{take}"
            for person in names_in(top, "Subject_[1-6]")
            for action in names_in(top / person, r"[a-z_]+")
            for take in names_in(top / person / action, r"\d{1,3}", at_least=0)
        ]
        wanted, by_action = self.options.split, self.options.protocol == "action"
        listed = self._listed() if by_action else {}
        splits = [(sequence, listed.get(sequence) if by_action else _split_of(sequence)) for sequence in sequences]
        return [each for each in splits if each[0] not in LEFT_OUT and wanted in (each[1], "all")]

    def _listed(self) -> dict[str, str]:
        """The split of each sequence by the file of the action protocol: two headed lists of `path action`."""
        split = ""
        listed: dict[str, str] = {}
        path = self.folder / "data_split_action_recognition.txt"
        for line in read_lines(path, self.limits):
            first = line.split()[0]
            if first in ("Training", "Test"):
                split = {"Training": "train", "Test": "test"}[first]
            elif not split:
                raise InputError(f"{path}: begins with {line[:60]!r}, not with 'Training'; download it again")
            else:
                listed[first] = split
        return listed

    def _labels(self, sequence: str) -> dict[int, str]:
        """The 63 numbers of each frame; none where the authors have none."""
        top = next((self.folder / name for name in ANNOTATIONS if (self.folder / name).is_dir()), None)
        if top is None:
            raise InputError(f"{self.folder}: no folder {ANNOTATIONS[0]}; unpack it there")
        path = top / sequence / "skeleton.txt"
        if not path.is_file() or not path.stat().st_size:
            return {}
        lines = (line.partition(" ") for line in read_lines(path, self.limits))
        return {int(number): numbers for number, _, numbers in lines if number.isdecimal()}

    def _names(self, sequence: str, view: _View) -> list[str]:
        folder = self.folder / "Video_files" / sequence / view.folder
        return names_in(folder, view.pattern, at_least=0) if folder.is_dir() else []

    def _views(self) -> tuple[str, ...]:
        return tuple(VIEWS) if self.options.view == "all" else (self.options.view,)


def _split_of(sequence: str) -> str:
    return "train" if sequence.partition("/")[0] in TRAINING else "test"


def _truth(numbers: str, view: _View, where: str) -> Row:
    stored_mm = entry_array(numbers.split(), (3 * NUM_JOINTS,), f"skeleton.txt of {where}").reshape(NUM_JOINTS, 3)
    joints_mm = reorder_to_semihand(stored_mm, "fpha") @ view.R.T + view.t_mm
    return joints_in_space(joints_mm, view.K) | {"supervision": "3d"}
