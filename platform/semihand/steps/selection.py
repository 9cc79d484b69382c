"""Select: which labels the student may learn from, by thresholds found on the calibration set."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Float
from pydantic import BaseModel, Field, PositiveFloat, model_validator

from semihand.hand.skeleton import NUM_JOINTS
from semihand.steps.calibrate import ConfidenceKind
from semihand.steps.clusters import ClusterConfig
from semihand.steps.guarantee import GuaranteeConfig
from semihand.steps.pose_selection import drop_near_duplicates
from semihand.steps.rules import ErrorLimit, Rule, Thresholds
from semihand.tables import SELECTIONS, as_numpy, fixed_list_column

Searched = Thresholds | ErrorLimit
Taken = Annotated[float, Field(gt=0, le=1)]


class SelectConfig(BaseModel, frozen=True, extra="forbid"):
    """How the thresholds are found and what a selected label weighs."""

    default: Thresholds = Field(
        default=Thresholds(),
        description="where the search starts from; of fused confidence the limit on the label error instead",
    )
    num_trials: int = Field(
        default=40, ge=0, description="trials of the search for limits; 0: those it starts from stay"
    )
    max_label_error_mm: PositiveFloat | None = Field(
        default=None, description="mean error that accepted labels may have, mm; None: max_label_error_share decides"
    )
    max_label_error_share: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="that error as a share of the calibration labels' own; lower accepts fewer",
    )
    by_joint: bool = Field(default=True, description="weigh each joint by its confidence")
    weighting: Literal["gate", "divergence"] = Field(
        default="gate",
        description="gate: accepted labels weigh alike; divergence: less, the farther two teachers are apart",
    )
    # The paper prints none.
    divergence_per_mm: PositiveFloat = Field(
        default=0.11, description="how fast that weight falls, per mm apart: 0.11 halves it at 10 mm"
    )
    seed: int = Field(default=0, description="seed of the search")
    by_cluster: bool = Field(
        default=False, description="a threshold for each cluster of poses instead of the search's for all"
    )
    cluster: ClusterConfig = Field(default=ClusterConfig(), description="the clusters of poses; with by_cluster")
    thin_mm: PositiveFloat | None = Field(
        default=None,
        description="of a recording's labels nearer than this (mm, root mean square), the best alone; None: all",
    )
    guarantee: GuaranteeConfig | None = Field(
        default=None,
        description="select by a limit that checked recordings prove, instead of the search; needs --calibration",
    )
    # τ by acceptance rate, because the paper's τ has units that are not printed.
    accept_shares: Annotated[tuple[Taken, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="share of labels that each round accepts, the last for all that follow; None: the search",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> "SelectConfig":
        if self.accept_shares is not None and (self.by_cluster or self.guarantee is not None):
            raise ValueError(
                "accept_shares, by_cluster and guarantee each say which labels are accepted; leave out all but one"
            )
        if self.guarantee is not None and (self.by_cluster or self.thin_mm is not None):
            raise ValueError(
                "guarantee is about all labels within one limit, but by_cluster or thin_mm would drop some of them; "
                "leave both out, or the guarantee"
            )
        return self

    def accept_share(self, round_number: int) -> float | None:
        """The share of labels that a round accepts; None where something else decides."""
        if self.accept_shares is None:
            return None
        return self.accept_shares[min(round_number, len(self.accept_shares)) - 1]

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


def first_rule(errors: pl.DataFrame, config: SelectConfig, kind: ConfidenceKind) -> Searched:
    """Where the search starts from: labels expected to be within the error limit, or the recipe's thresholds."""
    if kind == "fused":
        return ErrorLimit(max_predicted_error_mm=error_limit_mm(errors, config))
    return config.default


def score_rule(errors: pl.DataFrame, rule: Rule, limit_mm: float) -> Score:
    """The most labels at or under a given label error: what the search maximises."""
    chosen = rule.accept(errors.to_arrow()).chosen
    if not chosen.any():
        return Score(0.0, float("nan"), 0.0)
    error = float(errors["error_mm"].to_numpy()[chosen].mean())
    share = float(chosen.mean())
    return Score(share, error, share if error <= limit_mm else limit_mm - error)


def search_space(errors: pl.DataFrame, rule: Searched) -> dict[str, tuple[float, float]]:
    """Bounds of the search for every limit of a rule: from the strictest tenth to everything in the calibration set."""
    bounds = {}
    for name in type(rule).model_fields:
        end, column = name[:4], name[4:]
        values = errors[column].to_numpy().astype(np.float64)
        if end == "min_":
            bounds[name] = float(values.min()), float(np.quantile(values, 0.9))
        else:
            bounds[name] = max(float(np.quantile(values, 0.1)), 1e-6), float(values.max()) + 1e-5
    return bounds


def divergence_weight(divergence_mm: Float[np.ndarray, " labels"], per_mm: float) -> Float[np.ndarray, " labels"]:
    """w = 2 (1 − σ(λ d)) of C-GAC (Ohkawa et al., ECCV 2022): 1 where two teachers agree, towards 0 apart.

    Args:
        divergence_mm: d, the mean distance between the joints of both, 0 or more; infinite where the second has no
            pose at all.
        per_mm: λ.
    """
    weight: np.ndarray = 1 - np.tanh(per_mm * divergence_mm / 2)
    return weight


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
    chosen, reasons, cluster = rule.accept(labels)
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
