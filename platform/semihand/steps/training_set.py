"""What a student is trained on: labelled source crops and selected target crops, in memory as bytes."""

import io
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from jaxtyping import Bool, Float
from PIL import Image

from semihand.frames.crop import crop_hand
from semihand.frames.limits import STANDARD, Limits
from semihand.hand.crops import apply_affine
from semihand.methods.semihand.batches import Crops, Poses, no_poses, pose_in_crop
from semihand.methods.semihand.weights import ModelCard
from semihand.steps.cropping import ReadCrops, as_bytes, read_crops
from semihand.tables import as_numpy
from semihand.tables.rows import take_rows


def source_crops(frames: pa.Table, card: ModelCard, limits: Limits = STANDARD) -> Crops:
    """Crops of frames with truth in space and masks beside them; frames that cannot be read are left out.

    A joint that the truth does not know weighs nothing.
    """
    read = read_crops(frames, card.network.input_px, card.crop_margin, limits)
    kept = take_rows(frames, read.rows)
    uv, depth = pose_in_crop(as_numpy(kept["joints_mm"], np.nan).astype(np.float64), *read.cameras)
    known = np.isfinite(uv).all(-1) & np.isfinite(depth)
    return _with_truth(kept, read, card, Truth(uv, np.where(known, depth, 0), known))


def source_2d_crops(frames: pa.Table, card: ModelCard, limits: Limits = STANDARD) -> Crops:
    """The same of frames with truth in the picture; the depth of their joints is NaN, whatever else is known.

    Args:
        frames: FRAMES with joints_uv_px and, where some of them are not to be believed, joints_valid.
        card: the network's input.
        limits: what reading a frame may take.
    """
    read = read_crops(frames, card.network.input_px, card.crop_margin, limits)
    kept = take_rows(frames, read.rows)
    uv = apply_affine(read.cameras.affine, as_numpy(kept["joints_uv_px"], np.nan).astype(np.float64))
    known = np.isfinite(uv).all(-1) & as_numpy(kept["joints_valid"], 1.0).astype(bool)
    return _with_truth(kept, read, card, Truth(uv, np.full(known.shape, np.nan), known))


class Truth(NamedTuple):
    """What is known of the joints of crops."""

    uv: Float[np.ndarray, "batch 21 2"]
    depth: Float[np.ndarray, "batch 21"]
    known: Bool[np.ndarray, "batch 21"]


def _with_truth(frames: pa.Table, read: ReadCrops, card: ModelCard, truth: Truth) -> Crops:
    masks, has_mask = _masks(frames, card.network.input_px, card.crop_margin)
    return Crops(
        as_bytes(read.pictures),
        masks,
        has_mask,
        torch.from_numpy(np.where(truth.known[..., None], truth.uv, 0).astype(np.float32)),
        torch.from_numpy(truth.depth.astype(np.float32)),
        torch.from_numpy(truth.known.astype(np.float32)),
        *no_poses(len(truth.uv)),
    )


def _masks(frames: pa.Table, size_px: int, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The hand masks, cut out as the pictures were."""
    masks = torch.zeros(frames.num_rows, 1, size_px, size_px, dtype=torch.uint8)
    has_mask = torch.zeros(frames.num_rows)
    for row, frame in enumerate(frames.select(["mask_png", "bbox_px", "hand"]).to_pylist()):
        if frame["mask_png"] is None:
            continue
        with Image.open(io.BytesIO(frame["mask_png"]), formats=["PNG"]) as picture:
            mask = np.asarray(picture.convert("RGB"))
        given = frame["bbox_px"]
        box = np.array([0, 0, *mask.shape[1::-1]] if given is None else given, dtype=np.float64)
        cut, _ = crop_hand(mask, box, size_px, frame["hand"] == "left", margin)
        masks[row, 0] = torch.from_numpy(cut[..., 0].copy())
        has_mask[row] = 1
    return masks, has_mask


def target_crops(
    frames: pa.Table,
    labels: pl.DataFrame,
    card: ModelCard,
    registered: pl.DataFrame | None = None,
    limits: Limits = STANDARD,
) -> Crops:
    """Crops of unlabelled frames with the poses that labelling gave them.

    Args:
        frames: FRAMES without truth.
        labels: frame_id, label_mm and joint_weight of the round; a frame without a label, or that was not
            selected, has weight 0 and still serves the consistency losses.
        card: the network's input.
        registered: frame_id and corrected_mm of the round's labels; None where nothing asks for them.
        limits: what reading a frame may take.
    """
    read = read_crops(frames, card.network.input_px, card.crop_margin, limits)
    pictures = as_bytes(read.pictures)
    num = len(read.rows)
    return Crops(
        pictures,
        torch.zeros(num, 1, *pictures.shape[-2:], dtype=torch.uint8),
        torch.zeros(num),
        *_poses(frames, read, labels, "label_mm"),
        *(no_poses(num) if registered is None else _poses(frames, read, registered, "corrected_mm")),
    )


def kept_corrections(labels: pl.LazyFrame) -> pl.DataFrame:
    """frame_id and corrected_mm of labels, selected or not, but for corrections that a test rejected; by frame_id.

    Args:
        labels: frame_id, corrected_mm and correction_kept of LABELS.
    """
    kept = labels.filter(pl.col("correction_kept").fill_null(True))
    return kept.select("frame_id", "corrected_mm").sort("frame_id").collect()


def _poses(frames: pa.Table, read: ReadCrops, labels: pl.DataFrame, column: str) -> Poses:
    """The labels' poses in the crops; joints weigh what the labels say, or 1, and 0 without a label or place in it."""
    num = len(read.rows)
    row_of = {frame_id: row for row, frame_id in enumerate(labels["frame_id"].to_list())}
    frame_ids = frames["frame_id"].to_pylist()
    found = [(row, row_of[frame_ids[i]]) for row, i in enumerate(read.rows) if frame_ids[i] in row_of]
    uv, depth, weight = np.zeros((num, 21, 2)), np.zeros((num, 21)), np.zeros((num, 21))
    if found:
        here, there = (list(column) for column in zip(*found, strict=True))
        joints_mm = _stack(labels[column], 21, 3)[there]
        cameras = [column[here] for column in read.cameras]
        uv[here], depth[here] = pose_in_crop(joints_mm, *cameras)
        weight[here] = _stack(labels["joint_weight"], 21)[there] if "joint_weight" in labels.columns else 1.0
    seen = np.isfinite(uv).all(-1) & np.isfinite(depth)
    uv, depth, weight = np.where(seen[..., None], uv, 0), np.where(seen, depth, 0), np.where(seen, weight, 0)
    return Poses(*(torch.from_numpy(values.astype(np.float32)) for values in (uv, depth, weight)))


def _stack(column: pl.Series, *shape: int) -> np.ndarray:
    return as_numpy(column.to_arrow()).reshape(-1, *shape).astype(np.float64)
