"""How far confidence can be trusted: rank correlation, risk and coverage, reliability."""

from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.stats import spearmanr

from semihand.hand.metrics import aurc
from semihand.steps.components import DIRECTIONS, EXPECTED
from semihand.steps.confidence import error_components


class Ranking(NamedTuple):
    """How well a score orders labels by their true error."""

    spearman: float  # 1: in the very order; NaN: the score says nothing
    aurc_mm: float  # area under the risk-coverage curve, lower is better


def ranking(error_mm: Float[np.ndarray, " rows"], score: Float[np.ndarray, " rows"]) -> Ranking:
    """Spearman's rank correlation and AURC (Geifman & El-Yaniv, NeurIPS 2017) of a score that is low for good labels.

    Raises:
        ValueError: no rows, or a number is not finite.
    """
    area = aurc(error_mm, -score)
    constant = np.ptp(score) == 0 or np.ptp(error_mm) == 0
    return Ranking(float("nan") if constant else float(spearmanr(score, error_mm).statistic), area)


def binned_reliability(
    predicted_mm: Float[np.ndarray, " rows"], error_mm: Float[np.ndarray, " rows"], num_bins: int = 10
) -> pl.DataFrame:
    """Expected against true error in bins of as many labels each, the most trusted first.

    Returns:
        predicted_mm and error_mm (means of the bin), and num_labels; a row per bin.
    """
    order = np.argsort(predicted_mm, kind="stable")
    bins = [rows for rows in np.array_split(order, num_bins) if len(rows)]
    return pl.DataFrame(
        {
            "predicted_mm": [float(predicted_mm[rows].mean()) for rows in bins],
            "error_mm": [float(error_mm[rows].mean()) for rows in bins],
            "num_labels": [len(rows) for rows in bins],
        }
    )


def reliability_gap_mm(bins: pl.DataFrame) -> float:
    """Mean distance of expected from true error over the bins, weighed by their labels: ECE for a regression."""
    gap, weight = (bins["predicted_mm"] - bins["error_mm"]).abs().to_numpy(), bins["num_labels"].to_numpy()
    return float((gap * weight).sum() / weight.sum())


def confidence_report(errors: pl.DataFrame) -> dict[str, float]:
    """Spearman and AURC of the expected error and of every component, and the gap of the reliability.

    Args:
        errors: from `label_errors`, with predicted_error_mm by fits that have not seen the row.
    """
    error_mm, predicted = errors["error_mm"].to_numpy(), errors[EXPECTED].to_numpy()
    components = error_components(errors, complete=True)
    scores = {name: components[name] * sign for name, sign in DIRECTIONS.items() if name in components}
    report: dict[str, float] = {}
    for name, score in {EXPECTED: predicted, **scores}.items():
        found = ranking(error_mm, score)
        report |= {f"spearman_{name}": found.spearman, f"aurc_mm_{name}": found.aurc_mm}
    return report | {"reliability_gap_mm": reliability_gap_mm(binned_reliability(predicted, error_mm))}
