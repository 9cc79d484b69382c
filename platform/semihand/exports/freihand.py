"""Labels as FreiHAND's training set (Zimmermann et al., ICCV 2019), which knows right hands only.

Layout and units after lmb-freiburg/freihand, utils/fh_utils.py and pred.py at 517e13e, as our own reader has them
(`semihand.frames.sets.freihand`, which reads an export with `version=gs`): `training/rgb/%08d.jpg`, and in lists of as
many entries `training_K.json` (px), `training_xyz.json` (metres, camera frame), `training_scale.json` (metres, the
middle finger's proximal bone) and, of a licensed model's fit, `training_mano.json` ([1][61]: angles without the mean
pose, shape, the middle finger's base in px, and the scale of `recover_root` in utils/model.py at 42eb648: px a metre at
the depth of that base, as an orthographic camera of the mean focal length has).

Left hands are left out and counted, never mirrored: a mirrored picture is not what a camera saw. So are labels behind a
distorted lens, which K alone would put beside their pictures. `samples.jsonl` says which label each sample is.
"""

from pathlib import Path
from typing import Any

import numpy as np

from semihand.exports.forms import Form, no_place_in_a_pinhole, write_json, write_picture
from semihand.exports.samples import Sample
from semihand.hand.camera import scale_mm
from semihand.hand.mano import HandModel
from semihand.hand.skeleton import MIDDLE_MCP


class Freihand(Form):
    """FreiHAND's layout."""

    name = "freihand"

    def __init__(self, folder: Path, licensed: HandModel | None) -> None:
        """Begin a folder.

        Args:
            folder: the set's root.
            licensed: the user's right MANO, whose fits are written; None: no fits are.
        """
        super().__init__(folder)
        self._licensed = licensed
        self._lists: dict[str, list[Any]] = {"K": [], "xyz": [], "scale": []}
        if licensed is not None:
            self._lists["mano"] = []

    def refused(self, sample: Sample) -> str | None:
        left = "it is a left hand, the form knows right ones only"
        return left if sample.about["hand"] == "left" else no_place_in_a_pinhole(sample)

    def write(self, sample: Sample) -> str:
        where = f"training/rgb/{self.num:08d}.jpg"
        write_picture(self.folder / where, sample.picture.as_jpeg())
        assert sample.K is not None
        self._lists["K"].append(sample.K.tolist())
        self._lists["xyz"].append((sample.joints_mm / 1000).tolist())
        self._lists["scale"].append(float(scale_mm(sample.joints_mm)) / 1000)
        if self._licensed is not None and sample.fit is not None:
            mean = np.concatenate([np.zeros(3), self._licensed.hands_mean])
            root_m = sample.joints_mm[MIDDLE_MCP] / 1000
            px_per_m = (sample.K[0, 0] + sample.K[1, 1]) / 2 / root_m[2]
            root_px = sample.K[:2, 2] + px_per_m * root_m[:2]
            numbers = [*(sample.fit.pose - mean), *sample.fit.shape, *root_px, px_per_m]
            self._lists["mano"].append([[float(number) for number in numbers]])
        return where

    def finish(self) -> None:
        for name, entries in self._lists.items():
            write_json(self.folder / f"training_{name}.json", entries)
