"""Hand-3D-Studio (Zhao et al., 2020) as the crops of the Transfer-Learning-Library: bare hands and hands with objects.

Layout and meaning after thuml/Transfer-Learning-Library, tllib/vision/datasets/keypoint_detection/hand_3d_studio.py
at 9fcd99cb; the authors' own release is not read. The folder is `H3D_crop`:

- `annotation.json` lists pictures by name, with 21 joints in px of the crop, the same in the camera's frame in a unit
  that nobody states, the crop's intrinsics and whether there is no object. The order is ours;
- nothing says which hand it is: the caller must, as `hand`;
- joints in space are read where the caller says how many mm a unit is (`unit_mm`), and must then project onto the
  joints in the picture; else supervision is `2d`;
- the library draws its own train and test at random, and neighbouring views of one instant fall on both sides. There
  is no split here, and because nothing tells instants apart, all pictures count as one recording.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat

from semihand.frames.errors import BadFrame
from semihand.frames.sets.columns import camera, joints_in_picture, joints_in_space
from semihand.frames.sets.entries import at, field, read_list
from semihand.frames.sets.files import entry_array
from semihand.frames.sets.reader import PROBLEM, Part, Row, SetOptions, SetReader, guarded, spans

MAX_REPROJECTION_PX = 2.0


class H3dOptions(SetOptions):
    """Which hand it is, which pictures, and the unit of the joints in space."""

    hand: Literal["left", "right"]
    task: Literal["noobject", "object", "all"] = "all"
    unit_mm: PositiveFloat | None = None


class H3d(SetReader):
    """Hand-3D-Studio, cropped."""

    name = "h3d"
    about = "Hand-3D-Studio, H3D_crop: hand=left|right (needed), task=noobject|object|all, unit_mm=NUMBER"
    Options = H3dOptions
    are_crops = True

    def parts(self) -> list[Part]:
        total = len(self._entries())
        return [Part(f"{start}-{stop - 1}", {"start": start, "stop": stop}) for start, stop in spans(total)]

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        start = part.about["start"]
        for number, entry in enumerate(self._entries()[start : part.about["stop"]], start):
            where = f"annotation.json: entry {number}"
            try:
                uri = field(entry, "name", str, where)
                bare = entry_array(at(entry, "without_object"), (), where)
            except BadFrame as problem:
                yield {PROBLEM: problem}
                continue
            if (self.options.task, float(bare)) in (("noobject", 0), ("object", 1)):
                continue
            row = {"uri": uri, "hand": self.options.hand, "sequence_id": self.name}
            known = (partial(self._truth, entry, where),) if with_truth else ()
            yield guarded(row, partial(_camera, entry, where), *known)

    def _truth(self, entry: Any, where: str) -> Row:
        uv_px = entry_array(at(entry, "keypoint2d"), (21, 2), f"{where}, keypoint2d")
        if self.options.unit_mm is None:
            return joints_in_picture(uv_px, np.ones(21, bool)) | {"supervision": "2d"}
        joints_mm = self.options.unit_mm * entry_array(at(entry, "keypoint3d"), (21, 3), f"{where}, keypoint3d")
        K = _intrinsics(entry, where)
        row = joints_in_space(joints_mm, K) | {"supervision": "3d"}
        off_px = np.abs(row["joints_uv_px"] - uv_px).max()
        if not off_px <= MAX_REPROJECTION_PX:
            limit = f"the limit is {MAX_REPROJECTION_PX:g} px"
            raise BadFrame("bad_truth", f"{where}: keypoint3d falls {off_px:.1f} px beside keypoint2d, {limit}")
        return row

    def _entries(self) -> list[Any]:
        return read_list(self.folder / "annotation.json", limits=self.limits)


def _camera(entry: Any, where: str) -> Row:
    return camera(_intrinsics(entry, where))


def _intrinsics(entry: Any, where: str) -> np.ndarray:
    return entry_array(at(entry, "intrinsic_matrix"), (3, 3), f"{where}, intrinsic_matrix")
