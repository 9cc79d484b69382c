"""Guarantee: the loosest limit on the expected error that checked recordings prove safe."""

import hashlib
import itertools
import math
from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from pydantic import BaseModel, Field
from scipy.stats import beta

from semihand.steps.components import EXPECTED
from semihand.steps.recordings import recordings

_MARGIN = 1.64  # standard deviations: one draw in twenty lies beyond


class GuaranteeConfig(BaseModel, frozen=True, extra="forbid"):
    """The promise about selected labels, counted by recording because frames of one recording fail together.

    A label is *off* when its mean joint error (root and scale known) is over `error_mm`. A recording is *bad* when
    over `share_bad` of its selected labels are off; only recordings with a selected label count. The promise: with
    probability 1 - `delta` over the draw of the checked recordings, at most a share `alpha` of the recordings that
    the pool's are drawn from are bad. It holds for recordings drawn as the checked ones were, one round at a time;
    a frame without a sequence_id counts as a recording.
    """

    error_mm: float = Field(default=15.0, gt=0, description="a label whose mean joint error is over this is off, mm")
    share_bad: float = Field(
        default=0.10, ge=0, lt=1, description="a recording with over this share of its selected labels off is bad"
    )
    alpha: float = Field(default=0.10, gt=0, lt=1, description="promised: at most this share of recordings is bad")
    delta: float = Field(
        default=0.05, gt=0, lt=1, description="risk that the promise does not hold; lower takes more recordings"
    )
    # A proof on them would believe its own fit. Few suffice for the fit, while every recording fewer to prove with
    # makes a refusal likelier.
    fit_share: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="share of the checked recordings to fit to; the others are left to prove with",
    )
    num_limits: int = Field(default=20, ge=1, description="limits that are tried, from the strictest to the loosest")

    @property
    def least_recordings(self) -> int:
        """The fewest recordings that can prove anything, all of them good: (1 - alpha)^n <= delta."""
        return math.ceil(math.log(self.delta) / math.log1p(-self.alpha))


class Proof(NamedTuple):
    """A limit on predicted_error_mm, and what the checked recordings said about it."""

    max_predicted_error_mm: float
    num_recordings: int  # checked ones with a selected label
    num_bad: int
    upper_bound: float  # on the share of bad recordings, at confidence 1 - delta
    share: float  # of the checked labels that it selects


def split_recordings(errors: pl.DataFrame, config: GuaranteeConfig) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to fit the expected error to and the rows to prove with, told apart by the recording's name alone.

    Args:
        errors: from `label_errors`, of checked target frames.
        config: the share to fit to, and what a proof needs.

    Raises:
        ValueError: there are too few recordings to prove anything.
    """
    chosen = recordings_to_fit(set(recordings(errors)), config)
    inside = pl.Series([name in chosen for name in recordings(errors)], dtype=pl.Boolean)
    return errors.filter(inside), errors.filter(~inside)


def recordings_to_fit(names: Set[str], config: GuaranteeConfig) -> Set[str]:
    """The recordings that the expected error is fitted to; the others are left to prove with.

    Raises:
        ValueError: there are too few recordings to prove anything.
    """
    num_fit = _num_to_fit(len(names), config)
    num_proof, least = len(names) - num_fit, config.least_recordings
    if num_proof < least:
        needed = next(num for num in itertools.count(least) if num - _num_to_fit(num, config) >= least)
        raise ValueError(
            f"the calibration set has {len(names)} recordings, of which {num_proof} are left to prove with, but "
            f"alpha {config.alpha:g} at delta {config.delta:g} takes {least} without a single bad one. Check frames "
            f"of at least {needed} recordings, or raise --select.guarantee.alpha."
        )
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:num_fit])


def _num_to_fit(num: int, config: GuaranteeConfig) -> int:
    return math.ceil(config.fit_share * num)


def prove_limit(fitted: pl.DataFrame, checked: pl.DataFrame, config: GuaranteeConfig) -> Proof:
    """The loosest limit on the expected error for which the promise of `GuaranteeConfig` is proven.

    Learn then Test (Angelopoulos et al., 2021, section 4.1.1, fixed-sequence testing): the hypotheses "over alpha
    of the recordings are bad at this limit" are tested from the strictest limit on, and the last limit before the
    first that cannot be rejected is taken. A hypothesis is rejected when the upper Clopper-Pearson bound at level
    delta is no more than alpha. The limits, and with which of them to start, depend on the fitted rows alone: the
    sequence is fixed before a checked row is looked at, so no further correction is due. It starts where enough
    recordings have selected labels, as a stricter limit could not be rejected whatever its labels are.

    Args:
        fitted: rows of recordings that the expected error was fitted to, with predicted_error_mm.
        checked: rows of other recordings, with predicted_error_mm and error_mm.
        config: the promise.

    Raises:
        ValueError: not even the strictest limit is proven.
    """
    proven, last = None, None
    names = recordings(checked)
    for limit in limits(fitted, len(set(names)), config):
        last = _try_limit(checked, names, limit, config)
        if last.upper_bound > config.alpha:
            break
        proven = last
    if proven is None:
        assert last is not None
        raise ValueError(
            f"no limit on the expected error is proven: within {last.max_predicted_error_mm:.1f} mm "
            f"{last.num_bad} of {last.num_recordings} checked recordings are bad, so that up to "
            f"{last.upper_bound:.0%} may be, over alpha {config.alpha:.0%}. Check more recordings, or raise "
            "--select.guarantee.error_mm or alpha."
        )
    return proven


def limits(fitted: pl.DataFrame, num_checked: int, config: GuaranteeConfig) -> Float[np.ndarray, " limits"]:
    """Limits to try, the strictest first: evenly many labels apart, from where enough recordings are expected.

    At the first limit, at least `GuaranteeConfig.least_recordings` of the checked recordings have a label within
    it, but for one draw in twenty: their share is guessed from the fitted recordings, of which there are few.
    """
    best = (
        fitted.with_columns(recording=pl.Series(recordings(fitted))).group_by("recording").agg(pl.col(EXPECTED).min())
    )
    least = config.least_recordings / num_checked
    spread = math.sqrt(least * (1 - least) * (1 / len(best) + 1 / num_checked))
    start = float(np.quantile(best[EXPECTED].to_numpy(), min(least + _MARGIN * spread, 1.0), method="inverted_cdf"))
    scores = fitted[EXPECTED].to_numpy().astype(np.float64)
    loose = scores[scores >= start]
    return np.unique(np.quantile(loose, np.linspace(0, 1, config.num_limits), method="inverted_cdf"))


def upper_bound(num_bad: int, num: int, delta: float) -> float:
    """The Clopper-Pearson upper bound on a share of which `num_bad` of `num` were seen, at confidence 1 - delta."""
    return 1.0 if num_bad >= num else float(beta.ppf(1 - delta, num_bad + 1, num - num_bad))


def bad_recordings(errors: pl.DataFrame, limit_mm: float, config: GuaranteeConfig) -> pl.DataFrame:
    """Recordings with a label within the limit, and whether they are bad.

    Args:
        errors: predicted_error_mm, error_mm, frame_id and sequence_id.
        limit_mm: of the expected error.
        config: what is off, and what is bad.
    """
    return _count_bad(errors, recordings(errors), limit_mm, config)


def _count_bad(errors: pl.DataFrame, names: Sequence[str], limit_mm: float, config: GuaranteeConfig) -> pl.DataFrame:
    chosen = errors.with_columns(recording=pl.Series(names)).filter(pl.col(EXPECTED) <= limit_mm)
    off = (pl.col("error_mm") > config.error_mm).mean()
    return chosen.group_by("recording").agg((off > config.share_bad).alias("bad"))


def _try_limit(errors: pl.DataFrame, names: Sequence[str], limit_mm: float, config: GuaranteeConfig) -> Proof:
    counted = _count_bad(errors, names, limit_mm, config)
    num, num_bad = len(counted), int(counted["bad"].sum())
    share = float((errors[EXPECTED].to_numpy() <= limit_mm).mean())
    return Proof(float(limit_mm), num, num_bad, upper_bound(num_bad, num, config.delta), share)
