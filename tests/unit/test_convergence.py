"""steps/convergence.py: how far labels moved, and when that ends a campaign."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_hands import random_hands_mm
from semihand.rounds.config import RoundConfig
from semihand.steps.convergence import Movement, StopConfig, moved_mm, movement, why_stop

NUM = 9


def table(joints_mm: np.ndarray, spread_mm: float = 1.0, moved: list[float | None] | None = None) -> pl.DataFrame:
    num = len(joints_mm)
    covariance = np.tile(np.eye(3).ravel() * spread_mm**2 / 3, (num, 21, 1)).astype(np.float32)
    return pl.DataFrame(
        {
            "frame_id": [f"f{row}" for row in range(num)],
            "joints_mm": pl.Series(joints_mm.astype(np.float32), dtype=pl.Array(pl.Float32, (21, 3))),
            "joint_covariance": pl.Series(covariance, dtype=pl.Array(pl.Float32, (21, 9))),
            "moved_since_last_round_mm": pl.Series(moved or [None] * num, dtype=pl.Float32),
        }
    )


def moves(*distances: float, spread_mm: float = 0.0) -> dict[int, Movement]:
    return {number: Movement(distance, spread_mm) for number, distance in enumerate(distances, 2)}


def test_a_hand_that_moves_as_a_whole_does_not_and_one_joint_counts_a_twenty_first():
    before = random_hands_mm(NUM, 1)
    after = before + 30.0
    after[:, 4] += [0, 0, 21.0]
    found = moved_mm(table(after), table(before))
    np.testing.assert_allclose(found, 1.0, atol=1e-4)


def test_only_frames_of_both_rounds_count_whatever_their_order():
    before, after = random_hands_mm(NUM, 2), random_hands_mm(NUM, 3)
    ours, theirs = table(after), table(before)
    everything = moved_mm(ours, theirs).sort()
    assert moved_mm(ours[list(range(NUM))[::-1]], theirs).sort().to_list() == pytest.approx(everything.to_list())
    assert len(moved_mm(ours, theirs[:4])) == 4


def test_a_label_that_says_how_far_it_moved_is_believed():
    labels = table(random_hands_mm(3, 4), spread_mm=2.5, moved=[1.0, None, 3.0])
    assert movement(labels, None) == pytest.approx((2.0, 2.5), rel=1e-5)
    unmoved = movement(table(random_hands_mm(3, 4)), None)
    assert np.isnan(unmoved.moved_mm)
    gone = labels.with_columns(joint_covariance=pl.lit(None, dtype=pl.Array(pl.Float32, (21, 9))))
    assert np.isnan(movement(gone, None).spread_mm)


def test_a_campaign_stops_when_labels_moved_a_small_share_of_what_they_did_first():
    config = StopConfig(movement_share=0.5)
    assert why_stop(moves(4.0, 2.5), config) is None
    assert "under 0.5 of the 4.00 mm of round 2" in why_stop(moves(4.0, 2.5, 1.9), config)
    assert why_stop(moves(4.0), StopConfig(movement_share=2.0)) is None  # the first is its own measure
    twice = StopConfig(movement_share=0.5, num_rounds=2)
    assert why_stop(moves(4.0, 1.0), twice) is None
    assert why_stop(moves(4.0, 1.0, 3.0, 1.0), twice) is None
    assert "1.50, 1.00 mm in the last 2 rounds" in why_stop(moves(4.0, 1.5, 1.0), twice)


def test_a_campaign_stops_when_labels_moved_less_than_they_spread():
    config = StopConfig(within_spread=True)
    assert why_stop(moves(2.0, spread_mm=1.9), config) is None
    assert "spread over their views (2.10 mm)" in why_stop(moves(2.0, spread_mm=2.1), config)
    assert why_stop({2: Movement(2.0, float("nan"))}, config) is None


@given(st.lists(st.floats(0, 100) | st.just(float("nan")), max_size=6))
def test_by_default_no_campaign_stops_early(distances):
    assert why_stop(moves(*distances, spread_mm=1e6), RoundConfig().stop) is None


def test_rounds_in_which_nothing_is_known_to_have_moved_do_not_count():
    known = moves(float("nan"), 4.0, float("nan"), 1.0)
    assert "of round 3" in why_stop(known, StopConfig(movement_share=0.5))
    assert why_stop({}, StopConfig(movement_share=0.5)) is None
