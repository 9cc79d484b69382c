"""FreiHAND, v1 and v2 (Zimmermann et al., ICCV 2019): 224 px crops of right hands, with MANO fits.

Layout and meaning after lmb-freiburg/freihand, utils/fh_utils.py and pred.py at 517e13e, utils/model.py at 42eb648:

- `training/rgb/%08d.jpg` holds the samples four times over, before other backgrounds, in the order gs, hom, sample,
  auto: annotation i of n belongs to pictures i, i + n, i + 2n and i + 3n, which are one instant;
- `training_K.json` is of the crop, `training_xyz.json` in metres in the camera's frame, joints in our order;
- `training/mask/%08d.jpg` exists for the first version and fits all four;
- `training_mano.json` has entries [1][61]: 48 angles without the mean pose, 10 of shape, root in px, and px a
  metre at the root's depth, which are not read. The mean pose lies in MANO's own file: without `mano` those columns
  stay null. The translation is what puts the model's base of the middle finger, which the fit calls root, onto the
  joint;
- evaluation pictures have truth where the evaluation release was unpacked into the same folder.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from semihand.frames.errors import InputError
from semihand.frames.sets.columns import camera, joints_in_space
from semihand.frames.sets.files import entry_array, mask_png, read_annotation, read_picture
from semihand.frames.sets.fits import mano_model, posed_joints_mm, with_mean
from semihand.frames.sets.reader import OwnFile, Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import MIDDLE_MCP

VERSIONS = ("gs", "hom", "sample", "auto")


class FreihandOptions(SetOptions):
    """Which pictures, and MANO's file."""

    split: Literal["training", "evaluation", "all"] = "training"
    version: Literal["gs", "hom", "sample", "auto", "all"] = "all"
    mano: OwnFile | None = None


class Freihand(SetReader):
    """FreiHAND."""

    name = "freihand"
    about = "FreiHAND v1, v2: split=training|evaluation|all, version=gs|hom|sample|auto|all, mano=MANO_RIGHT.pkl"
    Options = FreihandOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in self._splits():
            num = len(self._list(split, "K"))
            wanted = self.options.version if split == "training" else "gs"
            for version in VERSIONS if wanted == "all" else (wanted,):
                for start, stop in spans(num):
                    about = {"split": split, "version": version, "num": num, "start": start, "stop": stop}
                    parts.append(Part(f"{split} {version} {start}-{stop - 1}", about))
        return parts

    def annotations(self, with_truth: bool) -> list[Path]:
        names = ["xyz", *(["mano"] if self.options.mano else [])] if with_truth else []
        return [self.folder / f"{split}_{name}.json" for split in self._splits() for name in names]

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, version, num = (part.about[name] for name in ("split", "version", "num"))
        has_truth = with_truth and (self.folder / f"{split}_xyz.json").is_file()
        for sample in range(part.about["start"], part.about["stop"]):
            picture = sample + num * VERSIONS.index(version)
            row = {
                "uri": f"{split}/rgb/{picture:08d}.jpg",
                "hand": "right",
                "split": split,
                "instant_id": f"{self.name}/{split}-{sample}",
            }
            known = (partial(self._truth, split, sample),) if has_truth else ()
            yield guarded(row, partial(self._camera, split, sample), *known)

    def _camera(self, split: str, sample: int) -> Row:
        return camera(self._intrinsics(split, sample))

    def _intrinsics(self, split: str, sample: int) -> np.ndarray:
        return entry_array(self._list(split, "K")[sample], (3, 3), f"{split}_K")

    def _truth(self, split: str, sample: int) -> Row:
        joints_mm = 1000 * entry_array(self._list(split, "xyz")[sample], (21, 3), f"{split}_xyz")
        row = joints_in_space(joints_mm, self._intrinsics(split, sample)) | {"supervision": "3d"}
        mask = self._mask(split, sample)
        if mask is not None:
            row["mask_png"] = mask_png(read_picture(mask, self.limits).max(-1) > (127 if split == "training" else 0))
        if self.options.mano is not None and (self.folder / f"{split}_mano.json").is_file():
            row |= self._fit(split, sample, joints_mm)
        return row

    def _splits(self) -> tuple[str, ...]:
        return ("training", "evaluation") if self.options.split == "all" else (self.options.split,)

    def _mask(self, split: str, sample: int) -> Path | None:
        """JPEG for training, whose greys need a threshold; numbered parts for evaluation, 0 beside the hand."""
        kept = f"mask/{sample:08d}.jpg" if split == "training" else f"segmap/{sample:08d}.png"
        return self._inside_if_any(f"{split}/{kept}")

    def _fit(self, split: str, sample: int, joints_mm: np.ndarray) -> Row:
        fit = entry_array(self._list(split, "mano")[sample], (1, 61), f"{split}_mano")[0]
        pose, shape = with_mean(fit[:48], mano_model(self.options.mano)), fit[48:58]
        shift_mm = joints_mm[MIDDLE_MCP] - posed_joints_mm(pose, shape, self.options.mano)[MIDDLE_MCP]
        return {"mano_pose": pose, "mano_shape": shape, "mano_translation_mm": shift_mm, "supervision": "mano"}

    def _list(self, split: str, name: str) -> list[object]:
        path = self.folder / f"{split}_{name}.json"
        entries = read_annotation(path, self.limits)
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{path}: holds no list of samples; is it FreiHAND's?")
        if name != "K" and len(entries) != len(self._list(split, "K")):
            raise InputError(f"{path}: {len(entries)} samples, {split}_K.json has {len(self._list(split, 'K'))}")
        return entries
