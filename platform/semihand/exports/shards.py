"""Labels as WebDataset shards (Aizman et al., 2019), for training elsewhere: both hands, all that is known of a label.

By the format's convention (webdataset.github.io/webdataset) files of one sample stand next to one another in a tar,
share the name up to its first dot, and what follows says what each is: `00000012.jpg` (or `.png`) and `00000012.json`.
The same samples give the same bytes: owners and times are not in them.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np

from semihand.exports.forms import Form
from semihand.exports.samples import Sample

SAMPLES_PER_SHARD = 1000  # of 100 kB each: shards of 100 MB


class Shards(Form):
    """WebDataset's tar files."""

    name = "webdataset"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._shard: tarfile.TarFile | None = None

    def write(self, sample: Sample) -> str:
        if self.num % SAMPLES_PER_SHARD == 0:
            self._close_shard()
            name = self.folder / f"labels-{self.num // SAMPLES_PER_SHARD:06d}.tar"
            self._shard = tarfile.open(name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  closed with the next
        data, suffix = sample.picture.encoded()
        key = f"{self.num:08d}"
        self._append(key + suffix, data)
        self._append(f"{key}.json", json.dumps(contents(sample), allow_nan=False).encode())
        return f"labels-{self.num // SAMPLES_PER_SHARD:06d}.tar#{key}"

    def finish(self) -> None:
        self._close_shard()

    def _append(self, name: str, data: bytes) -> None:
        assert self._shard is not None
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self._shard.addfile(entry, io.BytesIO(data))

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None


def contents(sample: Sample) -> dict[str, object]:
    """A sample as plain values; units end the names, the camera's frame is x right, y down, z forward."""
    known = {
        "joints_mm": sample.joints_mm,
        "joints_uv_px": sample.uv_px,
        "bbox_px": sample.box_px,
        "camera_matrix": sample.K,
        "distortion": sample.distortion,
    }
    arrays = {name: None if array is None else np.asarray(array).tolist() for name, array in known.items()}
    fit = {} if sample.fit is None else {
        "mano_pose": sample.fit.pose.tolist(), "mano_shape": sample.fit.shape.tolist(),
        "mano_translation_mm": sample.fit.translation_mm.tolist(), "mano_residual_mm": float(sample.fit.residual_mm),
    }  # fmt: skip
    return {**sample.about, **arrays, "in_camera_frame": sample.is_placed, **sample.per_joint, **fit}
