"""Select: which labels the student may learn from, by thresholds found on the calibration set."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, Field, PositiveFloat, model_validator

from semihand.hand.skeleton import NUM_JOINTS
from semihand.steps.clusters import ClusterConfig, PoseClusters, Share, nearest_cluster, within_clusters
from semihand.steps.guarantee import GuaranteeConfig
from semihand.steps.pose_selection import drop_near_duplicates, label_vectors
from semihand.tables import SELECTIONS, as_numpy, fixed_list_column

THRESHOLD_COLUMNS = ("stability", "feasibility_mm", "mask_agreement")


class Thresholds(BaseModel, frozen=True, extra="forbid"):
    """A label within all of them is accepted: the gate C(p̂) ≤ τ of SemiHand's eq. 8, one limit per term."""

    max_stability: PositiveFloat = 1.5  # px² of a 64 px crop: the paper's τ
    max_feasibility_mm: PositiveFloat = 6.0
    min_mask_agreement: Share = 0.6


class ErrorLimit(BaseModel, frozen=True, extra="forbid"):
    """A label that is expected to be no worse is accepted: the limit that a guarantee proved."""

    max_predicted_error_mm: PositiveFloat


Rule = Thresholds | ErrorLimit | PoseClusters


class SelectConfig(BaseModel, frozen=True, extra="forbid"):
    """How the thresholds are found and what a selected label weighs."""

    default: Thresholds = Thresholds()  # where the search starts from, and all there is without one
    num_trials: Annotated[int, Field(ge=0)] = 40  # of the search; 0 keeps the defaults
    # The error that accepted labels may have on average; None: this share of the calibration set's mean error.
    max_label_error_mm: PositiveFloat | None = None
    max_label_error_share: Annotated[float, Field(gt=0, le=1)] = 0.95
    by_joint: bool = True  # weigh each joint by its confidence
    # "gate": every accepted label weighs the same. "divergence": the less the farther two teachers are apart on it.
    weighting: Literal["gate", "divergence"] = "gate"
    divergence_per_mm: PositiveFloat = 0.11  # λ of that weight, which is not printed: 10 mm apart, half the weight
    seed: int = 0
    by_cluster: bool = False  # a threshold for each cluster of poses instead of the search's for all
    cluster: ClusterConfig = ClusterConfig()
    # Of accepted labels of one recording closer than this (root-mean-square over the joints, root-relative), only
    # the one expected to be best stays; None: all stay.
    thin_mm: PositiveFloat | None = None
    guarantee: GuaranteeConfig | None = None  # select by a limit with a proof, instead of the search

    @model_validator(mode="after")
    def _one_rule(self) -> "SelectConfig":
        if self.guarantee is not None and (self.by_cluster or self.thin_mm is not None):
            raise ValueError(
                "guarantee is about all labels within one limit, but by_cluster or thin_mm would drop some of them; "
                "leave both out, or the guarantee"
            )
        return self

    @property
    def compares_poses(self) -> bool:
        """Whether a label's fate depends on other labels' poses."""
        return self.by_cluster or self.thin_mm is not None


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


def divergence_weight(divergence_mm: Float[np.ndarray, " labels"], per_mm: float) -> Float[np.ndarray, " labels"]:
    """w = 2 (1 − σ(λ d)) of C-GAC (Ohkawa et al., ECCV 2022): 1 where two teachers agree, towards 0 apart.

    Args:
        divergence_mm: d, the mean distance between the joints of both, 0 or more; infinite where the second has no
            pose at all.
        per_mm: λ.
    """
    weight: np.ndarray = 1 - np.tanh(per_mm * divergence_mm / 2)
    return weight


def read_rule(values: Mapping[str, float]) -> Thresholds | ErrorLimit:
    """The rule that a search wrote down."""
    return (ErrorLimit if "max_predicted_error_mm" in values else Thresholds).model_validate(values)


def select_labels(labels: pa.Table, rule: Rule, config: SelectConfig) -> pa.Table:
    """LABELS to SELECTIONS: every label's fate, its weight and the rule that decided.

    A joint weighs as much as its confidence relative to the mean over the frame's joints.

    Args:
        labels: the columns that the rule goes by; to compare poses also label_mm, subject_id, and hand and
            sequence_id as in FRAMES.
        rule: which labels are accepted.
        config: what a label weighs, and whether near duplicates are thinned.

    Raises:
        ValueError: labels are to weigh by the divergence of two teachers, but only one made them.
    """
    chosen, reasons, cluster = _fates(labels, rule)
    if config.thin_mm is not None:
        chosen, reasons = drop_near_duplicates(labels, chosen, reasons, config.thin_mm)
    weight = chosen * _weights(labels, config)
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
        "reason": pa.array(reasons, pa.string()),
        "pose_cluster": pa.nulls(labels.num_rows, pa.int32()) if cluster is None else pa.array(cluster, pa.int32()),
    }
    return pa.Table.from_arrays([table[name] for name in SELECTIONS.names], schema=SELECTIONS)


def _weights(labels: pa.Table, config: SelectConfig) -> Float[np.ndarray, " labels"]:
    """What a label weighs if it is accepted."""
    if config.weighting == "gate" or not labels.num_rows:
        return np.ones(labels.num_rows, np.float32)
    if labels["teacher_divergence_mm"].null_count == labels.num_rows:
        raise ValueError(
            f"select.weighting is 'divergence', but none of {labels.num_rows} labels has a teacher_divergence_mm: "
            "label with --second_teacher, or use weighting 'gate'"
        )
    divergence_mm = as_numpy(labels["teacher_divergence_mm"], null_as=np.inf).astype(np.float64)
    return divergence_weight(divergence_mm, config.divergence_per_mm).astype(np.float32)


class _Fates(NamedTuple):
    chosen: Bool[np.ndarray, " labels"]
    reasons: list[str]
    cluster: Int[np.ndarray, " labels"] | None = None


def _fates(labels: pa.Table, rule: Rule) -> _Fates:
    if isinstance(rule, Thresholds):
        columns = pl.DataFrame(pl.from_arrow(labels.select(list(THRESHOLD_COLUMNS))))
        return _Fates(accepted(columns, rule), _reasons(columns, rule))
    if isinstance(rule, ErrorLimit):
        expected = as_numpy(labels["predicted_error_mm"], null_as=np.inf)
        chosen = expected <= rule.max_predicted_error_mm
        return _Fates(chosen, ["guaranteed" if each else "over the guaranteed limit" for each in chosen])
    cluster = nearest_cluster(label_vectors(labels), np.array(rule.centres).reshape(-1, 63))
    score = as_numpy(labels[rule.score]).astype(np.float64)
    within = within_clusters(score, cluster, rule.thresholds)
    return _Fates(within, ["accepted in its cluster" if each else "beyond its cluster" for each in within], cluster)


def _reasons(columns: pl.DataFrame, thresholds: Thresholds) -> list[str]:
    """The first rule that dropped a label, or that none did."""
    rules = (
        pl.when(pl.col("stability") > thresholds.max_stability).then(pl.lit("unstable"))
        .when(pl.col("feasibility_mm") > thresholds.max_feasibility_mm).then(pl.lit("infeasible"))
        .when(pl.col("mask_agreement") < thresholds.min_mask_agreement).then(pl.lit("masks disagree"))
        .otherwise(pl.lit("accepted"))
    )  # fmt: skip
    return columns.select(rules.alias("reason"))["reason"].to_list()
