"""ICVL hand posture (Tang et al., CVPR 2014): depth pictures, labelled with what our skeleton does not have.

Layout and meaning after labicvl.github.io, hand.html at 0cdf283, xinghaochen/awesome-hand-pose-estimation,
evaluation/groundtruth/icvl/test_seq_1.txt at 03f1a8c, and moberweger/deep-prior-pp, src/data/importers.py at 46fd495:

- `Training/Depth/201403121135/image_0000.png`, `Testing/Depth/test_seq_1/image_0000.png`: one channel of 16 bits, mm,
  320 x 240, a background above 30000. The picture is left so, and reading it as a picture drops the low byte
  (`semihand.frames.decode`): what needs millimetres takes `depth_png`, or opens the file;
- `Training/Depth/22-5/...` are the same pictures turned, 15 of 16. They are never listed: split apart, they would leak;
- `Training/labels.txt` (`train.txt` in the older release), `Testing/test_seq_1.txt`: lines of a path below `Depth` and
  16 times x, y (px) and z (mm): palm, then root, mid and tip of every finger. They are centres of the palm and of the
  fingers' parts, by their distances as well: none is one of our 21 joints, so all of these stay null. The labels give
  the row its box;
- the hand looks like a left one. Who is seen is not published. The camera (f = 241.42 px) is third parties' word.
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np

from semihand.frames.errors import InputError
from semihand.frames.sets.columns import box_around, camera
from semihand.frames.sets.files import depth_png, entry_array, read_depth16, read_lines
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Part, Row, SetOptions, SetReader, guarded, spans

K = np.array([[241.42, 0, 160], [0, 241.42, 120], [0, 0, 1]])
NUM_CENTRES = 16
BACKGROUND_MM = 30000
SPLITS = {"training": ("Training", r"\d{12}"), "testing": ("Testing", r"test_seq_\d")}


class IcvlOptions(SetOptions):
    """Which pictures."""

    split: Literal["training", "testing", "all"] = "training"


class Icvl(SetReader):
    """ICVL hand posture."""

    name = "icvl"
    about = "ICVL, depth and boxes (its labels are no joints of ours): split=training|testing|all"
    Options = IcvlOptions

    def parts(self) -> list[Part]:
        parts = []
        for split in SPLITS if self.options.split == "all" else (self.options.split,):
            top, pattern = SPLITS[split]
            for recording in names_in(self.folder / top / "Depth", pattern):
                names = names_in(self.folder / top / "Depth" / recording, r"image_\d{4,6}\.png")
                for start, stop in spans(len(names)):
                    about = {"split": split, "recording": recording, "names": names[start:stop]}
                    parts.append(Part(f"{split} {recording} {start}-{stop - 1}", about))
        return parts

    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        split, recording = part.about["split"], part.about["recording"]
        labels = self._labels(split, recording) if with_truth else {}
        for name in part.about["names"]:
            row = camera(K) | {
                "uri": f"{SPLITS[split][0]}/Depth/{recording}/{name}",
                "modality": "depth",
                "hand": "left",
                "split": split,
                "sequence_id": f"{self.name}/{recording}",
            }
            known = (partial(self._truth, row["uri"], labels[name]),) if name in labels else ()
            yield guarded(row, *known)

    def _truth(self, uri: str, numbers: str) -> Row:
        centres = entry_array(numbers.split(), (3 * NUM_CENTRES,), f"label of {uri}").reshape(NUM_CENTRES, 3)
        raw_mm = read_depth16(self._inside(uri), self.limits).astype(np.float64)
        return {
            "bbox_px": box_around(centres[:, :2]),
            "box_source": "truth",
            "depth_png": depth_png(np.where(raw_mm < BACKGROUND_MM, raw_mm, 0)),
            "supervision": "3d",
        }

    def _labels(self, split: str, recording: str) -> dict[str, str]:
        """The numbers of each picture of a recording, by its name."""
        top = self.folder / SPLITS[split][0]
        known = ("labels.txt", "train.txt") if split == "training" else (f"{recording}.txt",)
        path = next((top / name for name in known if (top / name).is_file()), top / known[0])
        start = f"{recording}/"
        lines = read_lines(path, self.limits)
        found = [line.removeprefix(start).partition(" ") for line in lines if line.startswith(start)]
        if not found:
            raise InputError(f"{path}: no line about {recording}; is it of this release?")
        return {name: numbers for name, _, numbers in found}
