"""MVHand (Yu et al., BMVC 2021): right hands of four people before four RGB-D cameras.

Layout and meaning after ShichengChen/multiviewDataset, README.md and toolkits/toolkit.py at 37bb5213, and
toolkits/globalCamera/camera.py at 419d2139; the masks after a third party:

- `NAME/{rgb/%05d_V.jpg, depth/%05d_V.png, mask/%05d_V.jpg}`, NAME one of four recordings, V the camera 0 to 3;
- `NAME/mlresults/NAME-joints.npy`: 4 homogeneous coordinates per joint and frame, mm, in the frame of the one camera
  whose pose is the identity. They were computed without labels and are off by about 12 mm by the authors' own count
  (camera-calibration/README.md at 873e482c): fit to learn from, not to measure with;
- `NAME/calib.pkl`: by serial the 4 x 4 pose that leads from a camera to that one, mm; intrinsics stand in the code;
- depth in mm, its low byte in the blue channel, its high byte in the green one; masks are JPEG, rough, and may be
  missing;
- `NAMEmanoParam.pkl` is left alone: its fits have a scale that MANO does not, and may hold any code.

There are no splits and no times.
"""

import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from semihand.frames.errors import InputError
from semihand.frames.sets.columns import camera, joints_in_space, pose_of_camera
from semihand.frames.sets.entries import at
from semihand.frames.sets.files import depth_png, entry_array, mask_png, read_annotation, read_picture
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans
from semihand.hand.skeleton import reorder_to_semihand

#: fx, fy, cx, cy in px, by the serial of the camera, in the order of the pictures' last number
CAMERAS = {
    "840412062035": (619.598, 619.116, 325.345, 245.441),
    "840412062037": (615.85, 615.477, 316.062, 247.156),
    "840412062038": (619.475, 619.189, 313.715, 223.921),
    "840412062076": (615.665, 615.09, 306.514, 240.344),
}
_PICTURE = re.compile(r"(?P<frame>\d{5})_(?P<view>[0-3])\.jpg")


class MvhandOptions(SetOptions):
    """Whether the pictures' depth is kept: 0.2 MB each."""

    depth: bool = False


class Mvhand(SetReader):
    """MVHand."""

    name = "mvhand"
    about = "MVHand, the folder of its recordings (7-14-1-2 and others): depth=no|yes"
    Options = MvhandOptions

    def parts(self) -> list[Part]:
        recordings = sorted(path.parent.name for path in self.folder.glob("*/calib.pkl"))
        if not recordings:
            raise InputError(f"{self.folder}: no */calib.pkl; give the folder that holds 7-14-1-2 and the others")
        parts = []
        for recording in recordings:
            pictures = sorted(path.name for path in (self.folder / recording).glob("rgb/*.jpg"))
            shots = [picture for picture in pictures if _PICTURE.fullmatch(picture)]
            for start, stop in spans(len(shots)):
                about = {"recording": recording, "pictures": shots[start:stop]}
                parts.append(Part(f"{recording} from {shots[start]}", about))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        recording = part.about["recording"]
        for picture in part.about["pictures"]:
            frame, view = int(picture[:5]), int(picture[6])
            row = {
                "uri": f"{recording}/rgb/{picture}",
                "hand": "right",
                "subject_id": f"{self.name}/{recording}",
                "sequence_id": f"{self.name}/{recording}",
                "instant_id": f"{self.name}/{recording}/{frame}",
                "view_id": list(CAMERAS)[view],
            }
            known = (partial(self._truth, recording, frame, view),) if with_truth else ()
            yield guarded(row, partial(self._camera, recording, view), *known)

    def _camera(self, recording: str, view: int) -> Row:
        return camera(_intrinsics(view)) | pose_of_camera(*self._pose(recording, view))

    def _pose(self, recording: str, view: int) -> tuple[np.ndarray, np.ndarray]:
        """Rotation and translation, mm, from the root camera to this one."""
        path = self.folder / recording / "calib.pkl"
        serial = list(CAMERAS)[view]
        to_root = entry_array(at(read_annotation(path, self.limits), serial), (4, 4), f"{path}: {serial}")
        R = to_root[:3, :3].T
        return R, -R @ to_root[:3, 3]

    def _truth(self, recording: str, frame: int, view: int) -> Row:
        path = self.folder / recording / "mlresults" / f"{recording}-joints.npy"
        listed = read_annotation(path, self.limits)
        if listed.ndim != 4 or listed.shape[1:] != (21, 4, 1) or listed.dtype.kind not in "iuf":
            found = f"{listed.dtype} of shape {listed.shape}"
            raise InputError(f"{path}: {found}, not numbers of shape (frames, 21, 4, 1); download it again")
        if frame >= len(listed):
            return {}
        R, t_mm = self._pose(recording, view)
        joints_mm = reorder_to_semihand(listed[frame, :, :3, 0].astype(np.float64), "mvhand") @ R.T + t_mm
        row = joints_in_space(joints_mm, _intrinsics(view)) | {"supervision": "3d"}
        name = f"{frame:05d}_{view}"
        depth = self._inside_if_any(f"{recording}/depth/{name}.png") if self.options.depth else None
        if depth is not None:
            packed = read_picture(depth, self.limits).astype(np.float64)
            row["depth_png"] = depth_png(packed[..., 2] + 256 * packed[..., 1])
        mask = self._inside_if_any(f"{recording}/mask/{name}.jpg")
        if mask is not None:
            row["mask_png"] = mask_png(read_picture(mask, self.limits).max(-1) > 127)
        return row


def _intrinsics(view: int) -> np.ndarray:
    fx, fy, cx, cy = list(CAMERAS.values())[view]
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
