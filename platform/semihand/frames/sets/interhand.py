"""InterHand2.6M, v0.0 and v1.0, 5 and 30 fps (Moon et al., ECCV 2020): one or two hands before many cameras.

Layout and meaning after facebookresearch/InterHand2.6M, DATASET.md at 8f194b3f, data/InterHand2.6M/dataset.py at
0d56e05b and tool/MANO_world_to_camera/convert.py at 1f11fe90; v1.0 after facebookresearch/InterWild,
data/InterHand26M/InterHand26M.py at 6753d55c. The folder holds both `images` and `annotations`:

- `images/SPLIT/CaptureN/SEQUENCE/camC/imageF.jpg`; the same names come back in other splits, with other pictures;
- `annotations/SPLIT/InterHand2.6M_SPLIT_{data,camera,joint_3d,MANO_NeuralAnnot}.json` in v1.0; in v0.0 they lie in
  `annotations/all`, and `val` in `annotations/machine_annot`;
- 42 joints in mm, world frame, each finger from tip to base, the wrist last, right hand first. `joint_valid` decides:
  what is not valid may hold ordinary numbers. Joint lists without it, as before 2020-08-31, are refused;
- cameras: `campos` is the centre in mm, X_camera = camrot (X_world - campos);
- MANO: metres, world frame, angles without the mean pose, the left file's sign mended. Without the files of both sides
  (`mano`, `mano_left`) that side's columns stay null. A fit's joints lie some 5 mm from `joint_3d`, which has no
  model behind it;
- the published box holds all hands of the picture and comes from the truth; here each hand has its own.

A picture said to hold one hand may show the other without labels. Frames carry no times: some captures count at 90 Hz,
others at 30 (issue 147). Subjects' numbers begin anew in each split.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.sets.columns import camera, joints_in_space, pose_of_camera
from semihand.frames.sets.entries import at, field, read_list, with_images
from semihand.frames.sets.files import entry_array, read_annotation
from semihand.frames.sets.fits import mano_of_side, with_mean
from semihand.frames.sets.reader import PROBLEM, OwnFile, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.mano import Side
from semihand.hand.skeleton import reorder_to_semihand
from semihand.tables.identity import frame_id

SPLITS = ("train", "val", "test")
_SIDES: dict[str, tuple[Side, ...]] = {"right": ("right",), "left": ("left",), "interacting": ("right", "left")}
_JOINTS: dict[Side, slice] = {"right": slice(0, 21), "left": slice(21, 42)}


class InterhandOptions(SetOptions):
    """Which pictures, and MANO's files."""

    split: Literal["train", "val", "test", "all"] = "train"
    mano: OwnFile | None = None
    mano_left: OwnFile | None = None


class Interhand(SetReader):
    """InterHand2.6M."""

    name = "interhand"
    about = "InterHand2.6M v0.0, v1.0: split=train|val|test|all, mano=MANO_RIGHT.pkl, mano_left=MANO_LEFT.pkl"
    Options = InterhandOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in self._splits():
            num = len(read_list(self._file(split, "data"), "annotations", limits=self.limits))
            for start, stop in spans(num, rows_of_each=len(_JOINTS)):
                about = {"split": split, "start": start, "stop": stop}
                parts.append(Part(f"{split} {start}-{stop - 1}", about))
        return parts

    def annotations(self, with_truth: bool) -> list[Path]:
        names = ["camera", *(["joint_3d"] if with_truth else [])]
        if with_truth and (self.options.mano or self.options.mano_left):
            names.append("MANO_NeuralAnnot")
        return [self._file(split, name) for split in self._splits() for name in names]

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, start = part.about["split"], part.about["start"]
        path = self._file(split, "data")
        for number, (annotation, image) in enumerate(with_images(path, start, part.about["stop"], self.limits), start):
            where = f"{path.name}: annotation {number}"
            try:
                shot = self._shot(split, image, where)
                sides = _SIDES.get(field(annotation, "hand_type", str, where), ())
                if not sides:
                    raise BadFrame("bad_hand", f"{where}: hand_type is none of {', '.join(_SIDES)}")
            except BadFrame as problem:
                yield {PROBLEM: problem}
                continue
            for side in sides:
                known = (partial(self._truth, split, image, side),) if with_truth else ()
                row = shot | {"hand": side, "frame_id": frame_id(self.name, shot["uri"], instance=side)}
                yield guarded(row, partial(self._camera, split, image), *known)

    def _splits(self) -> tuple[str, ...]:
        return SPLITS if self.options.split == "all" else (self.options.split,)

    def _shot(self, split: str, image: Any, where: str) -> Row:
        capture, frame, subject = (field(image, key, int, where) for key in ("capture", "frame_idx", "subject"))
        return {
            "uri": f"images/{split}/{field(image, 'file_name', str, where)}",
            "split": split,
            "sequence_id": f"{self.name}/{split}-{capture}/{field(image, 'seq_name', str, where)}",
            "instant_id": f"{self.name}/{split}-{capture}/{frame}",
            "view_id": field(image, "camera", str, where),
            "subject_id": f"{self.name}/{split}-{subject}",
        }

    def _camera(self, split: str, image: Any) -> Row:
        K, R, t_mm = self._view(split, image)
        return camera(K) | pose_of_camera(R, t_mm)

    def _view(self, split: str, image: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A camera's intrinsics, rotation and translation in mm."""
        cameras = read_annotation(self._file(split, "camera"), self.limits)
        sizes = {"campos": (3,), "camrot": (3, 3), "focal": (2,), "princpt": (2,)}
        where = f"{split}_camera: capture {image['capture']}, camera {image['camera']}"
        centre_mm, R, focal, principal = (
            entry_array(at(cameras, str(image["capture"]), name, image["camera"]), shape, f"{where}, {name}")
            for name, shape in sizes.items()
        )
        K = np.array([[focal[0], 0, principal[0]], [0, focal[1], principal[1]], [0, 0, 1]])
        return K, R, -R @ centre_mm

    def _truth(self, split: str, image: Any, side: Side) -> Row:
        capture, frame = str(image["capture"]), str(image["frame_idx"])
        joints = at(read_annotation(self._file(split, "joint_3d"), self.limits), capture, frame)
        if joints is None:
            return {}
        where = f"{split}_joint_3d: capture {capture}, frame {frame}"
        world_mm = entry_array(at(joints, "world_coord"), (42, 3), where)[_JOINTS[side]]
        valid = _validity(at(joints, "joint_valid"), where)[_JOINTS[side]]
        if not valid.any():
            return {}
        K, R, t_mm = self._view(split, image)
        joints_mm = reorder_to_semihand(world_mm @ R.T + t_mm, "interhand")
        known = reorder_to_semihand(valid[:, None], "interhand")[:, 0] > 0
        row = joints_in_space(joints_mm, K, known) | {"supervision": "3d"}
        return row | self._fit(split, image, side)

    def _fit(self, split: str, image: Any, side: Side) -> Row:
        path = self.options.mano if side == "right" else self.options.mano_left
        fits = self._file(split, "MANO_NeuralAnnot")
        if path is None or not fits.is_file():
            return {}
        fit = at(read_annotation(fits, self.limits), str(image["capture"]), str(image["frame_idx"]), side)
        if fit is None:
            return {}
        where = f"{split}_MANO: capture {image['capture']}, frame {image['frame_idx']}, {side}"
        pose, shape, world_m = (
            entry_array(at(fit, name), (num,), f"{where}, {name}")
            for name, num in (("pose", 48), ("shape", 10), ("trans", 3))
        )
        model, (_, R, t_mm) = mano_of_side(path, side), self._view(split, image)
        # The model turns about its first joint, which therefore moves with the camera while the rest turns.
        root_m = model.J_regressor[0] @ (model.v_template + model.shapedirs @ shape)
        turn = Rotation.from_matrix(R) * Rotation.from_rotvec(pose[:3])
        return {
            "mano_pose": with_mean(np.concatenate([turn.as_rotvec(), pose[3:]]), model),
            "mano_shape": shape,
            "mano_translation_mm": 1000 * (R @ (world_m + root_m) - root_m) + t_mm,
            "supervision": "mano",
        }

    def _file(self, split: str, name: str) -> Path:
        """An annotation file, in the folder of either version."""
        kept = [self.folder / "annotations" / folder for folder in (split, "all", "machine_annot")]
        found = [folder for folder in kept if (folder / f"InterHand2.6M_{split}_data.json").is_file()]
        if not found:
            raise InputError(f"{self.folder}: no annotations/{split}/InterHand2.6M_{split}_data.json; unpack images "
                             "and annotations into one folder")  # fmt: skip
        return found[0] / f"InterHand2.6M_{split}_{name}.json"


def _validity(entry: Any, where: str) -> Float[np.ndarray, " 42"]:
    """Written as 42 numbers in some releases, as 42 lists of one in others."""
    if isinstance(entry, list):
        entry = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in entry]
    return entry_array(entry, (42,), f"{where}, joint_valid")
