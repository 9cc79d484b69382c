"""Rendered Hand Pose, RHD v1.1, folder RHD_published_v2 (Zimmermann & Brox, ICCV 2017): both hands of rendered people.

Layout and meaning after lmb-freiburg/hand3d, create_binary_db.py and data/BinaryDbReader.py at 9f00633, and the README
of the set as its copies quote it:

- `training/anno_training.pickle` is {number: {"uv_vis" [42][3], "xyz" [42][3], "K" [3][3]}}: px and whether the joint
  is seen, metres in the camera's frame, intrinsics. The left hand comes first, each wrist, then fingers from the tip;
- pictures are `color/%05d.png`. Every entry has both hands, also one outside the picture: a row is a hand of which at
  least one joint is seen; its other joints are true all the same, even where they lie outside;
- `mask/%05d.png` numbers parts: 2-17 are the left hand, 18-33 the right one;
- `depth/%05d.png` is of everything in view, red the high byte and green the low one, 65535 being 5 m.

The annotations are one file, so the unlabelled reading opens it too, for the camera and for which hands are seen. The
people are not named.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.sets.columns import camera, joints_in_space
from semihand.frames.sets.entries import at
from semihand.frames.sets.files import depth_png, entry_array, mask_png, read_annotation, read_picture
from semihand.frames.sets.reader import PROBLEM, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import NUM_JOINTS, reorder_to_semihand
from semihand.tables.identity import frame_id

_HANDS = ("left", "right")
_FIRST_PART, _NUM_PARTS = 2, 16
_DEEPEST_MM = 5000.0


class RhdOptions(SetOptions):
    """Which pictures, and whether their depth is kept."""

    split: Literal["training", "evaluation", "all"] = "training"
    depth: bool = False


class Rhd(SetReader):
    """RHD."""

    name = "rhd"
    about = "Rendered Hand Pose v1.1: split=training|evaluation|all, depth=no|yes"
    Options = RhdOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in ("training", "evaluation") if self.options.split == "all" else (self.options.split,):
            for start, stop in spans(len(_HANDS) * len(self._samples(split))):
                parts.append(Part(f"{split} hands {start}-{stop - 1}", {"split": split, "start": start, "stop": stop}))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, samples = part.about["split"], self._samples(part.about["split"])
        numbers = sorted(samples)
        for place in range(part.about["start"], part.about["stop"]):
            number, side = numbers[place // len(_HANDS)], place % len(_HANDS)
            entry = samples[number]
            uri = f"{split}/color/{number:05d}.png"
            row = {"uri": uri, "hand": _HANDS[side], "split": split}
            row["frame_id"] = frame_id(self.name, uri, instance=_HANDS[side])
            try:
                if not _of_hand(entry, "uv_vis", side)[:, 2].any():
                    continue
            except BadFrame as problem:
                yield row | {PROBLEM: problem}
                continue
            known = (partial(self._truth, entry, split, number, side),) if with_truth else ()
            yield guarded(row, partial(_camera, entry), *known)

    def _truth(self, entry: Any, split: str, number: int, side: int) -> Row:
        joints_mm = 1000 * reorder_to_semihand(_of_hand(entry, "xyz", side), "rhd")
        row = joints_in_space(joints_mm, _intrinsics(entry)) | {"supervision": "3d"}
        mask = self._inside_if_any(f"{split}/mask/{number:05d}.png")
        if mask is not None:
            part = read_picture(mask, self.limits)[..., 0] - np.int64(_FIRST_PART + side * _NUM_PARTS)
            row["mask_png"] = mask_png((part >= 0) & (part < _NUM_PARTS))
        depth = self._inside_if_any(f"{split}/depth/{number:05d}.png") if self.options.depth else None
        if depth is not None:
            high, low, _ = np.moveaxis(read_picture(depth, self.limits).astype(np.float64), -1, 0)
            row["depth_png"] = depth_png((256 * high + low) / 65535 * _DEEPEST_MM)
        return row

    def _samples(self, split: str) -> dict[int, Any]:
        path = self.folder / split / f"anno_{split}.pickle"
        samples = read_annotation(path, self.limits)
        if not isinstance(samples, dict) or not samples or not all(isinstance(number, int) for number in samples):
            raise InputError(f"{path}: holds no dict of numbered pictures; is it RHD's?")
        return samples


def _of_hand(entry: Any, name: str, side: int) -> Float[np.ndarray, "21 3"]:
    return entry_array(at(entry, name), (2 * NUM_JOINTS, 3), name)[side * NUM_JOINTS :][:NUM_JOINTS]


def _camera(entry: Any) -> Row:
    return camera(_intrinsics(entry))


def _intrinsics(entry: Any) -> Float[np.ndarray, "3 3"]:
    return entry_array(at(entry, "K"), (3, 3), "K")
