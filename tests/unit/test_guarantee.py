"""steps/guarantee.py: a limit is proven, or nothing is promised."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from made_errors import made_errors
from semihand.frames.errors import InputError
from semihand.rounds.choosing import proven_limit
from semihand.rounds.config import RoundConfig
from semihand.rounds.inputs import check_inputs
from semihand.steps.expected import fit_expected
from semihand.steps.guarantee import (
    GuaranteeConfig,
    bad_recordings,
    limits,
    prove_limit,
    recordings_to_fit,
    split_recordings,
    upper_bound,
)
from semihand.steps.rules import ErrorLimit, read_rule
from semihand.steps.selection import SelectConfig

CONFIG = GuaranteeConfig()
NUM_DRAWS, NUM_DRAWN = 200, 60


def recordings(num: int, seed: int, shift: float = 0.0, per_recording: int = 20) -> pl.DataFrame:
    """Recordings whose frames are hard together; the expected error sees most of it, not all.

    Args:
        num: recordings.
        seed: of everything.
        shift: of the true errors' logarithm in a seventh of the recordings, which the expected error does not see.
        per_recording: frames of each.
    """
    rng = np.random.default_rng(seed)
    hard = 0.7 * rng.normal(size=(num, 1)) + 0.7 * rng.normal(size=(num, per_recording))
    unseen = 0.15 * rng.normal(size=(num, 1)) + 0.1 * rng.normal(size=(num, per_recording))
    unseen = unseen + shift * (rng.random((num, 1)) < 1 / 7)
    guessed = 0.12 * rng.normal(size=(num, 1)) + 0.1 * rng.normal(size=(num, per_recording))
    error_mm, expected_mm = 9 * np.exp(0.45 * hard + unseen), 9 * np.exp(0.45 * hard + guessed)
    return pl.DataFrame(
        {
            "frame_id": [f"frame-{row}" for row in range(num * per_recording)],
            "sequence_id": [f"recording-{row // per_recording}" for row in range(num * per_recording)],
            "error_mm": error_mm.ravel(),
            "predicted_error_mm": expected_mm.ravel(),
        }
    )


def drawn(table: pl.DataFrame, num: int, seed: int) -> pl.DataFrame:
    rows = np.random.default_rng(seed).choice(table["sequence_id"].n_unique(), num, replace=False)
    return table.filter(pl.col("sequence_id").is_in([f"recording-{row}" for row in rows]))


def promises(shift: float) -> tuple[int, int]:
    """Of so many draws, how many take a fifth of the labels and how many break the promise on other recordings."""
    known, others = recordings(1500, 1, shift), recordings(4000, 2, shift)
    bad_share = {}
    useful = broken = 0
    for seed in range(NUM_DRAWS):
        try:
            proof = prove_limit(*split_recordings(drawn(known, NUM_DRAWN, seed), CONFIG), CONFIG)
        except ValueError:
            continue
        limit = round(proof.max_predicted_error_mm, 6)
        if limit not in bad_share:
            bad_share[limit] = bad_recordings(others, limit, CONFIG)["bad"].mean()
        useful += (others["predicted_error_mm"] <= limit).mean() >= 0.2
        broken += bad_share[limit] > CONFIG.alpha
    return useful, broken


def test_the_promise_is_useful_and_broken_no_more_often_than_it_says():
    useful, broken = promises(shift=0.0)
    assert useful >= 0.9 * NUM_DRAWS
    assert broken <= 18


def test_where_no_limit_is_safe_hardly_a_draw_is_promised_anything():
    """A seventh of all recordings fail wholly and unseen, so that every promise made is a broken one."""
    useful, broken = promises(shift=4.0)
    assert broken <= 18
    assert useful <= broken


@given(st.integers(0, 30), st.integers(1, 60), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_bound_is_where_so_few_bad_ones_are_just_so_improbable(num_bad, num, delta):
    bound = upper_bound(num_bad, num, delta)
    if num_bad >= num:
        assert bound == 1.0
        return
    assert binom.cdf(num_bad, num, bound) == pytest.approx(delta, rel=1e-6)
    assert num_bad / num < bound


@given(st.floats(0.01, 0.5), st.floats(0.005, 0.4))
@settings(max_examples=60)
def test_the_least_recordings_prove_with_none_bad_and_one_fewer_does_not(alpha, delta):
    config = GuaranteeConfig(alpha=alpha, delta=delta)
    least = config.least_recordings
    assert upper_bound(0, least, delta) <= alpha + 1e-12
    assert least == 1 or upper_bound(0, least - 1, delta) > alpha - 1e-12


def test_59_and_299_recordings_prove_five_and_one_per_cent():
    assert GuaranteeConfig(alpha=0.05).least_recordings == 59
    assert GuaranteeConfig(alpha=0.01).least_recordings == 299
    assert CONFIG.least_recordings == 29


def test_a_recording_is_bad_by_its_selected_labels_alone():
    table = pl.DataFrame(
        {
            "frame_id": [f"f{row}" for row in range(8)],
            "sequence_id": ["a"] * 4 + ["b"] * 2 + [None] * 2,
            "predicted_error_mm": [1.0, 2, 3, 9, 1, 9, 2, 9],
            "error_mm": [5.0, 16, 5, 99, 5, 99, 16, 99],
        }
    )
    found = dict(bad_recordings(table, 5.0, CONFIG).iter_rows())
    assert found == {"a": True, "b": False, "f6": True}  # a third of a's; a frame of no recording is one
    kinder = GuaranteeConfig(share_bad=0.4)
    assert dict(bad_recordings(table, 5.0, kinder).iter_rows()) == {"a": False, "b": False, "f6": True}


def test_limits_come_from_the_fitted_rows_alone_and_start_where_enough_recordings_are():
    fitted, checked = split_recordings(drawn(recordings(300, 3), 120, 1), CONFIG)
    tried = limits(fitted, 102, CONFIG)
    assert (np.diff(tried) > 0).all()
    assert 10 < len(tried) <= CONFIG.num_limits
    assert tried[-1] == fitted["predicted_error_mm"].max()
    assert CONFIG.least_recordings <= len(bad_recordings(checked, tried[0], CONFIG)) < 102
    proof = prove_limit(fitted, checked, CONFIG)
    assert proof.max_predicted_error_mm in tried
    next_limit = tried[list(tried).index(proof.max_predicted_error_mm) + 1]
    found = bad_recordings(checked, next_limit, CONFIG)["bad"]
    assert upper_bound(int(found.sum()), len(found), CONFIG.delta) > CONFIG.alpha >= proof.upper_bound


def test_recordings_are_split_by_name_and_none_is_in_both():
    table = drawn(recordings(300, 4), 80, 2)
    fitted, checked = split_recordings(table, CONFIG)
    ours, theirs = set(fitted["sequence_id"]), set(checked["sequence_id"])
    assert not ours & theirs
    assert (len(ours), len(theirs)) == (12, 68)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    assert set(split_recordings(shuffled, CONFIG)[0]["sequence_id"]) == ours


def test_too_few_recordings_are_refused_with_how_many_it_takes():
    names = {f"recording-{row}" for row in range(34)}
    with pytest.raises(ValueError, match=r"34 recordings, of which 28 are left .* takes 29 .* at least 35 "):
        recordings_to_fit(names, CONFIG)
    more = names | {"one more"}
    assert len(more - recordings_to_fit(more, CONFIG)) == 29


def test_a_limit_that_is_not_proven_is_not_given():
    table = drawn(recordings(200, 5), 80, 1).with_columns(error_mm=pl.lit(40.0))
    with pytest.raises(ValueError, match=r"(\d+) of \1 checked recordings are bad.*over alpha 10%"):
        prove_limit(*split_recordings(table, CONFIG), CONFIG)


def test_the_search_of_a_round_leaves_the_limit_that_its_own_model_proved():
    kinder = GuaranteeConfig(error_mm=30.0)
    _, errors = fit_expected(made_errors(1200, 6, per_sequence=10), "fused", kinder)
    done = proven_limit(errors, kinder)
    rule = read_rule(done.thresholds)
    assert isinstance(rule, ErrorLimit)
    assert done.metrics["guarantee_upper_bound"] <= kinder.alpha
    assert 0.2 < done.metrics["guarantee_share"] <= 1
    with pytest.raises(InputError, match=r"--select\.guarantee: no limit on the expected error is proven"):
        proven_limit(errors.with_columns(error_mm=pl.lit(99.0)), kinder)


def test_a_guarantee_without_checked_target_frames_is_refused_before_anything_starts(tmp_path):
    config = RoundConfig(campaign=tmp_path / "campaign", select=SelectConfig(guarantee=CONFIG))
    with pytest.raises(InputError, match=r"augmented source frames.*--calibration, or leave the guarantee out"):
        check_inputs(config, begun=True)


def test_a_guarantee_from_too_few_checked_recordings_is_refused_before_anything_starts(tmp_path, source_frames):
    pq.write_table(source_frames, tmp_path / "checked.parquet")
    config = RoundConfig(
        campaign=tmp_path / "campaign", calibration=tmp_path / "checked.parquet",
        select=SelectConfig(guarantee=CONFIG),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"checked\.parquet: .* has 8 recordings, .* at least 35 "):
        check_inputs(config, begun=True)
