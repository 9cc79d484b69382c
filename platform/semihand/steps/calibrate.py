"""Calibrate: what an instability means in millimetres, from frames whose truth may be read."""

from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Float
from pydantic import BaseModel, Field
from sklearn.isotonic import IsotonicRegression

from semihand.frames.truth import whole_poses
from semihand.hand.camera import relative_depth, scale_mm
from semihand.hand.metrics import joint_errors, root_relative
from semihand.hand.skeleton import MIDDLE_MCP, NUM_JOINTS
from semihand.steps.components import LABEL_COLUMNS, Components, Predicted
from semihand.tables import as_numpy
from semihand.tables.rows import take_rows

LEAST_FRAMES = 20  # an isotonic fit of fewer says nothing
ConfidenceKind = Literal["isotonic", "fused"]


class Calibration(BaseModel, frozen=True, extra="forbid"):
    """An isotonic fit: the error expected of a label, given its stability; a straight line between knots."""

    stability: list[float]
    expected_mm: list[float]

    def error_mm(self, stability: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " batch"]:
        """Expected mean joint error in mm; constant beyond the outermost knots."""
        expected: np.ndarray = np.interp(stability, self.stability, self.expected_mm)
        return expected

    def predict(self, components: Components) -> Predicted:
        """`error_mm` of the stability among the components; nothing about single joints."""
        return Predicted(self.error_mm(components["stability"]), None)


def label_errors(labels: pa.Table, frames: pa.Table) -> pl.DataFrame:
    """The labels of calibration frames beside their true errors.

    Errors are mean joint errors in mm with root (middle-finger MCP) and scale known, as evaluation takes them.

    Args:
        labels: LABELS rows of these frames.
        frames: FRAMES with truth opened; a frame without all 21 joints in 3D is left out.

    Returns:
        One row per label, by frame_id: subject_id, sequence_id, stability, feasibility_mm, mask_agreement,
        confidence and the other components, error_mm (of label_mm), raw_error_mm (of joints_mm) and
        joint_error_mm (21, of label_mm).
    """
    known = whole_poses(frames.select(["frame_id", "joints_mm", "sequence_id"]))
    truth = dict(zip(known["frame_id"].to_pylist(), as_numpy(known["joints_mm"]).astype(np.float64), strict=True))
    ids = labels["frame_id"].to_pylist()
    rows = [row for row, frame_id in enumerate(ids) if frame_id in truth]
    labels = take_rows(labels, rows)
    true_mm = np.array([truth[ids[row]] for row in rows]).reshape(-1, 21, 3)
    table = pl.DataFrame(pl.from_arrow(labels.select(["frame_id", "subject_id", *LABEL_COLUMNS, "confidence"])))
    by_joint, raw_by_joint = (
        _joint_errors_mm(as_numpy(labels[name]).astype(np.float64), true_mm) for name in ("label_mm", "joints_mm")
    )
    sequences = pl.DataFrame(pl.from_arrow(known.select(["frame_id", "sequence_id"])))
    errors = {
        "error_mm": pl.Series(by_joint.mean(-1)),
        "raw_error_mm": pl.Series(raw_by_joint.mean(-1)),
        "joint_error_mm": pl.Series(by_joint.astype(np.float32), dtype=pl.Array(pl.Float32, NUM_JOINTS)),
    }
    return table.with_columns(**errors).join(sequences, on="frame_id", how="left").sort("frame_id")


def _joint_errors_mm(
    label_mm: Float[np.ndarray, "batch 21 3"], true_mm: Float[np.ndarray, "batch 21 3"]
) -> Float[np.ndarray, "batch 21"]:
    placed = place_known(label_mm, scale_mm(true_mm), true_mm[:, MIDDLE_MCP, 2])
    return joint_errors(root_relative(placed), root_relative(true_mm))


def place_known(
    joints_mm: Float[np.ndarray, "batch 21 3"],
    scale: Float[np.ndarray, " batch"],
    root_depth_mm: Float[np.ndarray, " batch"],
) -> Float[np.ndarray, "batch 21 3"]:
    """A pose with scale and depth of its root replaced by known ones; every joint stays on its line of sight.

    What evaluation does with a 2.5D prediction ("global scale and root known"), done to a pose in space.

    Args:
        joints_mm: camera frame, in front of the camera.
        scale: the known length of the reference bone, mm.
        root_depth_mm: the known depth of the middle MCP.
    """
    rays = joints_mm / joints_mm[..., 2:]
    placed: np.ndarray = rays * (root_depth_mm[:, None] + relative_depth(joints_mm) * scale[:, None])[..., None]
    return placed


def fit_calibration(errors: pl.DataFrame) -> Calibration:
    """Fit the isotonic line from `label_errors`' stability to its error."""
    stability, error = errors["stability"].to_numpy(), errors["error_mm"].to_numpy()
    fit = IsotonicRegression(out_of_bounds="clip").fit(stability, error)
    return Calibration(stability=fit.X_thresholds_.tolist(), expected_mm=fit.y_thresholds_.tolist())


def check_enough(num_frames: int, least: int) -> None:
    """Refuse a calibration set that is too small to fit to.

    Raises:
        ValueError: names how many there are and how many are needed.
    """
    if num_frames < least:
        raise ValueError(
            f"the calibration set has {num_frames} labelled frames with 3D truth, at least {least} are "
            "needed. Give more with --calibration, or raise --calibrate.num_frames."
        )


class CalibrateConfig(BaseModel, frozen=True, extra="forbid"):
    """The calibration set, where the user gives none: source frames held out of training, strongly augmented."""

    num_frames: int = Field(
        default=400,
        ge=LEAST_FRAMES,
        description="source frames held out of training to calibrate by; none with --calibration",
    )
    seed: int = Field(default=7, description="without effect: the first frames by their ids are held out")
    confidence: ConfidenceKind = Field(
        default="isotonic",
        description="what a label's expected error goes by: isotonic: its stability; fused: all components",
    )
