"""Frames side by side, to be looked at: `python -m semihand.frames.synthetic.contact_sheet docs/contact_sheet.png`."""

import io
import sys
from collections.abc import Collection

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from PIL import Image, ImageDraw

from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import generate_frames
from semihand.hand.skeleton import PARENTS
from semihand.tables.arrays import as_numpy

_GAP_PX = 2
_FINGER_COLOURS = ((230, 60, 60), (240, 160, 30), (60, 180, 75), (40, 130, 230), (160, 70, 210))
_SHEET_COLUMNS = 12


def contact_sheet(
    frames: pa.Table, num_columns: int, tile_px: int = 128, joints_on: Collection[int] = ()
) -> Image.Image:
    """The pictures of a FRAMES table, row after row, in tiles of one size.

    Args:
        frames: rows with embedded pictures.
        num_columns: tiles in a row of the sheet.
        tile_px: side of a tile.
        joints_on: rows of the table whose true joints are drawn.
    """
    num_rows = -(-frames.num_rows // num_columns)
    step = tile_px + _GAP_PX
    sheet = Image.new("RGB", (num_columns * step - _GAP_PX, num_rows * step - _GAP_PX), "white")
    for row, data in enumerate(frames["image"].to_pylist()):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        scale = tile_px / picture.width
        tile = picture.resize((tile_px, tile_px), Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC)
        if row in joints_on:
            _draw_joints(tile, (as_numpy(frames["joints_uv_px"].slice(row, 1))[0] + 0.5) * scale - 0.5)
        sheet.paste(tile, ((row % num_columns) * step, (row // num_columns) * step))
    return sheet


def _draw_joints(tile: Image.Image, joints_px: Float[np.ndarray, "21 2"]) -> None:
    draw = ImageDraw.Draw(tile)
    for joint in range(1, 21):
        ends = [(float(u), float(v)) for u, v in (joints_px[PARENTS[joint]], joints_px[joint])]
        draw.line(ends, fill=_FINGER_COLOURS[(joint - 1) // 4], width=2)


def main(path: str) -> None:
    """Write a sheet of one row per domain, joints drawn on every third frame."""
    configs = [
        SyntheticConfig(domain=name, size_px=128, num_frames=_SHEET_COLUMNS, seed=2)
        for name in ("source", "target", "randomised")
    ]
    frames = pa.concat_tables([generate_frames(config, range(_SHEET_COLUMNS)) for config in configs])
    contact_sheet(frames, _SHEET_COLUMNS, joints_on=range(2, frames.num_rows, 3)).save(path)


if __name__ == "__main__":
    main(sys.argv[1])
