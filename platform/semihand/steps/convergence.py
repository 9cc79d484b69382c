"""Convergence: how far labels still move from round to round, and when that is no longer worth a round."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from semihand.hand.metrics import root_relative
from semihand.words import counted


class StopConfig(BaseModel, frozen=True, extra="forbid"):
    """When a campaign ends before its last round; by default never."""

    movement_share: PositiveFloat | None = Field(
        default=None,
        description="stop when the median label moved under this share of its first move by a new teacher; None: off",
    )
    within_spread: bool = Field(
        default=False, description="stop when the median label moved less than its spread over the views"
    )
    num_rounds: PositiveInt = Field(default=1, description="stop only after so many such rounds running")

    @property
    def is_on(self) -> bool:
        """Whether there is any rule to stop by."""
        return self.movement_share is not None or self.within_spread


class Movement(NamedTuple):
    """How far a round's labels are from the last round's, medians over the labels."""

    moved_mm: float  # NaN where no label has a predecessor
    spread_mm: float  # of a label over its views; NaN where it is not known


def movement(labels: pl.DataFrame, before: pl.DataFrame | None) -> Movement:
    """What a round's labels moved.

    Args:
        labels: moved_since_last_round_mm and joint_covariance of a round; also frame_id and joints_mm where the
            former is not known.
        before: frame_id and joints_mm of the round before; None where the labels say themselves how far they
            moved.
    """
    moved = labels["moved_since_last_round_mm"] if before is None else moved_mm(labels, before)
    known = labels["joint_covariance"].drop_nulls()
    spread = np.median(_spread_mm(known)) if len(known) else np.nan
    distance = moved.drop_nulls().to_numpy()
    return Movement(float(np.median(distance)) if len(distance) else float("nan"), float(spread))


def moved_mm(labels: pl.DataFrame, before: pl.DataFrame) -> pl.Series:
    """Mean distance of a joint from the last round's, relative to the middle MCP, of the frames in both, mm."""
    both = labels.select("frame_id", "joints_mm").join(
        before.select("frame_id", pl.col("joints_mm").alias("before_mm")), on="frame_id", how="inner"
    )
    after, earlier = (root_relative(_joints(both[name])) for name in ("joints_mm", "before_mm"))
    return pl.Series(np.linalg.norm(after - earlier, axis=-1).mean(axis=-1))


def why_stop(movements: Mapping[int, Movement], config: StopConfig) -> str | None:
    """Why to stop after these rounds, in a sentence; None to go on.

    Args:
        movements: by round, without rounds whose teacher was not a new one; the first is the measure of the others.
        config: the rules; with both, either is enough.
    """
    known = [(number, each) for number, each in sorted(movements.items()) if np.isfinite(each.moved_mm)]
    last = known[-config.num_rounds :]
    if not config.is_on or len(last) < config.num_rounds:
        return None
    numbers = ", ".join(f"{each.moved_mm:.2f}" for _, each in last)
    said = f"the median label moved {numbers} mm in the last {counted(len(last), 'round')}"
    first_number, first = known[0]
    if config.movement_share is not None and all(number > first_number for number, _ in last):
        limit_mm = config.movement_share * first.moved_mm
        if all(each.moved_mm < limit_mm for _, each in last):
            return f"{said}, under {config.movement_share:g} of the {first.moved_mm:.2f} mm of round {first_number}"
    if config.within_spread and all(each.moved_mm < each.spread_mm for _, each in last):
        return f"{said}, less than labels spread over their views ({last[-1][1].spread_mm:.2f} mm)"
    return None


def _joints(column: pl.Series) -> Float[np.ndarray, "rows 21 3"]:
    joints: np.ndarray = column.to_numpy().astype(np.float64).reshape(-1, 21, 3)
    return joints


def _spread_mm(covariance: pl.Series) -> Float[np.ndarray, " rows"]:
    """Mean over the joints of the root of the covariance's trace."""
    trace = covariance.to_numpy().reshape(-1, 21, 3, 3).astype(np.float64).trace(axis1=-2, axis2=-1)
    spread: np.ndarray = np.sqrt(trace.clip(0)).mean(axis=-1)
    return spread
