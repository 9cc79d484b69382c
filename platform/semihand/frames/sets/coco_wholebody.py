"""COCO-WholeBody (Jin et al., ECCV 2020): the hands of the people in COCO's pictures, 2D.

Layout and meaning after jin-s13/COCO-WholeBody, data_format.md and evaluation/example_gt.json at 7705f87, and mmpose,
coco_wholebody_hand_dataset.py at 3b0deb4:

- `annotations/coco_wholebody_val_v1.0.json` beside COCO's `val2017/000000000785.jpg`; train alike. Sides are the
  person's own;
- `lefthand_kpts` holds x, y (pixels from 0) and v of 21 joints in our order. v is a score between 0 and 1 as often as
  COCO's 0, 1, 2: a joint is labelled where it is above 0;
- `lefthand_valid` is false where there is no such hand, and of crowds;
- `lefthand_box` is published along with it, drawn by people or about the 2D joints: an unlabelled listing has it too.

Each hand is a row. The masks of COCO are of whole people and not read.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from semihand.frames.errors import BadFrame
from semihand.frames.sets.entries import at, field, read_list, with_images
from semihand.frames.sets.files import entry_array
from semihand.frames.sets.reader import PROBLEM, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import NUM_JOINTS
from semihand.tables.identity import frame_id

SIDES = ("left", "right")


class CocoWholeBodyOptions(SetOptions):
    """Which pictures."""

    split: Literal["train", "val", "all"] = "train"


class CocoWholeBody(SetReader):
    """The hands of COCO-WholeBody."""

    name = "coco_wholebody"
    about = "hands of COCO-WholeBody 1.0: split=train|val|all"
    Options = CocoWholeBodyOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in ("train", "val") if self.options.split == "all" else (self.options.split,):
            num = len(read_list(self._path(split), "annotations", limits=self.limits))
            for start, stop in spans(num, rows_of_each=len(SIDES)):
                parts.append(Part(f"{split} {start}-{stop - 1}", {"split": split, "start": start, "stop": stop}))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, start, stop = (part.about[name] for name in ("split", "start", "stop"))
        people = with_images(self._path(split), start, stop, self.limits)
        for place, (annotation, image) in enumerate(people, start):
            for side in SIDES:
                row = {"hand": side, "split": split}
                try:
                    if not _is_labelled(annotation, side, f"{split}: annotation {place}"):
                        continue
                except BadFrame as problem:
                    yield row | {PROBLEM: problem}
                    continue
                known = (partial(_truth, annotation, side),) if with_truth else ()
                yield guarded(row, partial(self._named, split, annotation, image, side), *known)

    def _named(self, split: str, annotation: Any, image: Any, side: str) -> Row:
        number = field(annotation, "id", int, f"a person in {split}")
        uri = f"{split}2017/{field(image, 'file_name', str, f'the image of person {number}')}"
        return {
            "uri": uri,
            "frame_id": frame_id(self.name, uri, instance=f"{number}-{side}"),
            "bbox_px": entry_array(at(annotation, f"{side}hand_box"), (4,), f"{side}hand_box of {number}"),
            "box_source": "given",
        }

    def _path(self, split: str) -> Path:
        return self.folder / "annotations" / f"coco_wholebody_{split}_v1.0.json"


def _is_labelled(annotation: Any, side: str, where: str) -> bool:
    if at(annotation, "iscrowd"):
        return False
    valid = field(annotation, f"{side}hand_valid", int, where)
    if valid not in (0, 1):
        raise BadFrame("bad_row", f"{where}: {side}hand_valid is {valid}, neither true nor false")
    return bool(valid)


def _truth(annotation: Any, side: str) -> Row:
    name = f"{side}hand_kpts of {at(annotation, 'id')}"
    joints = entry_array(at(annotation, f"{side}hand_kpts"), (3 * NUM_JOINTS,), name).reshape(NUM_JOINTS, 3)
    valid = joints[:, 2] > 0
    if not valid.any():
        raise BadFrame("bad_truth", f"{name} labels no joint, though the hand is said to be valid")
    uv_px = np.where(valid[:, None], joints[:, :2], np.nan)
    return {"joints_uv_px": uv_px, "joints_valid": valid, "supervision": "2d"}
