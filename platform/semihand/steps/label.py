"""Label frames: several views of every crop, their consensus lifted to 3D, corrected in the same pass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from pydantic import BaseModel, Field

from semihand.frames.errors import BadFrame
from semihand.hand.bones import scale_to_lengths
from semihand.hand.camera import lift, root_depth_from_bones, root_depth_from_scale
from semihand.hand.crops import apply_affine, invert_affine
from semihand.hand.skeleton import MIDDLE_MCP, REFERENCE_BONE
from semihand.methods.semihand.labeller import ViewConfig, Views, as_crops, look, view_warps
from semihand.methods.semihand.weights import load_model
from semihand.steps.components import ErrorModel, components_of
from semihand.steps.correct import CorrectConfig, Corrected, correct_poses
from semihand.steps.cropping import Cameras, ReadCrops, read_crops
from semihand.steps.label_rows import LABELLED, label_columns, quarantined
from semihand.steps.subjects import Lengths
from semihand.tables.rows import take_rows

LABELLER = "semihand"
_HALF_CONFIDENCE_PX = 1.0  # of a 64 px crop: the spread at which a joint's confidence is one half


class LabelConfig(BaseModel, frozen=True, extra="forbid"):
    """How a frame is labelled."""

    views: ViewConfig = ViewConfig()
    correct: CorrectConfig = CorrectConfig()
    frames_per_pass: Annotated[int, Field(ge=1, le=256)] = 8  # constant, so that a label has no neighbours


class Poses(NamedTuple):
    """What the views of a pass amount to, in the original pictures and in the camera frame."""

    uv_px: Float[np.ndarray, "batch 21 2"]
    joints_mm: Float[np.ndarray, "batch 21 3"]
    spread_grid_px: Float[np.ndarray, "batch 21"]  # px of a 64 px crop
    spread_px: Float[np.ndarray, "batch 21"]
    covariance_mm2: Float[np.ndarray, "batch 21 3 3"]
    stability: Float[np.ndarray, " batch"]
    mask_agreement: Float[np.ndarray, " batch"]
    masks: Float[np.ndarray, "batch rows columns"]


class FrameLabeller:
    """One teacher, opened once; looks at one row at a time and writes nothing."""

    def __init__(
        self,
        config: LabelConfig,
        teacher: Path,
        lengths: Lengths,
        calibration: ErrorModel | None,
        round_number: int,
    ) -> None:
        self.config, self.lengths, self.calibration, self.round_number = (
            config,
            lengths,
            calibration,
            round_number,
        )
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network, self.card = load_model(teacher, self.device)

    def __call__(self, frames: pa.Table) -> pa.Table:
        """FRAMES to LABELLED, row for row: a label, or the reason why there is none."""
        read = read_crops(frames, self.card.network.input_px, self.card.crop_margin)
        tables = [self._failures(frames, read.failures)] if read.failures else []
        step = self.config.frames_per_pass
        for start in range(0, len(read.rows), step):
            tables.append(self._label(frames, _slice(read, start, start + step)))
        return pa.concat_tables(tables) if tables else LABELLED.empty_table()

    def _label(self, frames: pa.Table, read: ReadCrops) -> pa.Table:
        rows = take_rows(frames.select(["frame_id", "subject_id", "uri"]), read.rows)
        lengths = self.lengths.rows(rows["subject_id"].to_pylist())
        views = self._look(read, rows["frame_id"].to_pylist())
        with np.errstate(invalid="ignore"):
            poses = _lifted(views, read.cameras, lengths)
        usable = np.isfinite(poses.joints_mm).all(axis=(1, 2)) & np.isfinite(poses.covariance_mm2).all(axis=(1, 2, 3))
        good, bad = np.flatnonzero(usable), np.flatnonzero(~usable)
        failures = [(read.rows[i], BadFrame("not_finite", "the pose has no finite place in space")) for i in bad]
        poses = Poses(*(column[good] for column in poses))
        corrected = correct_poses(poses.joints_mm, lengths[good], self.config.correct)
        labels = self._table(take_rows(rows, good), poses, corrected)
        return pa.concat_tables([labels, self._failures(frames, failures)]) if failures else labels

    def _look(self, read: ReadCrops, frame_ids: list[str]) -> Views:
        """One forward pass of constant size; empty rows are black and dropped again."""
        num, full = len(frame_ids), self.config.frames_per_pass
        pictures = np.zeros((full, *read.pictures.shape[1:]), np.uint8)
        pictures[:num] = read.pictures
        warps = view_warps(frame_ids + ["0" * 16] * (full - num), self.config.views)
        depth_weight = self.config.views.depth_weight
        views = look(self.network, as_crops(pictures).to(self.device), warps.to(self.device), depth_weight)
        return Views(*(column[:, :num] if name.startswith("views") else column[:num]
                       for name, column in zip(Views._fields, views, strict=True)))  # fmt: skip

    def _table(self, rows: pa.Table, poses: Poses, corrected: Corrected) -> pa.Table:
        about = {"round": self.round_number, "labeller": LABELLER, "model": self.card.sha256}
        confidence = 1 / (1 + (poses.spread_grid_px / _HALF_CONFIDENCE_PX) ** 2)
        arrays = {
            "joints_uv_px": poses.uv_px,
            "joints_mm": poses.joints_mm,
            "root_mm": poses.joints_mm[:, MIDDLE_MCP],
            "joint_spread_px": poses.spread_px,
            "joint_covariance": poses.covariance_mm2.reshape(-1, 21, 9),
            "joint_confidence": confidence,
            "confidence": confidence.mean(-1),
            "stability": poses.stability,
            "feasibility_mm": corrected.moved_mm,
            "mask_agreement": poses.mask_agreement,
        } | corrected._asdict()
        return label_columns(rows, about, arrays | self._predicted(arrays), poses.masks)

    def _predicted(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
        if self.calibration is None:
            return {}
        predicted = self.calibration.predict(components_of(arrays))
        return {"predicted_error_mm": predicted.error_mm, "joint_predicted_error_mm": predicted.joint_error_mm}

    def _failures(self, frames: pa.Table, failures: list[tuple[int, BadFrame]]) -> pa.Table:
        return quarantined(frames, failures, self.round_number, LABELLER)


def _slice(read: ReadCrops, start: int, stop: int) -> ReadCrops:
    cameras = Cameras(*(column[start:stop] for column in read.cameras))
    return ReadCrops(read.rows[start:stop], read.pictures[start:stop], cameras, [])


def _lifted(views: Views, cameras: Cameras, lengths_mm: Float[np.ndarray, "batch 20"]) -> Poses:
    """Into the original picture, and into space at the depth where the bones have their subject's lengths.

    The reference bone gives the depth (Iqbal et al., ECCV 2018); all bones together then correct the scale.
    """
    uv, depth, masks, views_uv, views_depth, stability, agreement = (
        column.cpu().numpy().astype(np.float64) for column in views
    )
    back = invert_affine(cameras.affine)
    K, lens, scale_mm = cameras.intrinsics, cameras.distortion, lengths_mm[:, REFERENCE_BONE]
    uv_px, each_uv_px = apply_affine(back, uv), apply_affine(back, views_uv)
    root = root_depth_from_scale(uv_px, depth, K, scale_mm, lens)
    root = np.where(np.isfinite(root), root, root_depth_from_bones(uv_px, depth, K, lengths_mm, lens))
    joints = lift(uv_px, depth, K, scale_mm, root, lens)
    factor = scale_to_lengths(joints, lengths_mm)[:, None, None]
    offset = (lift(each_uv_px, views_depth, K, scale_mm, root, lens) - joints) * factor
    return Poses(
        uv_px=uv_px,
        joints_mm=joints * factor,
        spread_grid_px=np.sqrt(np.square(views_uv - uv).sum(-1).mean(0)),
        spread_px=np.sqrt(np.square(each_uv_px - uv_px).sum(-1).mean(0)),
        covariance_mm2=np.einsum("vbji,vbjk->bjik", offset, offset) / len(offset),
        stability=stability,
        mask_agreement=agreement,
        masks=masks,
    )
