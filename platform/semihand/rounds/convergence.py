"""How far a campaign's labels moved from round to round, read from its LABELS table, and whether it ends by that."""

import math

import polars as pl

from semihand.rounds.campaign import Campaign
from semihand.steps.convergence import Movement, movement, why_stop
from semihand.steps.label import LABELLER
from semihand.tables import scan


def label_movements(campaign: Campaign, last_round: int) -> dict[int, Movement]:
    """The movement of every round that another teacher labelled than the round before.

    A teacher that was not replaced says what it said: such a round says nothing about convergence. Where labels
    do not say themselves how far they moved, their joints are compared.
    """
    rounds = range(2, last_round + 1)
    return {number: _movement(campaign, number) for number in rounds if _by_another_teacher(campaign, number)}


def movement_figures(campaign: Campaign, number: int) -> dict[str, float]:
    """How far a round's median label moved, and its spread, mm; nothing of a first round or of the same teacher."""
    if number == 1 or not _by_another_teacher(campaign, number):
        return {}
    moved = _movement(campaign, number)
    figures = {"median_moved_mm": moved.moved_mm, "median_spread_mm": moved.spread_mm}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def reason_to_end(campaign: Campaign, number: int) -> str | None:
    """Why a campaign ends early after this round; None while it goes on, or where it has gone on already."""
    config = campaign.config
    has_gone_on = campaign.ledger.finished(number + 1, "subjects") is not None
    if number >= config.rounds or has_gone_on or not config.stop.is_on:
        return None
    reason = why_stop(label_movements(campaign, number), config.stop)
    return None if reason is None else f"stopped after round {number} of {config.rounds}: {reason}"


def _movement(campaign: Campaign, number: int) -> Movement:
    labels = _labels(campaign, number)
    columns = ["frame_id", "moved_since_last_round_mm", "joint_covariance"]
    known = labels.select(pl.col("moved_since_last_round_mm").is_not_null().any()).collect().item()
    if known:
        return movement(labels.select(columns).collect(), None)
    before = _labels(campaign, number - 1).select("frame_id", "joints_mm").collect()
    return movement(labels.select(*columns, "joints_mm").collect(), before)


def _by_another_teacher(campaign: Campaign, number: int) -> bool:
    return _models(campaign, number) != _models(campaign, number - 1)


def _models(campaign: Campaign, number: int) -> list[str]:
    return _labels(campaign, number).select(pl.col("model").unique().sort()).collect()["model"].to_list()


def _labels(campaign: Campaign, number: int) -> pl.LazyFrame:
    return scan(campaign.store, "labels", round=number).filter(pl.col("labeller") == LABELLER)
