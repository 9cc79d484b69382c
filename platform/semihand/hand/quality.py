"""Quality: measures of motion, skeleton and confidence that need little truth or none."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from semihand.hand.bones import bone_lengths
from semihand.hand.skeleton import WRIST

Motion = Float[np.ndarray, "*batch num_frames num_joints 3"]


def jitter(joints_mm: Motion) -> float:
    """Mean size of x[t+1] - 2 x[t] + x[t-1], mm per frame squared. Absolute: no root, scale or alignment.

    Raises:
        ValueError: fewer than three consecutive frames.
    """
    return float(np.linalg.norm(_acceleration(joints_mm), axis=-1).mean())


def acceleration_error(pred_mm: Motion, truth_mm: Motion) -> float:
    """Mean distance between predicted and true acceleration, mm per frame squared. Absolute.

    Raises:
        ValueError: fewer than three consecutive frames.
    """
    return float(np.linalg.norm(_acceleration(pred_mm) - _acceleration(truth_mm), axis=-1).mean())


def _acceleration(joints_mm: np.ndarray) -> np.ndarray:
    if joints_mm.shape[-3] < 3:
        raise ValueError(f"{joints_mm.shape[-3]} frames, but an acceleration needs 3 consecutive ones")
    return np.diff(joints_mm, n=2, axis=-3)


def wrist_speed(joints_mm: Motion, percentile: float = 99.9) -> float:
    """A high percentile of the wrist's way per frame, mm, where jumps show. Absolute, label-free."""
    steps_mm = np.linalg.norm(np.diff(joints_mm[..., WRIST, :], axis=-2), axis=-1)
    return float(np.percentile(steps_mm, percentile))


def bone_length_variation(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> float:
    """Standard deviation over mean of each bone's length in one subject's frames, averaged over 20 bones.

    Label-free; any root and frame; scale: own. MobileEgo reports 1.27 and 1.43 %.

    Raises:
        ValueError: a bone has no length in any frame.
    """
    lengths_mm = bone_lengths(joints_mm).reshape(-1, 20)
    mean_mm = lengths_mm.mean(axis=0)
    if not (mean_mm > 0).all():
        raise ValueError(f"bone {int(np.argmin(mean_mm))} has mean length {mean_mm.min()} mm; need lengths above 0")
    return float((lengths_mm.std(axis=0) / mean_mm).mean())


def side_asymmetry(left_mm: Float[np.ndarray, " 20"], right_mm: Float[np.ndarray, " 20"]) -> float:
    """Mean of |left - right| / their mean over one subject's bone lengths; label-free, 0 for equal hands."""
    return float((np.abs(left_mm - right_mm) / ((left_mm + right_mm) / 2)).mean())


class RiskCoverage(NamedTuple):
    """`risk[k]` is the mean risk of the k + 1 most confident rows, a share `coverage[k]` of all."""

    coverage: np.ndarray
    risk: np.ndarray


def risk_coverage(risk: Float[np.ndarray, " rows"], confidence: Float[np.ndarray, " rows"]) -> RiskCoverage:
    """Mean risk of what is kept when only the most confident rows are (Geifman & El-Yaniv, NeurIPS 2017).

    Rows of equal confidence share their mean risk, so the curve does not depend on their order.

    Args:
        risk: an error, such as a frame's EPE in mm; its root, scale and alignment are those of the curve.
        confidence: higher is better.

    Raises:
        ValueError: no rows, or a number is not finite.
    """
    if not risk.size or not (np.isfinite(risk).all() and np.isfinite(confidence).all()):
        raise ValueError(f"{risk.size} rows of risk and confidence must be at least 1 and finite; drop missing ones")
    _, group, count = np.unique(-confidence, return_inverse=True, return_counts=True)
    shared = np.bincount(group, weights=risk) / count
    num_rows = np.arange(1, risk.size + 1)
    return RiskCoverage(num_rows / risk.size, np.cumsum(np.repeat(shared, count)) / num_rows)


def aurc(risk: Float[np.ndarray, " rows"], confidence: Float[np.ndarray, " rows"]) -> float:
    """Area under the risk-coverage curve (mean of its risks); lower is better, in the unit of risk."""
    return float(risk_coverage(risk, confidence).risk.mean())


class LabelQuality(NamedTuple):
    """How many labels were accepted and how many of these are good; NaN precision and EPE where none was."""

    acceptance: float
    precision: float
    epe_mm: float


def label_quality(
    errors_mm: Float[np.ndarray, " rows"], accepted: Bool[np.ndarray, " rows"], epsilon_mm: float = 10.0
) -> LabelQuality:
    """Acceptance, precision@epsilon (share of accepted labels with EPE below it) and EPE of pseudo-labels.

    Args:
        errors_mm: EPE of every label, with the caller's root, scale and alignment.
        accepted: which labels were selected.
        epsilon_mm: below it a label is good.
    """
    kept = errors_mm[accepted]
    if not kept.size:
        return LabelQuality(0.0, float("nan"), float("nan"))
    return LabelQuality(float(accepted.mean()), float((kept < epsilon_mm).mean()), float(kept.mean()))
