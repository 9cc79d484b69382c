"""Calibrated multi-view recordings: one hand before several synchronised cameras, in a layout of our own.

    FOLDER/cameras.toml        or cameras.json, see below
    FOLDER/left/000017.jpg     camera `left` at instant `000017`, named by letters, digits, dots, dashes; or .png
    FOLDER/right.mp4           or one video per camera, frame n of each at instant `n`, from 0
    FOLDER/joints.json         optional: {"000017": [[x, y, z], ...]}, world, mm, our 21 joints, null: not known

with, for every camera,

    [cameras.left]
    intrinsics = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]                  # px of the pictures as they are
    distortion = [k1, k2, p1, p2, k3]                                   # OpenCV's 4, 5 or 8; left out: none
    world_to_camera = [[r, r, r, x], [r, r, r, y], [r, r, r, z]]        # X_camera = R X_world + t, t in mm

in pixels with centres at integers and cameras with x right, y down, z forward, as OpenCV calibrates. The recording is
called like its folder, which is also its rows' `dataset`.

Recordings of TemugeB/handpose3d (handpose3d.py at 0676fe4) are read as they are: `camera_parameters/c0.dat`,
`rot_trans_c0.dat` and `cam0.mp4`, `cam0_test.mp4` or `media/cam0_test.mp4`. Their world is measured in squares of the
checkerboard, so `square_mm` is needed. The intrinsics must be of the videos' own size.
"""

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveInt

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import resolve_inside
from semihand.frames.options import Hand
from semihand.frames.sets.columns import joints_in_picture
from semihand.frames.sets.files import count_frames, entry_array, read_annotation
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.frames.sets.rigs import View, read_rig
from semihand.hand.skeleton import NUM_JOINTS

_PICTURE = r"[\w.-]+\.(?i:jpg|jpeg|png)"
_VIDEOS = ("{}.mp4", "{}_test.mp4", "media/{}_test.mp4")


class MultiviewOptions(SetOptions):
    """What the folder does not say."""

    hand: Hand
    square_mm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    frame_step: PositiveInt = 1  # every n-th frame of videos


class Multiview(SetReader):
    """A folder of one hand before several calibrated cameras."""

    name = "multiview"
    about = "calibrated cameras, own layout: hand=left|right (needed), frame_step=1, square_mm= (of camera_parameters/)"
    Options = MultiviewOptions

    def parts(self) -> list[Part]:
        parts = []
        for name in self._rig:
            video, instants = self._instants(name)
            for start, stop in spans(len(instants)):
                about = {"camera": name, "video": video, "instants": instants[start:stop]}
                parts.append(Part(f"{name} {start}-{stop - 1}", about))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        name, video = part.about["camera"], part.about["video"]
        view = self._rig[name]
        joints = self._joints() if with_truth else {}
        for instant in part.about["instants"]:
            stem = str(instant) if video else Path(instant).stem
            row = view.columns() | {
                "dataset": self.folder.name,
                "uri": video or f"{name}/{instant}",
                "video_frame": instant if video else None,
                "hand": self.options.hand,
                "sequence_id": self.folder.name,
                "instant_id": f"{self.folder.name}/{stem}",
                "view_id": name,
            }
            known = (partial(_truth, joints[stem], view, stem),) if stem in joints else ()
            yield guarded(row, *known)

    @cached_property
    def _rig(self) -> dict[str, View]:
        return read_rig(self.folder, self.options.square_mm)

    def _instants(self, name: str) -> tuple[str | None, list[Any]]:
        """The pictures of a camera, or its video and the frames of it."""
        video = next((each.format(name) for each in _VIDEOS if (self.folder / each.format(name)).is_file()), None)
        if video is None:
            return None, names_in(self.folder / name, _PICTURE)
        try:
            num = count_frames(resolve_inside(video, self.folder, self.folder), self.limits)
        except BadFrame as problem:
            raise InputError(problem.detail) from problem
        return video, list(range(0, num, self.options.frame_step))

    def _joints(self) -> dict[str, Any]:
        path = self.folder / "joints.json"
        joints = read_annotation(path, self.limits) if path.is_file() else {}
        if not isinstance(joints, dict):
            raise InputError(f"{path}: holds no instants by name; give {{instant: [[x, y, z], ...]}}")
        return joints


def _truth(joints: Any, view: View, instant: str) -> Row:
    joints_mm, uv_px = view.of_world(entry_array(joints, (NUM_JOINTS, 3), f"joints.json, {instant}"))
    known = np.isfinite(uv_px).all(-1)
    if not known.any():
        return {}
    return joints_in_picture(uv_px, known) | {
        "joints_mm": np.where(known[:, None], joints_mm, np.nan),
        "supervision": "3d",
    }
