"""DexYCB (Chao et al., CVPR 2021): a hand that grasps an object before eight RGB-D cameras, with MANO fits.

Layout and meaning after NVlabs/dex-ycb-toolkit, README.md at bcbed06f, dex_ycb_toolkit/dex_ycb.py at e957432e and
sequence_loader.py at 2f0d1a79; the parameters of MANO also after NVlabs/handover-sim, handover/dex_ycb.py at 0f05d3b6:

- `DATE-subject-NN/DATE_TIME/SERIAL/{color_%06d.jpg, aligned_depth_to_color_%06d.png, labels_%06d.npz}`, 640 x 480;
  `meta.yml` says how many frames, which serials, which hand and which calibration;
- `labels`: joints in metres, camera frame, our order, all -1 where no hand is labelled (one may be seen all the same);
  `seg` is 255 on the hand; `pose_m` holds 3 angles, 45 principal components without the mean pose, and a translation
  in metres, camera frame. Components need the user's `mano`, for right hands: left ones were fitted on the left model
  with its shapes' wrong sign (issue 28), which our reader mends, so their columns stay null;
- depth in mm, aligned with the colours, 0 where unknown;
- `calibration/extrinsics_ID/extrinsics.yml` leads from a camera to the world, the master camera's frame, in metres.

The setups s0 to s3 hold out sequences, subjects, cameras or objects. s0 and s3 go by a sequence's place among a
subject's 100, so they need all of these. Frames carry no times, and their rate is not stated.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from semihand.frames.errors import InputError, shown
from semihand.frames.sets.columns import camera, joints_in_space, pose_of_camera
from semihand.frames.sets.entries import at
from semihand.frames.sets.files import depth_png, entry_array, mask_png, read_annotation, read_depth16, read_npz
from semihand.frames.sets.fits import mano_of_side
from semihand.frames.sets.reader import OwnFile, Part, Row, SetOptions, SetReader, guarded, spans

SUBJECT_DATES = (
    "20200709", "20200813", "20200820", "20200903", "20200908", "20200918", "20200928", "20201002", "20201015",
    "20201022",
)  # fmt: skip
SERIALS = (
    "836212060125", "839512060362", "840412060917", "841412060263", "932122060857", "932122060861", "932122061900",
    "932122062010",
)  # fmt: skip
NUM_SEQUENCES = 100
MAX_FRAMES = 100_000
_HAND = 255
_CALIBRATION = re.compile(r"[\w-]+")


class DexycbOptions(SetOptions):
    """Which pictures, by which of the four ways to split, whether their depth is kept (0.2 MB each), MANO's file."""

    setup: Literal["s0", "s1", "s2", "s3"] = "s0"
    split: Literal["train", "val", "test", "all"] = "train"
    depth: bool = False
    mano: OwnFile | None = None


class Dexycb(SetReader):
    """DexYCB."""

    name = "dexycb"
    about = "DexYCB: setup=s0|s1|s2|s3, split=train|val|test|all, depth=no|yes, mano=MANO_RIGHT.pkl"
    Options = DexycbOptions

    def parts(self) -> list[Part]:
        kept = [path for path in self.folder.iterdir() if path.name.split("-")[0] in SUBJECT_DATES]
        subjects = sorted(path for path in kept if path.is_dir())
        if not subjects:
            raise InputError(f"{self.folder}: no folder like 20200709-subject-01; give the one that holds the subjects")
        return [part for subject in subjects for part in self._parts_of(subject)]

    def _parts_of(self, subject: Path) -> Iterator[Part]:
        sequences = sorted(path.name for path in subject.iterdir() if re.fullmatch(r"\d{8}_\d{6}", path.name))
        whole = len(sequences) == NUM_SEQUENCES or self.options.setup in ("s1", "s2")
        if not whole and self.options.split != "all":
            raise InputError(
                f"{subject}: {len(sequences)} sequences, but splits of {self.options.setup} go by their place among "
                f"{NUM_SEQUENCES}; complete the download, or give setup=s1, setup=s2 or split=all"
            )
        number = SUBJECT_DATES.index(subject.name.split("-")[0])
        for place, sequence in enumerate(sequences):
            splits = {
                serial: official_split(self.options.setup, number, place, view) if whole else None
                for view, serial in enumerate(SERIALS)
            }
            wanted = {serial: split for serial, split in splits.items() if self.options.split in (split, "all")}
            if wanted:
                yield from self._parts_in(subject.name, sequence, number, wanted)

    def _parts_in(self, subject: str, sequence: str, number: int, splits: dict[str, str | None]) -> Iterator[Part]:
        """Parts of a sequence as these cameras saw it."""
        meta = self._meta(subject, sequence)
        wanted = {serial: splits[serial] for serial in meta["serials"] if serial in splits}
        for start, stop in spans(len(wanted) * meta["num_frames"]):
            about = {
                "subject": subject, "number": number, "sequence": sequence, "splits": wanted,
                "start": start, "stop": stop,
            }  # fmt: skip
            yield Part(f"{subject}/{sequence} {start}-{stop - 1}", about)

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        subject, number, sequence, splits = (part.about[name] for name in ("subject", "number", "sequence", "splits"))
        meta = self._meta(subject, sequence)
        who = f"{self.name}/subject-{number + 1:02d}"
        serials = list(splits)
        for place in range(part.about["start"], part.about["stop"]):
            serial, frame = serials[place // meta["num_frames"]], place % meta["num_frames"]
            folder = f"{subject}/{sequence}/{serial}"
            row = {
                "uri": f"{folder}/color_{frame:06d}.jpg",
                "hand": meta["mano_sides"][0],
                "split": splits[serial],
                "subject_id": who,
                "sequence_id": f"{who}/{sequence}",
                "instant_id": f"{who}/{sequence}/{frame}",
                "view_id": serial,
            }
            known = (partial(self._truth, meta, folder, frame),) if with_truth else ()
            yield guarded(row, partial(self._camera, meta, serial), *known)

    def _camera(self, meta: Any, serial: str) -> Row:
        path = self.folder / "calibration" / f"extrinsics_{meta['extrinsics']}" / "extrinsics.yml"
        numbers = entry_array(at(read_annotation(path, self.limits), "extrinsics", serial), (12,), f"{path}: {serial}")
        to_world = numbers.reshape(3, 4)
        R = to_world[:, :3].T
        return camera(self._intrinsics(serial)) | pose_of_camera(R, -1000 * R @ to_world[:, 3])

    def _intrinsics(self, serial: str) -> np.ndarray:
        path = self.folder / "calibration" / "intrinsics" / f"{serial}_640x480.yml"
        color = at(read_annotation(path, self.limits), "color")
        fx, fy, cx, cy = entry_array([at(color, name) for name in ("fx", "fy", "ppx", "ppy")], (4,), f"{path}: color")
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    def _truth(self, meta: Any, folder: str, frame: int) -> Row:
        path = f"{folder}/labels_{frame:06d}.npz"
        labels = read_npz(self._inside(path), self.limits)
        joints_m = entry_array(labels.get("joint_3d"), (1, 21, 3), f"{path}: joint_3d")[0]
        if (joints_m == -1).all():
            return {}
        row = joints_in_space(1000 * joints_m, self._intrinsics(folder.rsplit("/", 1)[1])) | {"supervision": "3d"}
        if labels.get("seg") is not None and labels["seg"].ndim == 2:
            row["mask_png"] = mask_png(labels["seg"] == _HAND)
        depth = f"{folder}/aligned_depth_to_color_{frame:06d}.png"
        if self.options.depth and (found := self._inside_if_any(depth)) is not None:
            row["depth_png"] = depth_png(read_depth16(found, self.limits).astype(np.float64))
        if self.options.mano is not None and meta["mano_sides"] == ["right"]:
            row |= self._fit(meta, entry_array(labels.get("pose_m"), (1, 51), f"{path}: pose_m")[0])
        return row

    def _fit(self, meta: Any, pose: np.ndarray) -> Row:
        model = mano_of_side(self.options.mano, "right")
        path = self.folder / "calibration" / f"mano_{meta['mano_calib'][0]}" / "mano.yml"
        return {
            "mano_pose": np.concatenate([pose[:3], pose[3:48] @ model.hands_components + model.hands_mean]),
            "mano_shape": entry_array(at(read_annotation(path, self.limits), "betas"), (10,), f"{path}: betas"),
            "mano_translation_mm": 1000 * pose[48:],
            "supervision": "mano",
        }

    def _meta(self, subject: str, sequence: str) -> Any:
        """What meta.yml says, all of it of the kinds that the rows rely on."""
        path = self.folder / subject / sequence / "meta.yml"
        meta = read_annotation(path, self.limits)
        lists = [at(meta, name) for name in ("serials", "mano_sides", "mano_calib")]
        calibrations = [at(meta, "extrinsics"), *(lists[2] if isinstance(lists[2], list) else [None])]
        num_frames = at(meta, "num_frames")
        fine = isinstance(num_frames, int) and 0 < num_frames <= MAX_FRAMES
        fine &= isinstance(lists[0], list) and all(serial in SERIALS for serial in lists[0])
        fine &= lists[1] in (["right"], ["left"])
        fine &= all(isinstance(name, str) and _CALIBRATION.fullmatch(name) is not None for name in calibrations)
        if not fine:
            raise InputError(f"{path}: not DexYCB's: {shown(meta, 200)}; download it again")
        return meta


def official_split(setup: str, subject: int, place: int, view: int) -> str:
    """The split of a setup that a picture belongs to, all counted from 0; each setup's splits share nothing."""
    if setup == "s0":
        if place % 5 != 4:
            return "train"
        return "val" if subject in (0, 1) else "test"
    held_out: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
        "s1": (subject, (6,), (7, 8)),
        "s2": (view, (6,), (7,)),
        "s3": (place // 5, (3, 19), (7, 11, 15)),
    }
    number, val, test = held_out[setup]
    return "val" if number in val else "test" if number in test else "train"
