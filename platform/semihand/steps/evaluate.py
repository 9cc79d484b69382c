"""Evaluate: a model against frames whose truth may be read, under a named protocol."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from semihand.frames.limits import STANDARD, Limits
from semihand.frames.truth import open_truth, whole_poses
from semihand.hand.camera import lift, scale_mm
from semihand.hand.crops import apply_affine, invert_affine
from semihand.hand.metrics import AUC_CONVENTIONS
from semihand.methods.semihand.predictor import Predictor
from semihand.steps.cropping import read_crops
from semihand.steps.protocols import PROTOCOLS, Protocol, scores
from semihand.tables import as_numpy
from semihand.tables.rows import take_rows

__all__ = ["AUC_CONVENTIONS", "PROTOCOLS", "Evaluation", "evaluate"]


class Evaluation(NamedTuple):
    """What a model said of the frames, and how good it was."""

    frame_ids: list[str]
    joints_uv_px: Float[np.ndarray, "frames 21 2"]
    joints_mm: Float[np.ndarray, "frames 21 3"]  # lifted with the true scale and the true depth of the root
    true_mm: Float[np.ndarray, "frames 21 3"]
    error_mm: Float[np.ndarray, "frames 21"]  # per joint, under the protocol
    metrics: dict[str, float]
    num_unreadable: int


def evaluate(
    frames: pa.Table, model: Path, protocol: Protocol, device: str = "cpu", limits: Limits = STANDARD
) -> Evaluation:
    """Predict one view of every frame and compare it with the truth.

    The 2.5D prediction is lifted with the true length of the reference bone and the true depth of the root, as
    SemiHand evaluates ("global scale and root known", methods of ICCV 2021, section 4.1).

    A frame whose truth lacks a joint is left out.

    Raises:
        ValueError: no frame has 3D truth that may be read.
    """
    frames = open_truth(frames)
    known = whole_poses(frames)
    if known.num_rows == 0:
        raise ValueError(
            f"none of the {frames.num_rows} evaluation frames has 3D truth of all 21 joints: joints_mm lacks some, or "
            "`supervision` is neither '3d' nor 'mano'. Name frames with truth, or leave --evaluation out."
        )
    predictor = Predictor(model, device)
    read = read_crops(known, predictor.card.network.input_px, predictor.card.crop_margin, limits)
    kept = take_rows(known, read.rows)
    true_mm = as_numpy(kept["joints_mm"]).astype(np.float64)
    uv, depth = predictor.predict_crops(read.pictures)
    uv_px = apply_affine(invert_affine(read.cameras.affine), uv.astype(np.float64))
    root_depth = true_mm[:, protocol.depth_root, 2]
    joints_mm = lift(
        uv_px,
        depth.astype(np.float64),
        read.cameras.intrinsics,
        scale_mm(true_mm),
        root_depth,
        read.cameras.distortion,
    )
    error_mm, metrics = scores(joints_mm, true_mm, protocol)
    off_px = np.linalg.norm(uv_px - as_numpy(kept["joints_uv_px"], np.nan), axis=-1)
    if np.isfinite(off_px).any():
        metrics["uv_px"] = float(np.nanmean(off_px))
    return Evaluation(kept["frame_id"].to_pylist(), uv_px, joints_mm, true_mm, error_mm, metrics, len(read.failures))
