"""Labels as HO-3D's training set (Hampali et al., CVPR 2020): a picture and a pickled `meta` per frame, right hands.

Layout and axes after shreyashampali/ho3d, vis_HO3D.py and utils/vis_utils.py at 6bce77f, as our own reader has them
(`semihand.frames.sets.ho3d`): `train.txt` names `A1/0000`; `train/A1/rgb/0000.jpg` (v3; `.png`, as in v2, where the
picture did not come as a JPEG); `train/A1/meta/0000.pkl` in metres on OpenGL's axes, joints in MANO's order, with
`camMat`, and the fitted hand as `handPose` (the mean pose in it), `handBeta` and `handTrans`.

A recording is what frames of one subject, sequence and view share, called A1, B1 ... as HO-3D's are one person each.
HO-3D's joints are its fit's: here they are the label's, and the fit is moved so that its wrist is the label's, which is
what readers take the wrist joint for. Left hands and distorted lenses are left out and counted, as for FreiHAND.
"""

import pickle
import string
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from semihand.exports.forms import Form, no_place_in_a_pinhole, write_picture
from semihand.exports.samples import Sample
from semihand.hand.skeleton import WRIST, reorder_from_semihand

_TO_OPENGL = np.diag([1.0, -1.0, -1.0])


class Ho3d(Form):
    """HO-3D's layout."""

    name = "ho3d"
    needs_fit = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._recordings: dict[tuple[object, ...], tuple[str, list[str]]] = {}

    def refused(self, sample: Sample) -> str | None:
        left = "it is a left hand, the form knows right ones only"
        return left if sample.about["hand"] == "left" else no_place_in_a_pinhole(sample)

    def write(self, sample: Sample) -> str:
        key = tuple(sample.about[name] for name in ("subject_id", "sequence_id", "view_id"))
        name, lines = self._recordings.setdefault(key, (f"{_letters(len(self._recordings))}1", []))
        number = f"{len(lines):04d}"
        lines.append(f"{name}/{number}")
        data, suffix = sample.picture.encoded()
        where = f"train/{name}/rgb/{number}{suffix}"
        write_picture(self.folder / where, data)
        write_picture(self.folder / "train" / name / "meta" / f"{number}.pkl", _pickled(_meta(sample)))
        return where

    def finish(self) -> None:
        lines = [line for _, lines in self._recordings.values() for line in lines]
        (self.folder / "train.txt").write_text("".join(f"{line}\n" for line in lines))


def _meta(sample: Sample) -> dict[str, object]:
    assert sample.K is not None
    assert sample.fit is not None
    joints_m = reorder_from_semihand(sample.joints_mm, "ho3d") / 1000 @ _TO_OPENGL
    # smplx turns about the model's own wrist: its wrist lies at rest + translation
    rest_m = (sample.fit.joints_mm[WRIST] - sample.fit.translation_mm) / 1000
    turn = Rotation.from_matrix(_TO_OPENGL) * Rotation.from_rotvec(sample.fit.pose[:3])
    return {
        "camMat": sample.K,
        "handJoints3D": joints_m,
        "handPose": np.concatenate([turn.as_rotvec(), sample.fit.pose[3:]]),
        "handBeta": sample.fit.shape,
        "handTrans": joints_m[WRIST] - rest_m,
    }


def _pickled(meta: dict[str, object]) -> bytes:
    """The one pickle that is written here, since HO-3D's tools read no other form; of any NumPy, as theirs are old."""
    return pickle.dumps(meta, protocol=2).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def _letters(number: int) -> str:
    """A, B ... Z, AA, AB ..."""
    letters = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        letters = string.ascii_uppercase[place] + letters
    return letters
