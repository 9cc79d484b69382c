"""steps/selection.py: which labels are accepted, what they weigh, and what the search looks at."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from frames_tables import with_column
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import ids, label_rows

from semihand.steps.rules import (
    ErrorLimit,
    InstabilityLimit,
    Thresholds,
    accept_share,
    instability,
    read_rule,
)
from semihand.steps.selection import (
    SelectConfig,
    divergence_weight,
    error_limit_mm,
    first_rule,
    score_rule,
    search_space,
    select_labels,
)
from semihand.tables import SELECTIONS, as_numpy, fixed_list_column
from semihand.tables.validation import checked_rows

LIMITS = Thresholds(max_stability=1.5, max_feasibility_mm=6.0, min_mask_agreement=0.6)
# One label within all limits, one on each of them, one beyond each, one beyond all.
STABILITY = np.float32([0.5, 1.5, 1.6, 0.1, 0.2, 9.0])
FEASIBILITY = np.float32([2.0, 6.0, 1.0, 6.1, 3.0, 9.0])
AGREEMENT = np.float32([0.9, 0.75, 0.8, 0.7, 0.5, 0.1])
REASONS = ["accepted", "accepted", "unstable", "infeasible", "masks disagree", "unstable"]


def labels(num: int = 6):
    """Labels with the numbers above; confidences differ from joint to joint and row to row."""
    table = label_rows(ids(num))
    for name, values in (("stability", STABILITY), ("feasibility_mm", FEASIBILITY), ("mask_agreement", AGREEMENT)):
        table = with_column(table, name, values[:num])
    confidence = np.random.default_rng(1).uniform(0.05, 1, (num, 21)).astype(np.float32)
    return with_column(table, "joint_confidence", fixed_list_column(confidence))


def errors(num: int, seed: int) -> pl.DataFrame:
    """Labels with known error: the less stable the worse, with noise."""
    rng = np.random.default_rng(seed)
    stability = rng.gamma(2.0, 1.0, num)
    return pl.DataFrame(
        {
            "stability": stability.astype(np.float32),
            "feasibility_mm": rng.gamma(3.0, 1.5, num).astype(np.float32),
            "mask_agreement": rng.uniform(0.3, 1.0, num).astype(np.float32),
            "error_mm": 5 + 3 * stability + rng.normal(0, 1, num),
        }
    )


def accepted(table: pl.DataFrame, rule) -> np.ndarray:
    return rule.accept(table.to_arrow()).chosen


def test_every_label_has_its_reason_and_only_the_accepted_weigh():
    selections = checked_rows(select_labels(labels(), LIMITS, SelectConfig()), SELECTIONS)
    assert selections["reason"].to_pylist() == REASONS
    chosen = [reason == "accepted" for reason in REASONS]
    assert selections["selected"].to_pylist() == chosen
    assert selections["weight"].to_pylist() == [float(each) for each in chosen]
    assert (as_numpy(selections["joint_weight"])[~np.array(chosen)] == 0).all()
    for name in ("frame_id", "round", "labeller"):
        assert selections[name].equals(labels()[name])


def test_a_joint_weighs_its_confidence_relative_to_its_hands_mean():
    weights = as_numpy(select_labels(labels(), LIMITS, SelectConfig())["joint_weight"])[:2]
    confidence = as_numpy(labels()["joint_confidence"])[:2]
    np.testing.assert_allclose(weights, confidence / confidence.mean(1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(weights.mean(1), 1, rtol=1e-5)
    plain = as_numpy(select_labels(labels(), LIMITS, SelectConfig(by_joint=False))["joint_weight"])
    np.testing.assert_array_equal(plain[:2], 1)


def test_a_labels_fate_depends_on_no_other_label():
    together = select_labels(labels(), LIMITS, SelectConfig())
    for row in range(6):
        assert select_labels(labels().slice(row, 1), LIMITS, SelectConfig()).equals(together.slice(row, 1))


def test_labels_whose_numbers_are_not_finite_are_never_accepted():
    broken = with_column(labels(), "stability", np.float32([np.nan, np.inf, 0.1, 0.1, 0.1, 0.1]))
    selections = select_labels(broken, LIMITS, SelectConfig())
    assert selections["selected"].to_pylist()[:2] == [False, False]
    assert selections["reason"].to_pylist()[:2] == ["unstable", "unstable"]


def test_no_labels_give_no_selections():
    assert select_labels(labels(0), LIMITS, SelectConfig()).num_rows == 0


@given(st.integers(0, 2**31), st.floats(0.1, 4), st.floats(0.5, 10), st.floats(0, 1))
@settings(max_examples=25)
def test_looser_thresholds_never_drop_a_label(seed, stability, feasibility, agreement):
    table = errors(30, seed)
    strict = Thresholds(max_stability=stability, max_feasibility_mm=feasibility, min_mask_agreement=agreement)
    loose = Thresholds(
        max_stability=stability * 1.5, max_feasibility_mm=feasibility * 1.5, min_mask_agreement=agreement / 2
    )
    assert (accepted(table, loose) >= accepted(table, strict)).all()


def test_the_score_is_the_share_within_the_limit_and_minus_the_excess_beyond():
    table = errors(40, 3)
    chosen = accepted(table, LIMITS)
    error = table["error_mm"].to_numpy()[chosen].mean()
    within = score_rule(table, LIMITS, limit_mm=error + 0.01)
    assert within == pytest.approx((chosen.mean(), error, chosen.mean()))
    beyond = score_rule(table, LIMITS, limit_mm=error - 2.0)
    assert beyond.value == pytest.approx(-2.0)
    nothing = score_rule(table, LIMITS.model_copy(update={"max_stability": 1e-9}), limit_mm=5.0)
    assert (nothing.share, nothing.value) == (0.0, 0.0)
    assert np.isnan(nothing.error_mm)


def test_any_admissible_choice_beats_none_and_none_beats_any_that_is_not():
    table = errors(40, 4)
    scores = [score_rule(table, LIMITS, limit_mm) for limit_mm in (1.0, 100.0)]
    none = score_rule(table, LIMITS.model_copy(update={"max_stability": 1e-9}), 1.0)
    assert scores[0].value < none.value < scores[1].value


def test_the_limit_is_the_users_or_a_share_of_the_mean_error():
    table = errors(50, 5)
    mean = float(table["error_mm"].mean())
    assert error_limit_mm(table, SelectConfig(max_label_error_share=0.5)) == pytest.approx(0.5 * mean)
    assert error_limit_mm(table, SelectConfig(max_label_error_mm=7.5)) == 7.5


@given(st.integers(0, 2**31))
@settings(max_examples=25)
def test_the_search_space_reaches_from_almost_nothing_to_everything(seed):
    table = errors(50, seed)
    bounds = search_space(table, LIMITS)
    assert set(bounds) == set(Thresholds.model_fields)
    assert all(0 <= low < high for low, high in bounds.values())
    loosest = Thresholds(
        max_stability=bounds["max_stability"][1],
        max_feasibility_mm=bounds["max_feasibility_mm"][1],
        min_mask_agreement=bounds["min_mask_agreement"][0],
    )
    assert accepted(table, loosest).all()
    for name, end in (("max_stability", 0), ("max_feasibility_mm", 0), ("min_mask_agreement", 1)):
        alone = accepted(table, loosest.model_copy(update={name: bounds[name][end]}))
        assert 0.02 <= alone.mean() <= 0.2  # a tenth, up to rounding to single precision


@given(st.integers(0, 2**31))
@settings(max_examples=25)
def test_every_point_of_the_search_space_is_a_valid_choice_of_thresholds(seed):
    bounds = search_space(errors(30, seed), LIMITS)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        Thresholds.model_validate({name: rng.uniform(*span) for name, span in bounds.items()})


def test_perfectly_stable_labels_still_leave_a_space_to_search():
    table = errors(10, 1).with_columns(
        stability=pl.lit(0, pl.Float32), feasibility_mm=pl.lit(0, pl.Float32), mask_agreement=pl.lit(1, pl.Float32)
    )
    bounds = search_space(table, LIMITS)
    assert all(0 < low < high for name, (low, high) in bounds.items() if name != "min_mask_agreement")
    assert accepted(table, Thresholds(**{name: low for name, (low, _) in bounds.items()})).all()


def test_the_papers_threshold_is_the_default():
    assert SelectConfig().default.max_stability == 1.5  # τ, SemiHand section 4.1


@given(st.floats(0, 200), st.floats(0.01, 2))
def test_a_label_weighs_the_less_the_farther_two_teachers_are_apart(divergence_mm, per_mm):
    weights = divergence_weight(np.array([0.0, divergence_mm, divergence_mm + 1]), per_mm)
    assert weights[0] == 1
    assert 1 >= weights[1] >= weights[2] >= 0
    np.testing.assert_allclose(weights[1], 2 * (1 - 1 / (1 + np.exp(-per_mm * divergence_mm))), atol=1e-12)


def test_the_weight_of_divergence_multiplies_what_the_gate_lets_through():
    divergence = np.float32([0.0, 10.0, 10.0, 0.0, 0.0, 30.0])
    table = with_column(labels(), "teacher_divergence_mm", divergence)
    config = SelectConfig(weighting="divergence")
    gated, weighted = (select_labels(table, LIMITS, each) for each in (SelectConfig(), config))
    assert gated["selected"].equals(weighted["selected"])
    np.testing.assert_allclose(as_numpy(weighted["weight"]), [1, 0.5, 0, 0, 0, 0], atol=1e-3)
    expected = as_numpy(gated["joint_weight"]) * as_numpy(weighted["weight"])[:, None]
    np.testing.assert_allclose(as_numpy(weighted["joint_weight"]), expected, rtol=1e-6)
    checked_rows(weighted, SELECTIONS)


def test_a_label_on_which_the_second_teacher_fails_weighs_nothing_by_divergence():
    table = with_column(labels(), "teacher_divergence_mm", [None, 0.0, 0.0, 0.0, 0.0, 0.0])
    weights = [as_numpy(select_labels(table, LIMITS, SelectConfig(weighting=each))["weight"])
               for each in ("gate", "divergence")]  # fmt: skip
    assert [weight[0] for weight in weights] == [1, 0]
    np.testing.assert_array_equal(weights[0][1:], weights[1][1:])


def test_labels_of_one_teacher_cannot_weigh_by_divergence():
    with pytest.raises(ValueError, match="none of 6 labels has a teacher_divergence_mm: label with --second_teacher"):
        select_labels(labels(), LIMITS, SelectConfig(weighting="divergence"))
    assert select_labels(labels(0), LIMITS, SelectConfig(weighting="divergence")).num_rows == 0


def test_the_search_over_the_expected_error_starts_from_the_label_error_and_reaches_everything():
    table = errors(50, 6).with_columns(predicted_error_mm=pl.col("error_mm") * 1.1)
    start = first_rule(table, SelectConfig(max_label_error_mm=9.0), "fused")
    assert start == ErrorLimit(max_predicted_error_mm=9.0)
    assert first_rule(table, SelectConfig(default=LIMITS), "isotonic") == LIMITS
    bounds = search_space(table, start)
    assert list(bounds) == ["max_predicted_error_mm"]
    strictest, loosest = (read_rule({"max_predicted_error_mm": end}) for end in bounds["max_predicted_error_mm"])
    assert score_rule(table, loosest, 1e9).share == 1
    assert score_rule(table, strictest, 1e9).share == pytest.approx(0.1)
    assert score_rule(table, start, 9.0).error_mm <= 9.0


def numbered(num: int, seed: int = 1):
    """Labels whose numbers are all different, and of which none says another's."""
    rng, table = np.random.default_rng(seed), label_rows(ids(num))
    for name in ("stability", "feasibility_mm", "predicted_error_mm"):
        table = with_column(table, name, rng.gamma(2.0, 2.0, num).astype(np.float32))
    return table


@given(st.integers(0, 2**31), st.floats(0.01, 1))
@settings(max_examples=25)
def test_the_best_share_of_labels_is_accepted_by_either_confidence(seed, share):
    table = numbered(30, seed)
    expected_mm = as_numpy(table["predicted_error_mm"])
    for kind, score in (("fused", expected_mm), ("isotonic", instability(table))):
        chosen = accept_share(table, share, kind).accept(table).chosen
        assert chosen.sum() == np.ceil(share * 30)
        assert chosen.all() or score[chosen].max() < score[~chosen].min()


def test_the_instability_is_both_terms_of_eq_8_in_one_sum():
    table = with_column(
        with_column(label_rows(ids(3)), "stability", [1.0, 0.0, 1.0]), "feasibility_mm", [0.0, 3.0, 6.0]
    )
    np.testing.assert_allclose(instability(table), [1.0, 1.0, 5.0])
    fates = InstabilityLimit(max_instability=1.0).accept(table)
    assert fates.reasons == ["accepted", "accepted", "unstable or infeasible"]


def test_labels_without_a_finite_number_are_in_no_share():
    broken = with_column(numbered(4), "predicted_error_mm", pa.array([None, 3.0, np.inf, 2.0], pa.float32()))
    assert accept_share(broken, 1.0, "fused").accept(broken).chosen.tolist() == [False, True, False, True]
    assert accept_share(numbered(0), 0.5, "isotonic") == InstabilityLimit(max_instability=0)


def test_the_last_share_is_that_of_all_later_rounds():
    config = SelectConfig(accept_shares=(0.45, 0.6))
    assert [config.accept_share(number) for number in (1, 2, 3)] == [0.45, 0.6, 0.6]
    assert SelectConfig().accept_share(1) is None


@pytest.mark.parametrize("more", [{"by_cluster": True}, {"guarantee": {}}])
def test_only_one_thing_says_which_labels_are_accepted(more):
    with pytest.raises(ValueError, match="accept_shares, by_cluster and guarantee"):
        SelectConfig(accept_shares=(0.5,), **more)


@pytest.mark.parametrize(
    "rule", [LIMITS, ErrorLimit(max_predicted_error_mm=3.5), InstabilityLimit(max_instability=2.5)], ids=repr
)
def test_a_rule_is_read_as_it_was_written(rule):
    assert read_rule(rule.model_dump()) == rule
