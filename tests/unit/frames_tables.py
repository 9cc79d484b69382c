"""Tables of frames to test steps with: pictures with a dot, columns exchanged, truth turned to garbage."""

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from semihand.tables import FRAMES, TRUTH_COLUMNS, Store, content_sha256, frame_id, rows_of


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def dot_picture(width: int, height: int, centre_px: tuple[float, float], sigma_px: float = 3.0) -> np.ndarray:
    """A white Gaussian dot on black."""
    v, u = np.mgrid[:height, :width]
    dot = np.exp(-((u - centre_px[0]) ** 2 + (v - centre_px[1]) ** 2) / (2 * sigma_px**2))
    return np.repeat(np.round(255 * dot).astype(np.uint8)[..., None], 3, axis=-1)


def picture_frames(pictures: list[np.ndarray], **columns: object) -> pa.Table:
    """Frames with embedded pictures; every other column as given, right hands where nothing is said."""
    num, images = len(pictures), [png(picture) for picture in pictures]
    given = {
        "frame_id": [frame_id("test", f"{index}.png") for index in range(num)],
        "dataset": ["test"] * num,
        "image": images,
        "content_sha256": [content_sha256(image) for image in images],
        "modality": ["rgb"] * num,
        "hand": ["right"] * num,
        "supervision": ["none"] * num,
    }
    return rows_of(FRAMES, given | columns)


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    """The table with one column exchanged."""
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, field.type)
    return table.set_column(index, field, values)


def as_table(folder: Path, frames: pa.Table) -> Path:
    """The frames as a table of a store: unlike a manifest, it takes no process of its own to read."""
    shutil.rmtree(folder, ignore_errors=True)
    Store(folder).create(["frames"])
    Store(folder).append("frames", frames)
    return folder


def with_garbage_truth(frames: pa.Table) -> pa.Table:
    """The same frames with every truth column replaced by another row's, and numbers pushed far away."""
    for name in TRUTH_COLUMNS:
        values = frames[name].to_pylist()
        turned = [*values[1:], values[0]]
        if name in ("joints_uv_px", "joints_mm"):
            turned = [(np.asarray(value) * -7 + 1000).tolist() for value in turned]
        frames = with_column(frames, name, turned)
    return frames
