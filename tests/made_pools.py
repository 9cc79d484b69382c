"""Pools for tests: a folder of pictures with broken files among them, and frames with nonsense for truth."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from semihand.tables import FRAMES, TRUTH_COLUMNS
from semihand.tables.arrays import fixed_list_column

#: what each broken file must be quarantined for
BROKEN = {
    "letter.jpg": "not_a_picture",
    "half.jpg": "truncated",
    "nothing.png": "empty_file",
    "huge.png": "too_large",
}


def write_pictures(folder: Path, frames: pa.Table, num: int) -> list[str]:
    """Pictures of the frames as files, the broken ones of `BROKEN` among them; returns the good ones' names."""
    folder.mkdir()
    names = []
    for row, image in enumerate(frames["image"].to_pylist()[:num]):
        names.append(f"good-{row:02d}.png")
        (folder / names[-1]).write_bytes(image)
    (folder / "letter.jpg").write_text("Dear reader,\nthis is not a picture.\n" * 40)
    (folder / "half.jpg").write_bytes(_jpeg()[: len(_jpeg()) // 2])
    (folder / "nothing.png").touch()
    (folder / "huge.png").write_bytes(_png_header(20_000, 20_000))
    return names


def with_nonsense_for_truth(frames: pa.Table) -> pa.Table:
    """The same frames, every truth column filled with random values of its type, another one in every row."""
    random = np.random.default_rng(99)
    columns = []
    for field in FRAMES:
        column = frames[field.name]
        columns.append(_nonsense(field, frames.num_rows, random) if field.name in TRUTH_COLUMNS else column)
    return pa.Table.from_arrays(columns, schema=FRAMES)


def _nonsense(field: pa.Field, num: int, random: np.random.Generator) -> pa.Array:
    shapes = {
        "joints_uv_px": (21, 2), "joints_mm": (21, 3), "joints_valid": (21,), "mano_pose": (48,),
        "mano_shape": (10,), "mano_translation_mm": (3,),
    }  # fmt: skip
    if field.name not in shapes:
        return pa.array([random.bytes(50) for _ in range(num)], field.type)
    values = random.normal(0, 300, (num, *shapes[field.name])).astype(np.float32)
    return fixed_list_column(values > 0 if field.name == "joints_valid" else values).cast(field.type)


def _jpeg() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that ends after its first chunk, and claims to be very large."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
