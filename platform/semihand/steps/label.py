"""Label frames: several views of every crop, their consensus lifted to 3D, corrected in the same pass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Int
from pydantic import BaseModel, Field

from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.hand.bones import bone_lengths, crossed_square_lengths
from semihand.hand.palm import crossed_square_distances
from semihand.hand.skeleton import MIDDLE_MCP
from semihand.methods.semihand.labeller import ViewConfig, Views, as_crops, look, merge_views, view_warps
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.weights import load_model
from semihand.steps.components import ErrorModel, components_of
from semihand.steps.correct import CorrectConfig, Corrected, Known, correct_poses
from semihand.steps.cropping import Cameras, ReadCrops, read_crops
from semihand.steps.label_rows import LABELLED, label_columns, quarantined
from semihand.steps.lifting import Halves, Poses, divergence_mm, halves, instability_about, lifted
from semihand.steps.paired_test import Evidence, silhouette_overlap
from semihand.steps.previous import Previous, PreviousLabels
from semihand.steps.subjects import Lengths
from semihand.tables.rows import take_rows

LABELLER = "semihand"
_Rows = TypeVar("_Rows", Poses, Halves, Cameras)
_HALF_CONFIDENCE_PX = 1.0  # of a 64 px crop: the spread at which a joint's confidence is one half
_LEAST_BONE_MM = 1e-3  # a finger whose joints coincide has no direction to be projected along


class LabelConfig(BaseModel, frozen=True, extra="forbid"):
    """How a frame is labelled."""

    views: ViewConfig = Field(default=ViewConfig(), description="the test-time views of a crop")
    correct: CorrectConfig = Field(
        default=CorrectConfig(), description="how a pose is corrected, and which one is learned"
    )
    # Constant, so that a label has no neighbours.
    frames_per_pass: int = Field(default=8, ge=1, le=256, description="frames that a network sees at once")
    combine: Literal["first", "mean"] = Field(
        default="first", description="of two teachers: whose pose the label is; mean: of both, in 2.5D"
    )
    # Whatever `correct.label` says; off, a round forgets the labels of the one before.
    carry: bool = Field(
        default=False,
        description="from round 2 on, a label is the midpoint to the last round's corrected pose (Algorithm 1)",
    )


class FrameLabeller:
    """One teacher, or two, opened once; looks at one row at a time and writes nothing."""

    def __init__(
        self,
        config: LabelConfig,
        teacher: Path,
        lengths: Lengths,
        calibration: ErrorModel | None,
        round_number: int,
        *,
        second_teacher: Path | None = None,
        previous: PreviousLabels | None = None,
        device: str | None = None,
        limits: Limits = STANDARD,
    ) -> None:
        """Open the models.

        Args:
            config: how to label.
            teacher: its model folder.
            lengths: of the subjects, with their palms.
            calibration: what instability means in mm; none: predicted_error_mm stays null.
            round_number: the round of the labels.
            second_teacher: another model folder; none: teacher_divergence_mm stays null.
            previous: the labels of the round before; none: nothing is carried or compared.
            device: where the models run; none: on CUDA where there is one.
            limits: what reading a frame may take.

        Raises:
            ValueError: a folder holds no such model, or the second does not fit the first or the config.
        """
        self.config, self.lengths, self.calibration, self.round_number = (
            config,
            lengths,
            calibration,
            round_number,
        )
        self.previous, self.limits = previous, limits
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.network, self.card = load_model(teacher, self.device)
        self.second = None if second_teacher is None else self._second(second_teacher)
        if config.combine == "mean" and self.second is None:
            raise ValueError("label.combine is 'mean', but there is one teacher: name another with --second_teacher")

    def _second(self, folder: Path) -> HandNetwork:
        network, card = load_model(folder, self.device)
        ours, theirs = ((each.network.input_px, each.crop_margin) for each in (self.card, card))
        if ours != theirs:
            raise ValueError(
                f"the second teacher {folder} reads crops of {theirs[0]} px and margin {theirs[1]}, the first of "
                f"{ours[0]} px and margin {ours[1]}: both must read the same; name another --second_teacher"
            )
        return network

    def __call__(self, frames: pa.Table) -> pa.Table:
        """FRAMES to LABELLED, row for row: a label, or the reason why there is none."""
        read = read_crops(frames, self.card.network.input_px, self.card.crop_margin, self.limits)
        tables = [self._failures(frames, read.failures)] if read.failures else []
        step = self.config.frames_per_pass
        for start in range(0, len(read.rows), step):
            tables.append(self._label(frames, _slice(read, start, start + step)))
        return pa.concat_tables(tables) if tables else LABELLED.empty_table()

    def _label(self, frames: pa.Table, read: ReadCrops) -> pa.Table:
        rows = take_rows(frames.select(["frame_id", "subject_id", "uri", "hand"]), read.rows)
        lengths = self.lengths.rows(rows["subject_id"].to_pylist())
        views, divergence = self._consensus(read, rows["frame_id"].to_pylist(), lengths)
        with np.errstate(invalid="ignore"):
            poses, apart = lifted(views, read.cameras, lengths), halves(views, read.cameras, lengths)
        usable = _finite_rows(poses.joints_mm, poses.covariance_mm2, apart.even_mm, apart.odd_mm)
        if self.config.correct.method == "projection":
            usable[usable] = bone_lengths(poses.joints_mm[usable]).min(-1, initial=np.inf) > _LEAST_BONE_MM
        good, bad = np.flatnonzero(usable), np.flatnonzero(~usable)
        failures = [(read.rows[i], BadFrame("not_finite", "the pose has no finite place in space")) for i in bad]
        poses, apart, cameras = _at(poses, good), _at(apart, good), _at(read.cameras, good)
        rows = take_rows(rows, good)
        evidence = Evidence(apart, poses.masks, cameras)
        before = None if self.previous is None else self.previous.rows(rows["frame_id"].to_pylist())
        known = self._known(rows, poses, before)._replace(evidence=evidence)
        corrected = correct_poses(poses.joints_mm, lengths[good], self.config.correct, known)
        about_label = instability_about(
            corrected.label_mm, _views_of(views, good), cameras, self.config.views.depth_weight
        )
        poses = poses._replace(stability=np.where(corrected.is_carried, about_label, poses.stability))
        about = {"teacher_divergence_mm": None if divergence is None else np.ma.masked_invalid(divergence[good]),
                 "moved_since_last_round_mm": _moved_since(poses, before),
                 "silhouette_overlap": np.ma.masked_invalid(
                     silhouette_overlap(corrected.label_mm, lengths[good], evidence)),
                 "bone_square_mm2": crossed_square_lengths(apart.even_mm, apart.odd_mm),
                 "palm_square_mm2": crossed_square_distances(apart.even_mm, apart.odd_mm)}  # fmt: skip
        labels = self._table(rows, poses, corrected, about)
        return pa.concat_tables([labels, self._failures(frames, failures)]) if failures else labels

    def _consensus(self, read: ReadCrops, frame_ids: list[str], lengths: np.ndarray) -> tuple[Views, np.ndarray | None]:
        """What the label is made of, and how far two teachers are apart, mm; NaN where one has no pose in space."""
        first = slice(len(frame_ids))
        views = self._look(self.network, read, frame_ids)
        if self.second is None:
            return _views_of(views, first), None
        others = self._look(self.second, read, frame_ids)
        with np.errstate(invalid="ignore"):
            ours, theirs = (lifted(_views_of(each, first), read.cameras, lengths).joints_mm for each in (views, others))
        if self.config.combine == "mean":
            alike = torch.ones(2, len(views.uv), device=self.device)
            views = merge_views([views, others], alike, self.config.views.depth_weight)
        return _views_of(views, first), divergence_mm(ours, theirs, MIDDLE_MCP)

    def _known(self, rows: pa.Table, poses: Poses, before: Previous | None) -> Known:
        """What the correction may go by."""
        return Known(
            palm_mm=self.lengths.palms(rows["subject_id"].to_pylist()),
            left=np.array([hand == "left" for hand in rows["hand"].to_pylist()], dtype=bool),
            covariance_mm2=poses.covariance_mm2,
            carried_mm=before.corrected_mm if self.config.carry and before is not None else None,
        )

    def _look(self, network: HandNetwork, read: ReadCrops, frame_ids: list[str]) -> Views:
        """One forward pass of constant size; empty rows are black."""
        num, full = len(frame_ids), self.config.frames_per_pass
        pictures = np.zeros((full, *read.pictures.shape[1:]), np.uint8)
        pictures[:num] = read.pictures
        warps = view_warps(frame_ids + ["0" * 16] * (full - num), self.config.views)
        return look(network, as_crops(pictures).to(self.device), warps.to(self.device), self.config.views)

    def _table(
        self, rows: pa.Table, poses: Poses, corrected: Corrected, more: dict[str, np.ndarray | None]
    ) -> pa.Table:
        about = {"round": self.round_number, "labeller": LABELLER, "model": self.card.sha256}
        confidence = 1 / (1 + (poses.spread_grid_px / _HALF_CONFIDENCE_PX) ** 2)
        arrays = (
            {
                "joints_uv_px": poses.uv_px,
                "joints_mm": poses.joints_mm,
                "root_mm": poses.joints_mm[:, MIDDLE_MCP],
                "joint_spread_px": poses.spread_px,
                "joint_covariance": poses.covariance_mm2.reshape(-1, 21, 9),
                "joint_confidence": confidence,
                "confidence": confidence.mean(-1),
                "stability": poses.stability,
                "mask_agreement": poses.mask_agreement,
            }
            | corrected._asdict()
            | more
        )
        return label_columns(rows, about, arrays | self._predicted(arrays), poses.masks)

    def _predicted(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
        if self.calibration is None:
            return {}
        predicted = self.calibration.predict(components_of(arrays))
        return {"predicted_error_mm": predicted.error_mm, "joint_predicted_error_mm": predicted.joint_error_mm}

    def _failures(self, frames: pa.Table, failures: list[tuple[int, BadFrame]]) -> pa.Table:
        return quarantined(frames, failures, self.round_number, LABELLER)


def _views_of(views: Views, rows: slice | Int[np.ndarray, " rows"]) -> Views:
    return Views(*(column[:, rows] if name.startswith("views") else column[rows]
                   for name, column in zip(Views._fields, views, strict=True)))  # fmt: skip


def _slice(read: ReadCrops, start: int, stop: int) -> ReadCrops:
    cameras = _at(read.cameras, slice(start, stop))
    return ReadCrops(read.rows[start:stop], read.pictures[start:stop], cameras, [])


def _at(table: _Rows, rows: slice | Int[np.ndarray, " rows"]) -> _Rows:
    """Some rows of a named tuple of columns."""
    return type(table)(*(column[rows] for column in table))


def _finite_rows(*columns: np.ndarray) -> Bool[np.ndarray, " batch"]:
    finite = [np.isfinite(column).all(axis=tuple(range(1, column.ndim))) for column in columns]
    return np.logical_and.reduce(finite)  # type: ignore[no-any-return]


def _moved_since(poses: Poses, before: Previous | None) -> np.ndarray | None:
    """How far the raw joints are from those of the round before, each hand from its own root; masked where unknown."""
    if before is None:
        return None
    return np.ma.masked_invalid(divergence_mm(poses.joints_mm, before.joints_mm, MIDDLE_MCP))
