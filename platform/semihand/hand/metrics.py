"""Metrics: how far a prediction is from the truth, each with its convention named.

An error metric takes what it is given: align first (`alignment`), then measure. Errors are in the unit of the
joints, mm in 3D and px in 2D. `alignment`, `curves` and `quality` can be imported from here as well.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.spatial import cKDTree

from semihand.hand.alignment import (
    procrustes_aligned,
    root_relative,
    scale_aligned,
    scale_and_root_known,
    sd_aligned,
)
from semihand.hand.curves import (
    AUC_CONVENTIONS,
    AucConvention,
    Errors,
    auc,
    auc_by_convention,
    errors_by_joint,
    max_error_fraction,
    pck,
    valid_errors,
)
from semihand.hand.quality import (
    acceleration_error,
    aurc,
    bone_length_variation,
    jitter,
    label_quality,
    risk_coverage,
    side_asymmetry,
    wrist_speed,
)

__all__ = [
    "AUC_CONVENTIONS",
    "AucConvention",
    "CameraSpaceError",
    "SegmentationAccuracy",
    "acceleration_error",
    "auc",
    "auc_by_convention",
    "aurc",
    "bone_length_variation",
    "camera_space_error",
    "coverage_aware_errors",
    "epe",
    "f_score",
    "jitter",
    "joint_errors",
    "label_quality",
    "max_error_fraction",
    "median_epe",
    "nyu_mm",
    "pck",
    "procrustes_aligned",
    "risk_coverage",
    "root_relative",
    "scale_aligned",
    "scale_and_root_known",
    "sd_aligned",
    "segmentation_accuracy",
    "side_asymmetry",
    "wrist_speed",
]

Joints = Float[np.ndarray, "*batch num_joints dim"]
Valid = Bool[np.ndarray, "*batch num_joints"]


def joint_errors(pred: Joints, truth: Joints, valid: Valid | None = None) -> Errors:
    """Distance of every joint to its truth; NaN where the truth is not valid. No root, scale or alignment.

    Raises:
        ValueError: a valid joint is not finite. A missed hand must not vanish from a mean: see
            `coverage_aware_errors`.
    """
    errors: np.ndarray = np.linalg.norm(pred - truth, axis=-1)
    used = np.ones(errors.shape, bool) if valid is None else valid
    wrong = used & ~np.isfinite(errors)
    if wrong.any():
        index = [int(i) for i in np.argwhere(wrong)[0]]
        raise ValueError(
            f"joint error{index} is {errors[wrong][0]}, but a valid joint needs finite numbers; "
            "mark missing truth in valid, and score missed hands with coverage_aware_errors"
        )
    return np.where(used, errors, np.nan)


def epe(pred: Joints, truth: Joints, valid: Valid | None = None) -> float:
    """Mean end-point error over all valid joints of all frames (EPE, MPJPE; MPVPE on vertices).

    Root, scale and alignment: whatever was done before; none here (absolute).

    Raises:
        ValueError: no joint is valid, or as `joint_errors`.
    """
    return float(valid_errors(joint_errors(pred, truth, valid)).mean())


def median_epe(pred: Joints, truth: Joints, valid: Valid | None = None) -> float:
    """Mean over joints of each joint's median error over frames (hand3d's EvalUtil); not the pooled median.

    Root, scale and alignment: none here. Joints that are never valid are left out.

    Raises:
        ValueError: no joint is valid, or as `joint_errors`.
    """
    columns = errors_by_joint(joint_errors(pred, truth, valid))
    return float(np.mean([np.median(column) for column in columns]))


def f_score(
    pred_vertices: Float[np.ndarray, "*batch num_pred 3"],
    true_vertices: Float[np.ndarray, "*batch num_true 3"],
    tau_mm: float,
) -> Float[np.ndarray, "*batch"]:
    """F@tau of every frame: harmonic mean of precision and recall of vertices.

    Precision is the share of predicted vertices with a true one nearer than tau, recall the converse.

    Root and scale: none here; usually 5 and 15 mm, after `procrustes_aligned` (say so). Knapitsch et al.
    2017, as in FreiHAND (Zimmermann et al., ICCV 2019).

    Raises:
        ValueError: tau is not above zero.
    """
    if not tau_mm > 0:
        raise ValueError(f"tau_mm is {tau_mm}, but must be above 0; FreiHAND reports 5 and 15 mm")
    scores = np.empty(pred_vertices.shape[:-2])
    for index in np.ndindex(scores.shape):
        pred, true = pred_vertices[index], true_vertices[index]
        precision = (cKDTree(true).query(pred)[0] < tau_mm).mean()
        recall = (cKDTree(pred).query(true)[0] < tau_mm).mean()
        scores[index] = 2 * precision * recall / max(precision + recall, np.finfo(float).tiny)
    return scores


class CameraSpaceError(NamedTuple):
    """Absolute error and how many hands were lost; `mean_mm` counts every frame, failures too."""

    mean_mm: float
    failure_share: float


def camera_space_error(
    pred_mm: Joints, truth_mm: Joints, valid: Valid | None = None, failure_mm: float = 1000.0
) -> CameraSpaceError:
    """CS-MJE (EgoForce): mean joint error in the camera frame. Absolute: no root, scale or alignment.

    Frames off by more than `failure_mm`, which the published script drops, stay in the mean and are counted.
    """
    errors = joint_errors(pred_mm, truth_mm, valid)
    seen = ~np.isnan(errors).all(-1)
    per_frame = np.nanmean(errors[seen], axis=-1)
    return CameraSpaceError(float(valid_errors(errors).mean()), float((per_frame > failure_mm).mean()))


def coverage_aware_errors(
    pred: Joints,
    truth: Joints,
    detected: Bool[np.ndarray, "*batch"],
    canonical: Float[np.ndarray, "num_joints dim"],
) -> Errors:
    """Joint errors in which a missed hand is scored with a placeholder pose instead of being left out (MINT).

    Args:
        pred: predictions; rows that were not detected may hold anything.
        truth: truth, one row per hand that is there.
        detected: whether the hand was found.
        canonical: the placeholder, in the same frame, root and scale as the predictions.
    """
    return joint_errors(np.where(detected[..., None, None], pred, canonical), truth)


class SegmentationAccuracy(NamedTuple):
    """Shares of rightly labelled pixels: over all pixels, and the mean of the classes' recalls."""

    per_pixel: float
    per_class: float


def segmentation_accuracy(
    pred: Integer[np.ndarray, "*shape"], truth: Integer[np.ndarray, "*shape"], ignore: Sequence[int] = ()
) -> SegmentationAccuracy:
    """Accuracy per pixel and per class (Neverova et al., CVIU 2017); classes absent from the truth drop out.

    Raises:
        ValueError: no pixel is left.
    """
    counted = ~np.isin(truth, list(ignore))
    if not counted.any():
        raise ValueError(f"truth has no pixel outside the ignored classes {list(ignore)}; nothing to score")
    labels, right = truth[counted], (pred == truth)[counted]
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return SegmentationAccuracy(float(right.mean()), float(np.mean(recalls)))


def nyu_mm(uvd: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """NYU's u px, v px, depth mm to mm, y up: x = (u - 320) d / 588.03, y = (v - 240) d / -587.07, z = d."""
    u, v, depth_mm = uvd[..., 0], uvd[..., 1], uvd[..., 2]
    points_mm: np.ndarray = np.stack([(u - 320) * depth_mm / 588.03, (v - 240) * depth_mm / -587.07, depth_mm], -1)
    return points_mm
