"""Dexter+Object (Sridhar et al., ECCV 2016): fingertips of left hands with an object, to test on.

There is no official code. Layout, cameras and signs after MengHao666/Minimal-Hand-pytorch, datasets/dexter_object.py at
178eb2a, names after OlgaChernytska/3D-Hand-Pose-Estimation, dexter_labeling at 0ea03c5; both read it alike:

- `data/Grasp1/color/Color_0001.bmp` and so on, in six recordings; the k-th picture by name has the k-th line of
  `data/Grasp1/annotations/Grasp13D.txt`: points `x, y, z;` in mm, first the five fingertips, thumb to little, then the
  object. z of 32001 is an unknown tip. x is left and y up, in the depth camera; they come to the colour camera here;
- depth pictures are not listed: their coding is described nowhere;
- some labels are plainly wrong, as users report: look before you trust a number.

Only the tips are valid, so errors relative to a root cannot be had: evaluate with the protocol `do`. They would make a
box without the palm; the one here is of 300 mm about their centre. The two people are not named.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.folder import PICTURE_EXTENSIONS
from semihand.frames.sets.columns import camera, joints_in_space
from semihand.frames.sets.files import entry_array, read_lines
from semihand.frames.sets.reader import Part, Row, SetReader, guarded, spans
from semihand.hand.camera import project
from semihand.hand.skeleton import FINGERTIPS, NUM_JOINTS

SEQUENCES = ("Grasp1", "Grasp2", "Occlusion", "Pinch", "Rigid", "Rotate")
_COLOUR_K = np.array([[587.45209, 0, 325], [0, 600.67456, 249], [0, 0, 1]])
_DEPTH_TO_COLOUR = np.array([[0.9999, 0.0034, 0.0161], [-0.0033, 1.0, -0.0079], [-0.0162, 0.0079, 0.9998]])
_DEPTH_IN_COLOUR_MM = np.array([19.0473, -1.8514, -4.7501])
_FROM_LEFT_UP = np.diag([-1.0, -1.0, 1.0])
_UNKNOWN_Z = 32001
_ACROSS_MM = 300.0  # from the tips' centre even the wrist of an open hand is nearer than half of it


class DexterObject(SetReader):
    """Dexter+Object."""

    name = "dexter_object"
    about = "Dexter+Object, no options"

    def parts(self) -> list[Part]:
        return [
            Part(f"{sequence} {start}-{stop - 1}", {"sequence": sequence, "start": start, "stop": stop})
            for sequence in SEQUENCES
            for start, stop in spans(len(self._pictures(sequence)))
        ]

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        sequence, pictures = part.about["sequence"], self._pictures(part.about["sequence"])
        lines = self._lines(sequence, len(pictures)) if with_truth else []
        for place in range(part.about["start"], part.about["stop"]):
            row = camera(_COLOUR_K) | {
                "uri": f"data/{sequence}/color/{pictures[place]}",
                "hand": "left",
                "sequence_id": f"{self.name}/{sequence}",
            }
            yield guarded(row, *((partial(_truth, lines[place]),) if with_truth else ()))

    def _pictures(self, sequence: str) -> list[str]:
        folder = self.folder / "data" / sequence / "color"
        names = os.listdir(folder) if folder.is_dir() else []
        pictures = sorted(name for name in names if Path(name).suffix.lower() in PICTURE_EXTENSIONS)
        if not pictures:
            raise InputError(f"{folder}: no pictures; the data set is not complete, or not in its own layout")
        return pictures

    def _lines(self, sequence: str, num: int) -> list[str]:
        path = self.folder / "data" / sequence / "annotations" / f"{sequence}3D.txt"
        lines = read_lines(path, self.limits)
        if len(lines) != num:
            raise InputError(f"{path}: {len(lines)} lines for {num} pictures; unpack the data set again")
        return lines


def _truth(line: str) -> Row:
    tips_mm = _tips(line)
    joints_mm = np.full((NUM_JOINTS, 3), np.nan)
    joints_mm[list(FINGERTIPS)] = tips_mm @ _FROM_LEFT_UP @ _DEPTH_TO_COLOUR.T + _DEPTH_IN_COLOUR_MM
    joints_mm[list(FINGERTIPS)] = np.where(tips_mm[:, 2:] == _UNKNOWN_Z, np.nan, joints_mm[list(FINGERTIPS)])
    if np.isnan(joints_mm).all():
        return {}
    row = joints_in_space(joints_mm, _COLOUR_K)
    centre_mm = np.nanmean(joints_mm, axis=0, keepdims=True)
    size_px = _ACROSS_MM * np.diag(_COLOUR_K)[:2] / centre_mm[0, 2]
    box_px = [*(project(centre_mm, _COLOUR_K)[0] - size_px / 2).tolist(), *size_px.tolist()]
    return row | {"supervision": "3d", "bbox_px": box_px, "box_source": "truth"}


def _tips(line: str) -> Float[np.ndarray, "5 3"]:
    try:
        points = [[float(number) for number in point.split(",")] for point in line.split(";")[: len(FINGERTIPS)]]
        return entry_array(points, (len(FINGERTIPS), 3), "a line of fingertips")
    except ValueError:
        raise BadFrame("bad_truth", f"a line of fingertips is {line[:80]!r}") from None
