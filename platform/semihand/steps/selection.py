"""Select: which labels the student may learn from, by thresholds found on the calibration set."""

from typing import Annotated, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Bool
from pydantic import BaseModel, Field, PositiveFloat

from semihand.hand.skeleton import NUM_JOINTS
from semihand.tables import SELECTIONS, as_numpy, fixed_list_column

Share = Annotated[float, Field(ge=0, le=1)]
THRESHOLD_COLUMNS = ("stability", "feasibility_mm", "mask_agreement")


class Thresholds(BaseModel, frozen=True, extra="forbid"):
    """A label within all of them is accepted: the gate C(p̂) ≤ τ of SemiHand's eq. 8, one limit per term."""

    max_stability: PositiveFloat = 1.5  # px² of a 64 px crop: the paper's τ
    max_feasibility_mm: PositiveFloat = 6.0
    min_mask_agreement: Share = 0.6


class SelectConfig(BaseModel, frozen=True, extra="forbid"):
    """How the thresholds are found and what a selected label weighs."""

    default: Thresholds = Thresholds()  # where the search starts from, and all there is without one
    num_trials: Annotated[int, Field(ge=0)] = 40  # of the search; 0 keeps the defaults
    # The error that accepted labels may have on average; None: this share of the calibration set's mean error.
    max_label_error_mm: PositiveFloat | None = None
    max_label_error_share: Annotated[float, Field(gt=0, le=1)] = 0.95
    by_joint: bool = True  # weigh each joint by its confidence
    seed: int = 0


class Score(NamedTuple):
    """How thresholds do on labels whose error is known."""

    share: float  # accepted
    error_mm: float  # mean error of the accepted labels
    value: float  # what is maximised: the share where the error is within the limit, else minus the excess in mm


def error_limit_mm(errors: pl.DataFrame, config: SelectConfig) -> float:
    """The label error that the search may not exceed."""
    if config.max_label_error_mm is not None:
        return config.max_label_error_mm
    return config.max_label_error_share * float(errors["error_mm"].to_numpy().mean())


def accepted(labels: pl.DataFrame, thresholds: Thresholds) -> Bool[np.ndarray, " labels"]:
    """Which labels lie within every threshold."""
    within = (
        (pl.col("stability") <= thresholds.max_stability)
        & (pl.col("feasibility_mm") <= thresholds.max_feasibility_mm)
        & (pl.col("mask_agreement") >= thresholds.min_mask_agreement)
    )
    result: np.ndarray = labels.select(within.alias("accepted"))["accepted"].to_numpy()
    return result


def score_thresholds(errors: pl.DataFrame, thresholds: Thresholds, limit_mm: float) -> Score:
    """The most labels at or under a given label error: what the search maximises."""
    chosen = accepted(errors, thresholds)
    if not chosen.any():
        return Score(0.0, float("nan"), 0.0)
    error = float(errors["error_mm"].to_numpy()[chosen].mean())
    share = float(chosen.mean())
    return Score(share, error, share if error <= limit_mm else limit_mm - error)


def search_space(errors: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """Bounds of the search for every threshold: from the strictest tenth to everything in the calibration set."""
    strict, loose = {}, {}
    for column in THRESHOLD_COLUMNS:
        values = errors[column].to_numpy().astype(np.float64)
        strict[column], loose[column] = np.quantile(values, 0.1), values.max()
    agreement = errors["mask_agreement"].to_numpy().astype(np.float64)
    return {
        "max_stability": (max(float(strict["stability"]), 1e-6), float(loose["stability"]) + 1e-5),
        "max_feasibility_mm": (
            max(float(strict["feasibility_mm"]), 1e-6),
            float(loose["feasibility_mm"]) + 1e-5,
        ),
        "min_mask_agreement": (float(agreement.min()), float(np.quantile(agreement, 0.9))),
    }


def select_labels(labels: pa.Table, thresholds: Thresholds, config: SelectConfig) -> pa.Table:
    """LABELS to SELECTIONS: every label's fate, its weight and the rule that decided.

    A joint weighs as much as its confidence relative to the mean over the frame's joints.
    """
    columns = pl.DataFrame(pl.from_arrow(labels.select(list(THRESHOLD_COLUMNS))))
    chosen = accepted(columns, thresholds)
    weight = chosen.astype(np.float32)
    joints = np.ones((labels.num_rows, NUM_JOINTS), np.float32)
    if config.by_joint and labels.num_rows:
        confidence = as_numpy(labels["joint_confidence"]).astype(np.float32)
        joints = confidence / confidence.mean(axis=1, keepdims=True).clip(min=1e-6)
    table = {
        "frame_id": labels["frame_id"],
        "round": labels["round"],
        "labeller": labels["labeller"],
        "selected": pa.array(chosen, pa.bool_()),
        "weight": pa.array(weight, pa.float32()),
        "joint_weight": fixed_list_column(joints * weight[:, None]),
        "reason": pa.array(_reasons(columns, thresholds), pa.string()),
        "pose_cluster": pa.nulls(labels.num_rows, pa.int32()),
    }
    return pa.Table.from_arrays([table[name] for name in SELECTIONS.names], schema=SELECTIONS)


def _reasons(columns: pl.DataFrame, thresholds: Thresholds) -> list[str]:
    """The first rule that dropped a label, or that none did."""
    rules = (
        pl.when(pl.col("stability") > thresholds.max_stability).then(pl.lit("unstable"))
        .when(pl.col("feasibility_mm") > thresholds.max_feasibility_mm).then(pl.lit("infeasible"))
        .when(pl.col("mask_agreement") < thresholds.min_mask_agreement).then(pl.lit("masks disagree"))
        .otherwise(pl.lit("accepted"))
    )  # fmt: skip
    return columns.select(rules.alias("reason"))["reason"].to_list()
