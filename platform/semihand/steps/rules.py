"""Rules: which labels are accepted by what they say of themselves, each label by itself."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat

from semihand.steps.calibrate import ConfidenceKind
from semihand.steps.components import EXPECTED
from semihand.tables import as_numpy

Share = Annotated[float, Field(ge=0, le=1)]
THRESHOLD_COLUMNS = ("stability", "feasibility_mm", "mask_agreement")
_INSTABILITY = "instability"  # the name of a score that is no column of LABELS
_MM_PER_PX = 3.0  # of a hand that fills a crop of 64 px


class Fates(NamedTuple):
    """What a rule says of every label."""

    chosen: Bool[np.ndarray, " labels"]
    reasons: list[str]
    cluster: Int[np.ndarray, " labels"] | None = None  # of poses, where the rule knows any


@runtime_checkable
class Rule(Protocol):
    """Decides which labels are accepted."""

    def accept(self, labels: pa.Table) -> Fates:
        """Every label's fate, by the columns of LABELS that the rule goes by."""


class Thresholds(BaseModel, frozen=True, extra="forbid"):
    """A label within all of them is accepted: the gate C(p̂) ≤ τ of SemiHand's eq. 8, one limit per term."""

    # The paper's τ.
    max_stability: PositiveFloat = Field(
        default=1.5, description="most that a label's views may differ, squared px of a 64 px crop"
    )
    max_feasibility_mm: PositiveFloat = Field(
        default=6.0, description="farthest that its correction may move a label, mm"
    )
    min_mask_agreement: Share = Field(default=0.6, description="least overlap of the views' masks with their mean")

    def accept(self, labels: pa.Table) -> Fates:
        """Every label's fate; the reason is the first threshold that dropped it."""
        columns = pl.DataFrame(pl.from_arrow(labels.select(list(THRESHOLD_COLUMNS))))
        reasons = (
            pl.when(_missed(pl.col("stability") <= self.max_stability)).then(pl.lit("unstable"))
            .when(_missed(pl.col("feasibility_mm") <= self.max_feasibility_mm)).then(pl.lit("infeasible"))
            .when(_missed(pl.col("mask_agreement") >= self.min_mask_agreement)).then(pl.lit("masks disagree"))
            .otherwise(pl.lit("accepted"))
        )  # fmt: skip
        reason = columns.select(reasons.alias("reason"))["reason"]
        return Fates((reason == "accepted").to_numpy(), reason.to_list())


class ErrorLimit(BaseModel, frozen=True, extra="forbid"):
    """A label that is expected to be no worse is accepted."""

    max_predicted_error_mm: NonNegativeFloat

    def accept(self, labels: pa.Table) -> Fates:
        """Every label's fate by its predicted_error_mm; one that has none is dropped."""
        return _within(as_numpy(labels[EXPECTED], null_as=np.inf), self.max_predicted_error_mm, "bad label expected")


class InstabilityLimit(BaseModel, frozen=True, extra="forbid"):
    """A label of no greater instability is accepted: C(p̂) ≤ τ of SemiHand's eq. 8, both terms in one sum."""

    max_instability: NonNegativeFloat  # px² of a 64 px crop

    def accept(self, labels: pa.Table) -> Fates:
        """Every label's fate by its instability."""
        return _within(instability(labels), self.max_instability, "unstable or infeasible")


def instability(labels: pa.Table) -> Float[np.ndarray, " labels"]:
    """C(p̂) after SemiHand's eq. 8, px² of a 64 px crop: the stability, and the distance to P(p̂) squared.

    The second term takes the mean distance in mm at 3 mm a px, depth as it is; the paper's is its loss, per joint.
    """
    stability, feasibility_mm = (as_numpy(labels[name]).astype(np.float64) for name in THRESHOLD_COLUMNS[:2])
    total: np.ndarray = stability + np.square(feasibility_mm / _MM_PER_PX)
    return total


def score_name(kind: ConfidenceKind) -> str:
    """What labels are ordered by where a share of them is accepted, lower is better.

    The expected error of a fused confidence, else the instability: an isotonic fit has plateaus, and every label on
    one would be within the same limit.
    """
    return EXPECTED if kind == "fused" else _INSTABILITY


def score_of(labels: pa.Table, name: str) -> Float[np.ndarray, " labels"]:
    """The score by its name; infinite for a label that has none."""
    if name == _INSTABILITY:
        return instability(labels)
    score: np.ndarray = as_numpy(labels[name], null_as=np.inf).astype(np.float64)
    return score


def accept_share(labels: pa.Table, share: float, kind: ConfidenceKind) -> ErrorLimit | InstabilityLimit:
    """The rule that accepts the best share of these labels: τ set by acceptance rate.

    Args:
        labels: stability and feasibility_mm, or predicted_error_mm, of all labels to choose from.
        share: of them; labels as good as the last accepted one are accepted too.
        kind: of the confidence, which says what they are ordered by.
    """
    score = score_of(labels, score_name(kind))
    known = np.sort(score[np.isfinite(score)])
    last = min(int(np.ceil(share * len(score))), len(known)) - 1
    limit = float(known[last]) if last >= 0 else 0.0
    return ErrorLimit(max_predicted_error_mm=limit) if kind == "fused" else InstabilityLimit(max_instability=limit)


def read_rule(values: Mapping[str, float]) -> Thresholds | ErrorLimit | InstabilityLimit:
    """The rule that a search wrote down."""
    if "max_predicted_error_mm" in values:
        return ErrorLimit.model_validate(values)
    return (InstabilityLimit if "max_instability" in values else Thresholds).model_validate(values)


def _missed(within: pl.Expr) -> pl.Expr:
    return within.not_().fill_null(True)


def _within(score: Float[np.ndarray, " labels"], limit: float, otherwise: str) -> Fates:
    chosen = score <= limit
    return Fates(chosen, ["accepted" if each else otherwise for each in chosen])
