"""Hands of CMU Panoptic (Simon et al., CVPR 2017): three releases of hands with 21 joints in the picture.

Layout and meaning after CMU-Perceptual-Computing-Lab/openpose_train, training/b2_mpii_generateJson.py at c13e987b,
naoc-1861355/Public_Handpose_Datasets, CMU/* at a74e2f61, 537fa312 and 60c8f033, and MengHao666/Minimal-Hand-pytorch,
datasets/hand143_panopticdb.py at 178eb2a9. The folder holds one or more of

- `hand143_panopticdb/hands_v143_14817.json` and the pictures that it names: right hands, whose views and instants
  nothing tells apart, so that all of them count as one recording;
- `hand_labels/manual_{train,test}/STEM.{jpg,json}`: people of MPII and of a sign-language dictionary, one file and one
  copy of the picture per hand;
- `hand_labels_synth/synth{1,2,3,4}/STEM.{jpg,json}`: rendered. The fingertips of synth1 are said to be missing, and
  are invalid here whatever their flag.

Joints are in our order, left hands included, [x, y, flag], valid where the flag is 1; others hold zeros, or anything.
Whether pixels count from 0 or 1 is not stated: 0 is taken. Only hand_labels has a test split.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import read_file
from semihand.frames.sets.columns import joints_in_picture
from semihand.frames.sets.entries import at, field, read_list
from semihand.frames.sets.files import entry_array
from semihand.frames.sets.reader import PROBLEM, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.frames.strict_json import parse_json
from semihand.hand.skeleton import FINGERTIPS

_LIST = "hand143_panopticdb/hands_v143_14817.json"
#: folders of one file per hand, by release and split
_FOLDERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("hand_labels", "train"): ("hand_labels/manual_train",),
    ("hand_labels", "test"): ("hand_labels/manual_test",),
    ("hand_labels_synth", "train"): tuple(f"hand_labels_synth/synth{number}" for number in (1, 2, 3, 4)),
}
_WITHOUT_TIPS = "hand_labels_synth/synth1"
_STEM = re.compile(r"(?P<scene>.+)_\d+_[lr]")
_MAX_BYTES = 2**20  # a hand's file is a page of text
_FLAG_TOLERANCE = 0.05  # as openpose_train reads the flag


class PanopticOptions(SetOptions):
    """Which pictures."""

    release: Literal["hand143_panopticdb", "hand_labels", "hand_labels_synth"]
    split: Literal["train", "test", "all"] = "train"


class Panoptic(SetReader):
    """CMU Panoptic's hands."""

    name = "panoptic"
    about = "CMU Panoptic hands: release=hand143_panopticdb|hand_labels|hand_labels_synth, split=train|test|all"
    Options = PanopticOptions

    def parts(self) -> list[Part]:
        splits = ("train", "test") if self.options.split == "all" else (self.options.split,)
        if self.options.release != "hand_labels" and "train" not in splits:
            raise InputError(f"{self.folder}: {self.options.release} has no split test; give split=train")
        if self.options.release == "hand143_panopticdb":
            total = len(read_list(self.folder / _LIST, "root", limits=self.limits))
            return [Part(f"{_LIST} {start}-{stop - 1}", {"start": start, "stop": stop}) for start, stop in spans(total)]
        return [
            part
            for split in splits
            for folder in _FOLDERS.get((self.options.release, split), ())
            for part in self._parts_in(folder, split)
        ]

    def _parts_in(self, folder: str, split: str) -> Iterator[Part]:
        stems = sorted(path.stem for path in (self.folder / folder).glob("*.json"))
        if not stems:
            raise InputError(f"{self.folder / folder}: no .json in it; the data set is not complete")
        for start, stop in spans(len(stems)):
            about = {"folder": folder, "split": split, "stems": stems[start:stop]}
            yield Part(f"{folder} from {stems[start]}", about)

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        if "stems" in part.about:
            for stem in part.about["stems"]:
                yield self._from_file(part.about["folder"], part.about["split"], stem, with_truth)
            return
        start = part.about["start"]
        entries = read_list(self.folder / _LIST, "root", limits=self.limits)[start : part.about["stop"]]
        for number, entry in enumerate(entries, start):
            yield self._from_list(entry, f"{_LIST}: entry {number}", with_truth)

    def _from_list(self, entry: Any, where: str, with_truth: bool) -> Row:
        try:
            uri = f"hand143_panopticdb/{field(entry, 'img_paths', str, where)}"
        except BadFrame as problem:
            return {PROBLEM: problem}
        row = {"uri": uri, "hand": "right", "split": "train", "sequence_id": f"{self.name}/hand143_panopticdb"}
        return guarded(row, *((lambda: _truth(at(entry, "joint_self"), where),) if with_truth else ()))

    def _from_file(self, folder: str, split: str, stem: str, with_truth: bool) -> Row:
        named = _STEM.fullmatch(stem)
        row: Row = {"uri": f"{folder}/{stem}.jpg", "split": split}
        if named is not None:
            row["sequence_id"] = f"{self.name}/{named['scene']}"
        try:
            entry = self._hand(f"{folder}/{stem}.json")
            row["hand"] = "left" if field(entry, "is_left", int, f"{folder}/{stem}.json") else "right"
        except BadFrame as problem:
            return row | {PROBLEM: problem}
        hidden = FINGERTIPS if folder == _WITHOUT_TIPS else ()
        return guarded(row, *((lambda: _truth(at(entry, "hand_pts"), stem, hidden),) if with_truth else ()))

    def _hand(self, name: str) -> Any:
        path = self._inside(name)
        try:
            return parse_json(read_file(path, _MAX_BYTES))
        except (ValueError, RecursionError) as error:
            raise BadFrame("bad_truth", f"{path}: not a readable JSON ({str(error)[:100]})") from error


def _truth(entry: Any, where: str, hidden: tuple[int, ...] = ()) -> Row:
    joints = entry_array(entry, (21, 3), where)
    valid = np.abs(joints[:, 2] - 1) < _FLAG_TOLERANCE
    valid[list(hidden)] = False
    return joints_in_picture(joints[:, :2], valid) | {"supervision": "2d"} if valid.any() else {}
