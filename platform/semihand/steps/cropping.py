"""From FRAMES rows to crops: read, cut out, and keep the way back to the picture."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8

from semihand.frames.crop import crop_hand
from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.reading import read_pictures
from semihand.hand.camera import intrinsics_matrix
from semihand.hand.crops import crop_affine, square_box
from semihand.methods.semihand.network import GRID_PX
from semihand.methods.semihand.predictor import assumed_intrinsics

_NUM_COEFFICIENTS = 8  # OpenCV's rational lens; shorter ones are filled with zeros


class Cameras(NamedTuple):
    """How original pixels relate to rays and to pixels of a 64 px crop; row for row."""

    intrinsics: Float[np.ndarray, "batch 3 3"]
    distortion: Float[np.ndarray, "batch 8"]
    affine: Float[np.ndarray, "batch 2 3"]  # original px to px of a 64 px crop, a left hand mirrored


class ReadCrops(NamedTuple):
    """The rows of a frames table that could be read, and those that could not."""

    rows: list[int]  # indices into the frames table, ascending
    pictures: UInt8[np.ndarray, "batch rows columns 3"]
    cameras: Cameras
    failures: list[tuple[int, BadFrame]]


class FrameBox(NamedTuple):
    """Where the hand is in a picture, and through which lens it was seen."""

    box_px: Float[np.ndarray, " 4"]
    mirror: bool
    intrinsics: Float[np.ndarray, "3 3"]
    distortion: Float[np.ndarray, " 8"]


def read_crops(frames: pa.Table, size_px: int, margin: float, limits: Limits = STANDARD) -> ReadCrops:
    """Read every frame once and cut its hand out; a frame that fails becomes a failure, not an exception."""
    boxes, modalities = _boxes(frames), frames["modality"].to_pylist()
    found: list[tuple[int, np.ndarray, FrameBox]] = []
    failures = []
    for row, picture in read_pictures(frames, limits):
        if isinstance(picture, BadFrame):
            failures.append((row, picture))
            continue
        if modalities[row] != "rgb":
            failures.append((row, BadFrame("unsupported_format", "a depth picture, whose colours mean nothing")))
            continue
        box = _in_picture(boxes[row], picture)
        try:
            crop, _ = crop_hand(picture, box.box_px, size_px, box.mirror, margin)
        except ValueError as error:
            failures.append((row, BadFrame("bad_box", str(error))))
            continue
        found.append((row, crop, box))
    found.sort(key=lambda item: item[0])
    pictures = np.stack([crop for _, crop, _ in found]) if found else np.zeros((0, size_px, size_px, 3), np.uint8)
    return ReadCrops(
        [row for row, _, _ in found],
        pictures,
        _cameras([box for _, _, box in found], margin),
        sorted(failures),
    )


def _boxes(frames: pa.Table) -> list[FrameBox]:
    columns = ["bbox_px", "hand", "fx", "fy", "cx", "cy", "distortion"]
    return [_box(row) for row in frames.select(columns).to_pylist()]


def _box(row: dict[str, object]) -> FrameBox:
    given = row["bbox_px"]
    distortion = np.zeros(_NUM_COEFFICIENTS)
    coefficients = row["distortion"]
    if isinstance(coefficients, Sequence):
        distortion[: len(coefficients)] = coefficients
    camera = [row[name] for name in ("fx", "fy", "cx", "cy")]
    known = all(value is not None for value in camera)
    intrinsics = intrinsics_matrix(*camera) if known else np.full((3, 3), np.nan)  # type: ignore[arg-type]
    box = np.full(4, np.nan) if given is None else np.asarray(given, dtype=np.float64)
    return FrameBox(box, row["hand"] == "left", intrinsics, distortion)


def _in_picture(box: FrameBox, picture: UInt8[np.ndarray, "height width 3"]) -> FrameBox:
    """Fill what only the picture can tell: its whole extent as the box, and an assumed camera."""
    height, width = picture.shape[:2]
    box_px = np.array([0.0, 0.0, width, height]) if np.isnan(box.box_px).any() else box.box_px
    intrinsics = assumed_intrinsics(width, height) if np.isnan(box.intrinsics).any() else box.intrinsics
    return box._replace(box_px=box_px, intrinsics=intrinsics)


def _cameras(boxes: Sequence[FrameBox], margin: float) -> Cameras:
    affine = [crop_affine(square_box(box.box_px, margin), int(GRID_PX), mirror=box.mirror) for box in boxes]
    return Cameras(
        np.array([box.intrinsics for box in boxes]).reshape(-1, 3, 3),
        np.array([box.distortion for box in boxes]).reshape(-1, _NUM_COEFFICIENTS),
        np.array(affine).reshape(-1, 2, 3),
    )


def as_bytes(
    pictures: UInt8[np.ndarray, "batch rows columns 3"],
) -> UInt8[torch.Tensor, "batch 3 rows columns"]:
    """Crops as the byte tensor that training keeps."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
