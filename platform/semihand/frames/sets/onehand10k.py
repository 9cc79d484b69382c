"""OneHand10K (Wang et al., TCSVT 2018): pictures from the web, of any size, each of one hand, 2D joints and masks.

The authors describe no format. Layout after mahdinobar/openpifpaf, openpifpaf/datasets/onehand10k.py at a153850, and
open-mmlab/mmpose, mmpose/datasets/datasets/hand/onehand10k_dataset.py at 0700205 and its sample
tests/data/onehand10k/test_onehand10k.json at d9f4d19:

- `Train/source/0.jpg`, `Test/source/0.jpg`, numbers not padded and the same in both; `Train/mask/0.png` in greys, taken
  for the hand above the middle of its range;
- `Train/label_joint.txt` has lines `0.jpg,width,height,hands,x0,y0,...,x20,y20`, joints in our order, -1,-1 where not
  labelled. Where it is missing, mmpose's `annotations/onehand10k_train.json` (COCO key points) is read;
- whether pixels count from 0 or 1 is not published; they are taken as they are.

Nothing says which hands are seen, so `hand` is the user's word for all of them: let no step rely on it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from semihand.frames.errors import BadFrame
from semihand.frames.options import Hand
from semihand.frames.sets.columns import joints_in_picture
from semihand.frames.sets.entries import at, read_list, with_images
from semihand.frames.sets.files import entry_array, mask_png, read_lines, read_picture, read_size
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import NUM_JOINTS

FOLDERS = {"train": "Train", "test": "Test"}

#: Width and height of the picture; u, v and whether it is labelled of each joint.
Label = tuple[np.ndarray, np.ndarray]


class OneHand10KOptions(SetOptions):
    """Which pictures, and the hand that they are said to show."""

    split: Literal["train", "test", "all"] = "train"
    hand: Hand


class OneHand10K(SetReader):
    """OneHand10K."""

    name = "onehand10k"
    about = "OneHand10K: split=train|test|all, hand=left|right (needed: the data set does not say it)"
    Options = OneHand10KOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in FOLDERS if self.options.split == "all" else (self.options.split,):
            names = names_in(self.folder / FOLDERS[split] / "source", r"\d{1,9}\.jpg")
            for start, stop in spans(len(names)):
                parts.append(Part(f"{split} {start}-{stop - 1}", {"split": split, "names": names[start:stop]}))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split = part.about["split"]
        labels = self._labels(split) if with_truth else {}
        for name in part.about["names"]:
            row = {"uri": f"{FOLDERS[split]}/source/{name}", "hand": self.options.hand, "split": split}
            known = (partial(self._truth, split, name, labels[name]),) if name in labels else ()
            yield guarded(row, *known)

    def _truth(self, split: str, name: str, read_label: Callable[[], Label]) -> Row:
        size, joints = read_label()
        folder = FOLDERS[split]
        found = read_size(self._inside(f"{folder}/source/{name}"), self.limits)
        if found != tuple(size):
            raise BadFrame("bad_truth", f"{name} has {found[0]} x {found[1]} px, its label {size[0]:g} x {size[1]:g}")
        row = joints_in_picture(joints[:, :2], joints[:, 2] > 0) | {"supervision": "2d"}
        mask = self._inside_if_any(f"{folder}/mask/{PurePosixPath(name).stem}.png")
        if mask is not None:
            grey = read_picture(mask, self.limits).max(-1).astype(np.float64)
            if grey.shape[::-1] != found:
                raise BadFrame("bad_truth", f"{mask} has {grey.shape[1]} x {grey.shape[0]} px, its picture has not")
            row["mask_png"] = mask_png(grey > (grey.min() + grey.max()) / 2)
        return row

    def _labels(self, split: str) -> dict[str, Callable[[], Label]]:
        path = self.folder / FOLDERS[split] / "label_joint.txt"
        converted = self.folder / "annotations" / f"onehand10k_{split}.json"
        if path.is_file() or not converted.is_file():
            lines = (line.partition(",") for line in read_lines(path, self.limits))
            return {name: partial(_from_line, name, numbers) for name, _, numbers in lines}
        num = len(read_list(converted, "annotations", limits=self.limits))
        pairs = with_images(converted, 0, num, self.limits)
        return {
            PurePosixPath(str(at(image, "file_name"))).name: partial(_from_coco, annotation, image)
            for annotation, image in pairs
        }


def _from_line(name: str, numbers: str) -> Label:
    values = entry_array(numbers.split(","), (3 + 2 * NUM_JOINTS,), f"label_joint.txt, {name}")
    uv_px = values[3:].reshape(NUM_JOINTS, 2)
    return values[:2], np.column_stack([uv_px, (uv_px >= 0).all(-1)])


def _from_coco(annotation: Any, image: Any) -> Label:
    where = f"annotation {at(annotation, 'id')}"
    size = entry_array([at(image, "width"), at(image, "height")], (2,), where)
    return size, entry_array(at(annotation, "keypoints"), (3 * NUM_JOINTS,), where).reshape(NUM_JOINTS, 3)
