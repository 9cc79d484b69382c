"""YouTube-3D-Hands (Kulon et al., CVPR 2020): hands in videos, with meshes fitted to 2D detections.

Layout and meaning after snap-research/arielai_youtube_3d_hands (once arielai/youtube_3d_hands), README.md at 2cd7c8d5
and load_db.py at b35912f4; the joints after naoc-1861355/Public_Handpose_Datasets, YouTube-3D-Hands/normdat.py at
0cc92d7a. The folder is the repository's `data`:

- `youtube_{train,val,test}.json`: `images` with name and size, `annotations` with 778 vertices and `is_left`. Test is
  fitted to detections like the rest, and its authors would only compare a method with itself on it;
- `youtube/VIDEO/video/frames/FRAME.png`, which the user extracts: a frame that the own video lacks is a missing file,
  one that a tool counted otherwise goes unnoticed, and another resolution scales the vertices along;
- vertices: x and y in px, z in no stated unit, which is dropped; in MANO's order, on both sides taken to be the same.
  Joints come by the regressor and the fingertips of the user's MANO file (`mano`, of either side): supervision `2d`.
  Without it a mesh gives no more than a box.

Many pictures show a second hand without labels.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.sets.columns import joints_in_picture
from semihand.frames.sets.entries import at, field, read_list, with_images
from semihand.frames.sets.files import entry_array, read_size
from semihand.frames.sets.fits import mano_model
from semihand.frames.sets.reader import PROBLEM, OwnFile, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.mano import LICENSED_NUM_VERTICES, SEMIHAND_FROM_MANO, TIP_VERTICES
from semihand.tables.identity import frame_id

SPLITS = ("train", "val", "test")
_FRAME = re.compile(r"youtube/(?P<video>[^/]+)/video/frames/\d+\.png")
_ASPECT_TOLERANCE = 0.01  # a side of 100 px may be rounded


class Youtube3dOptions(SetOptions):
    """Which pictures, and MANO's file."""

    split: Literal["train", "val", "test", "all"] = "train"
    mano: OwnFile | None = None


class Youtube3d(SetReader):
    """YouTube-3D-Hands."""

    name = "youtube3d"
    about = "YouTube-3D-Hands: split=train|val|test|all, mano=MANO_RIGHT.pkl"
    Options = Youtube3dOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in SPLITS if self.options.split == "all" else (self.options.split,):
            for start, stop in spans(len(read_list(self._file(split), "annotations", limits=self.limits))):
                parts.append(Part(f"{split} {start}-{stop - 1}", {"split": split, "start": start, "stop": stop}))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, start = part.about["split"], part.about["start"]
        path = self._file(split)
        for number, (annotation, image) in enumerate(with_images(path, start, part.about["stop"], self.limits), start):
            where = f"{path.name}: annotation {number}"
            try:
                row = self._hand(split, annotation, image, where)
            except BadFrame as problem:
                yield {PROBLEM: problem}
                continue
            known = (partial(self._truth, annotation, image, where),) if with_truth else ()
            yield guarded(row, *known)

    def _hand(self, split: str, annotation: Any, image: Any, where: str) -> Row:
        uri = field(image, "name", str, where)
        named = _FRAME.fullmatch(uri)
        if named is None:
            raise BadFrame("bad_row", f"{where}: name is {uri[:60]!r}, not youtube/VIDEO/video/frames/FRAME.png")
        return {
            "uri": uri,
            "hand": "left" if field(annotation, "is_left", int, where) else "right",
            "split": split,
            "sequence_id": f"{self.name}/{named['video']}",
            "frame_id": frame_id(self.name, uri, instance=field(annotation, "id", int, where)),
        }

    def _truth(self, annotation: Any, image: Any, where: str) -> Row:
        vertices = entry_array(at(annotation, "vertices"), (LICENSED_NUM_VERTICES, 3), where)[:, :2]
        if not np.isfinite(vertices).all():
            raise BadFrame("bad_truth", f"{where}: vertices are not finite")
        mesh_px = (vertices + 0.5) * self._scale(image, where) - 0.5
        box = [float(number) for number in (*mesh_px.min(0), *np.ptp(mesh_px, axis=0))]
        return self._joints(mesh_px) | {"bbox_px": box, "box_source": "truth"}

    def _scale(self, image: Any, where: str) -> Float[np.ndarray, "2"]:
        """The size of the picture at hand over the one that was labelled, by width and height.

        Raises:
            BadFrame: bad_truth, it has other proportions; or the picture is missing or broken.
        """
        labelled = np.array([field(image, name, int, where) for name in ("width", "height")], np.float64)
        size = np.array(read_size(self._inside(image["name"]), self.limits))
        scale: np.ndarray = size / labelled.clip(1)
        if abs(scale[0] / scale[1] - 1) > _ASPECT_TOLERANCE:
            raise BadFrame("bad_truth", f"{where}: a picture of {size.tolist()} px, labelled at {labelled.tolist()}")
        return scale

    def _joints(self, mesh_px: Float[np.ndarray, "vertices 2"]) -> Row:
        if self.options.mano is None:
            return {}
        regressor = mano_model(self.options.mano).J_regressor
        if regressor.shape[1] != LICENSED_NUM_VERTICES:
            num = f"{regressor.shape[1]} vertices, the meshes have MANO's {LICENSED_NUM_VERTICES}"
            raise InputError(f"mano={self.options.mano}: {num}; give MANO's own file")
        joints_px = np.concatenate([regressor @ mesh_px, mesh_px[list(TIP_VERTICES)]])[list(SEMIHAND_FROM_MANO)]
        return joints_in_picture(joints_px, np.ones(21, bool)) | {"supervision": "2d"}

    def _file(self, split: str) -> Path:
        return self.folder / f"youtube_{split}.json"
