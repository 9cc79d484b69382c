"""How far a campaign's labels moved from round to round, read from its LABELS table."""

import polars as pl

from semihand.rounds.campaign import Campaign
from semihand.steps.convergence import Movement, movement
from semihand.steps.label import LABELLER
from semihand.tables import scan


def label_movements(campaign: Campaign, last_round: int) -> dict[int, Movement]:
    """The movement of every round from the second on; from the labels' joints where they do not say it themselves."""
    return {number: _movement(campaign, number) for number in range(2, last_round + 1)}


def _movement(campaign: Campaign, number: int) -> Movement:
    labels = _labels(campaign, number)
    columns = ["frame_id", "moved_since_last_round_mm", "joint_covariance"]
    known = labels.select(pl.col("moved_since_last_round_mm").is_not_null().any()).collect().item()
    if known:
        return movement(labels.select(columns).collect(), None)
    before = _labels(campaign, number - 1).select("frame_id", "joints_mm").collect()
    return movement(labels.select(*columns, "joints_mm").collect(), before)


def _labels(campaign: Campaign, number: int) -> pl.LazyFrame:
    mine = (pl.col("round") == number) & (pl.col("labeller") == LABELLER)
    return scan(campaign.store, "labels").filter(mine)
