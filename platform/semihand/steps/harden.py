"""Harden: labelled frames as the calibration set sees them, under strong augmentation of their pictures."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel, Field

from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.reading import read_pictures
from semihand.methods.semihand.augmentation import AppearanceConfig, change_appearance, change_background
from semihand.tables import FRAMES
from semihand.tables.rows import take_rows


class HardenConfig(BaseModel, frozen=True, extra="forbid"):
    """How strongly. Only the pixels change: joints, boxes and cameras stay true."""

    appearance: AppearanceConfig = Field(
        default=AppearanceConfig(colour=0.5, grey=0.15, blur=0.6, noise=0.1, erase=0.7, background=1.0, skin=0.6),
        description="how far their pixels change",
    )


def harden_frames(frames: pa.Table, config: HardenConfig, limits: Limits = STANDARD) -> pa.Table:
    """The same frames with augmented pictures embedded; a function of each frame's id alone.

    Frames that cannot be read are left out.
    """
    masks = frames["mask_png"].to_pylist()
    frame_ids = frames["frame_id"].to_pylist()
    rows, images = [], []
    for row, picture in read_pictures(frames, limits):
        if not isinstance(picture, BadFrame):
            rows.append(row)
            images.append(_png(_hardened(picture, masks[row], frame_ids[row], config.appearance)))
    kept = take_rows(frames, rows)
    changed = {
        "image": pa.array(images, pa.binary()),
        "uri": pa.nulls(len(rows), pa.string()),
        "content_sha256": pa.array([hashlib.sha256(image).hexdigest() for image in images], pa.string()),
    }
    columns = [changed.get(name, kept[name]) for name in FRAMES.names]
    return pa.Table.from_arrays(columns, schema=FRAMES)


def _hardened(
    picture: UInt8[np.ndarray, "height width 3"],
    mask_png: bytes | None,
    frame_id: str,
    config: AppearanceConfig,
) -> UInt8[np.ndarray, "height width 3"]:
    generator = torch.Generator().manual_seed(int(frame_id[:15], 16) ^ 0x5EED)
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255.0
    if mask_png is not None:
        with Image.open(io.BytesIO(mask_png), formats=["PNG"]) as opened:
            mask = torch.from_numpy(np.asarray(opened.convert("L")).copy()).float() / 255.0
        pixels = change_background(pixels, mask[None, None], config, generator)
    changed = change_appearance(pixels, config, generator)
    return (changed[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def _png(picture: UInt8[np.ndarray, "height width 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
