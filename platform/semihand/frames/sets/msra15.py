"""MSRA15 (Sun et al., CVPR 2015): depth pictures of the right hands of nine people, cut out, 17 gestures each.

Layout and meaning after the authors' cvpr15_MSRAHandGestureDB_readme.txt (jimmysuen.github.io/txt); signs and camera
also after geliuhao/CVPR2016_HandPoseEstimation, Projection/Projection/Projection.cpp at aa1d879; wrong labels after
moberweger/deep-prior-pp, src/data/importers.py at 46fd495:

- `P0/TIP/000000_depth.bin`: six unsigned 32-bit numbers (width, height, left, top, right, bottom), then the box's
  pixels as 32-bit floats in mm, 0 beside the hand. The box is of the authors' segmentation;
- `P0/TIP/joint.txt`: the number of frames, then 63 numbers a frame, mm, y up and z backwards. Two versions of the data
  set differ in how many frames a gesture has;
- there are no splits: the usual protocol leaves one of nine people out, here `fold`.

The picture of a row is made here, since no reader of pictures opens `.bin`: all of 320 x 240 px, tenths of a millimetre
with the high byte in green and the low byte in blue, 8 bits each, because the low byte of 16-bit pictures is dropped
when they are read (`semihand.frames.decode`). As read it is 25.6 G + 0.1 B mm. What is lost is what rounding to tenths
loses; `depth_png` has the same numbers.
"""

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from semihand.frames.errors import BadFrame
from semihand.frames.files import read_file
from semihand.frames.sets.columns import camera, joints_in_space
from semihand.frames.sets.files import depth_png, entry_array, packed_png, read_lines
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import NUM_JOINTS, reorder_to_semihand
from semihand.tables.identity import frame_id

WIDTH_PX, HEIGHT_PX = 320, 240
K = np.array([[241.42, 0, 160], [0, 241.42, 120], [0, 0, 1]])
GESTURES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "I", "IP", "L", "MP", "RP", "T", "TIP", "Y")
_HEADER = struct.Struct("<6I")
WRONG_LABELS: dict[str, frozenset[int]] = {
    "P2/TIP": frozenset(range(172, 175)),
    "P2/MP": frozenset((*range(173, 176), *range(345, 355), 356, 359, 360)),
    "P3/T": frozenset((120, 489)),
    "P8/4": frozenset((168,)),
}


class Msra15Options(SetOptions):
    """Who is left out, and which side of that division is wanted."""

    split: Literal["train", "test", "all"] = "all"
    fold: Annotated[int, Field(ge=0, le=8)] = 0


class Msra15(SetReader):
    """MSRA15."""

    name = "msra15"
    about = "MSRA15, depth: split=train|test|all, where person fold=0..8 is the test set"
    Options = Msra15Options

    def parts(self) -> list[Part]:
        parts = []
        for person in names_in(self.folder, "P[0-8]"):
            split = "test" if person == f"P{self.options.fold}" else "train"
            if self.options.split not in (split, "all"):
                continue
            for gesture in names_in(self.folder / person, "|".join(GESTURES)):
                names = names_in(self.folder / person / gesture, r"\d{6}_depth\.bin")
                for start, stop in spans(len(names)):
                    about = {"split": split, "person": person, "gesture": gesture, "names": names[start:stop]}
                    parts.append(Part(f"{person}/{gesture} {start}-{stop - 1}", about))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, person, gesture = (part.about[name] for name in ("split", "person", "gesture"))
        sequence = f"{person}/{gesture}"
        labels = read_lines(self.folder / sequence / "joint.txt", self.limits)[1:] if with_truth else None
        for name in part.about["names"]:
            uri = f"{sequence}/{name}"
            row = camera(K) | {
                "uri": uri,
                "frame_id": frame_id(self.name, uri),
                "modality": "depth",
                "hand": "right",
                "split": None if self.options.split == "all" else split,
                "sequence_id": f"{self.name}/{sequence}",
                "subject_id": f"{self.name}/{person}",
            }
            yield guarded(row, partial(self._row, uri, labels))

    def _row(self, uri: str, labels: list[str] | None) -> Row:
        path = self._inside(uri)
        depth_mm, box_px = _read_patch(read_file(path, self.limits.max_picture_bytes), uri)
        known: Row = {} if labels is None else _truth(uri, labels) | {"depth_png": depth_png(depth_mm)}
        return known | {"uri": None, "image": packed_png(depth_mm), "bbox_px": box_px, "box_source": "given"}


def _truth(uri: str, labels: list[str]) -> Row:
    path = PurePosixPath(uri)
    number = int(path.name[:6])
    if number >= len(labels):
        raise BadFrame("bad_truth", f"{uri} has no label, {path.parent}/joint.txt has {len(labels)}")
    if number in WRONG_LABELS.get(str(path.parent), ()):
        raise BadFrame("bad_truth", f"{uri}: its label is known to be wrong")
    numbers = entry_array(labels[number].split(), (3 * NUM_JOINTS,), f"{path.parent}/joint.txt, frame {number}")
    joints_mm = numbers.reshape(NUM_JOINTS, 3) * [1, -1, -1]
    return joints_in_space(reorder_to_semihand(joints_mm, "msra15"), K) | {"supervision": "3d"}


def _read_patch(data: bytes, uri: str) -> tuple[Float[np.ndarray, "240 320"], list[float]]:
    if len(data) < _HEADER.size:
        raise BadFrame("truncated", f"{uri}: {len(data)} bytes, less than its header")
    width, height, left, top, right, bottom = _HEADER.unpack_from(data)
    if (width, height) != (WIDTH_PX, HEIGHT_PX) or not (left < right <= width and top < bottom <= height):
        numbers = (width, height, left, top, right, bottom)
        raise BadFrame("unreadable", f"{uri}: width, height, left, top, right, bottom are {numbers}")
    shape = (bottom - top, right - left)
    if len(data) != _HEADER.size + 4 * shape[0] * shape[1]:
        raise BadFrame("truncated", f"{uri}: {len(data)} bytes do not hold {shape[1]} x {shape[0]} px")
    depth_mm = np.zeros((HEIGHT_PX, WIDTH_PX))
    depth_mm[top:bottom, left:right] = np.frombuffer(data, "<f4", offset=_HEADER.size).reshape(shape)
    return depth_mm, [float(number) for number in (left, top, *shape[::-1])]
