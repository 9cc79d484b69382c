"""Evaluate: a model against frames whose truth may be read, under a named protocol."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from semihand.frames.limits import STANDARD, Limits
from semihand.frames.truth import open_truth, poses_with
from semihand.hand.camera import lift, root_depth_from_bones, root_depth_from_scale, scale_mm
from semihand.hand.crops import apply_affine, invert_affine
from semihand.hand.metrics import AUC_CONVENTIONS
from semihand.hand.skeleton import JOINT_NAMES, NUM_JOINTS, REFERENCE_BONE
from semihand.methods.semihand.predictor import Predictor
from semihand.methods.semihand.weights import ModelCard
from semihand.steps.cropping import Cameras, read_crops
from semihand.steps.protocols import PROTOCOLS, Protocol, scores
from semihand.tables import as_numpy
from semihand.tables.rows import take_rows

__all__ = ["AUC_CONVENTIONS", "PROTOCOLS", "Evaluation", "evaluate", "usable_frames"]


class Evaluation(NamedTuple):
    """What a model said of the frames, and how good it was."""

    frame_ids: list[str]
    joints_uv_px: Float[np.ndarray, "frames 21 2"]
    joints_mm: Float[np.ndarray, "frames 21 3"]  # lifted with the true scale and depth of the root, or by themselves
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

    A frame whose truth lacks a joint is left out. A `centred` protocol takes frames that lack most of them; there the
    prediction is lifted as labels are, to where the bones of the model's own hand have their lengths.

    Raises:
        ValueError: no frame has 3D truth that may be read.
    """
    known = usable_frames(frames, protocol)
    predictor = Predictor(model, device)
    read = read_crops(known, predictor.card.network.input_px, predictor.card.crop_margin, limits)
    kept = take_rows(known, read.rows)
    true_mm = as_numpy(kept["joints_mm"]).astype(np.float64)
    uv, depth = predictor.predict_crops(read.pictures)
    uv_px = apply_affine(invert_affine(read.cameras.affine), uv.astype(np.float64))
    if protocol.centred:
        joints_mm = _lifted_by_itself(uv_px, depth.astype(np.float64), read.cameras, predictor.card)
    else:
        joints_mm = lift(
            uv_px,
            depth.astype(np.float64),
            read.cameras.intrinsics,
            scale_mm(true_mm),
            true_mm[:, protocol.depth_root, 2],
            read.cameras.distortion,
        )
    error_mm, metrics = scores(joints_mm, true_mm, protocol)
    off_px = np.linalg.norm(uv_px - as_numpy(kept["joints_uv_px"], np.nan), axis=-1)
    if np.isfinite(off_px).any():
        metrics["uv_px"] = float(np.nanmean(off_px))
    return Evaluation(kept["frame_id"].to_pylist(), uv_px, joints_mm, true_mm, error_mm, metrics, len(read.failures))


def usable_frames(frames: pa.Table, protocol: Protocol) -> pa.Table:
    """The frames whose truth a protocol can use, opened as far as their supervision goes.

    Raises:
        ValueError: there is none; says what is missing.
    """
    opened = open_truth(frames)
    needed = protocol.joints if protocol.centred else range(NUM_JOINTS)
    usable = poses_with(opened, needed, protocol.least_joints)
    if usable.num_rows:
        return usable
    known = np.isfinite(as_numpy(opened["joints_mm"], np.nan)).all(-1).any(0)
    missing = [JOINT_NAMES[joint] for joint in needed if not known[joint]]
    raise ValueError(
        f"none of the {frames.num_rows} evaluation frames has 3D truth of "
        f"{'two fingertips' if protocol.centred else 'all 21 joints'}: joints_mm lacks some"
        f"{' (none knows ' + ', '.join(missing[:3]) + ')' if missing else ''}, or `supervision` is neither '3d' nor "
        "'mano'. Name frames with truth (of STB: wrist=extrapolated; fingertips alone: --protocol do), or leave "
        "--evaluation out."
    )


def _lifted_by_itself(
    uv_px: Float[np.ndarray, "frames 21 2"],
    depth_bones: Float[np.ndarray, "frames 21"],
    cameras: Cameras,
    card: ModelCard,
) -> Float[np.ndarray, "frames 21 3"]:
    """Poses in space that know nothing of the truth."""
    lengths_mm = np.tile(card.template_mm, (len(uv_px), 1))
    camera = (uv_px, depth_bones, cameras.intrinsics)
    root = root_depth_from_scale(*camera, lengths_mm[:, REFERENCE_BONE], cameras.distortion)
    root = np.where(np.isfinite(root), root, root_depth_from_bones(*camera, lengths_mm, cameras.distortion))
    return lift(*camera, lengths_mm[:, REFERENCE_BONE], root, cameras.distortion)
