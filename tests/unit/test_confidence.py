"""steps/components.py, confidence.py and confidence_report.py: what a label says of itself, in millimetres."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from made_errors import made_errors
from semihand.steps.calibrate import CalibrateConfig, Calibration, fit_calibration
from semihand.steps.components import DIRECTIONS, JOINT_SPREAD, ErrorModel, components_of
from semihand.steps.confidence import FusedConfidence, error_components, fit_confidence, read_confidence
from semihand.steps.confidence_report import binned_reliability, confidence_report, ranking, reliability_gap_mm
from semihand.steps.expected import fit_expected, held_out_errors_mm, rows_to_judge
from semihand.steps.guarantee import GuaranteeConfig, split_recordings
from semihand.steps.recordings import folds

NAMES = ("stability", "feasibility_mm", "mask_agreement", "teacher_divergence_mm", "spread")


@pytest.fixture(scope="module")
def errors():
    return made_errors(300, 1)


@pytest.fixture(scope="module")
def unseen():
    return made_errors(3000, 2)


@pytest.fixture(scope="module")
def fused(errors):
    return fit_confidence(errors, "fused")


def row(**values):
    return {name: np.array([value], dtype=np.float64) for name, value in values.items()}


numbers = st.fixed_dictionaries({name: st.floats(0, 1 if name == "mask_agreement" else 50) for name in NAMES})


@given(numbers, st.sampled_from(NAMES), st.floats(0, 50))
@settings(max_examples=200)
def test_no_component_that_gets_worse_lowers_the_expected_error(fused, values, name, by):
    worse = values | {name: values[name] + DIRECTIONS[name] * by}
    before, after = (fused.predict(row(**each)).error_mm[0] for each in (values, worse))
    assert after >= before * (1 - 1e-12) > 0


@given(st.integers(0, 20), st.floats(0.01, 5), st.floats(0.01, 5), st.floats(0, 5))
@settings(max_examples=50)
def test_a_joint_that_spreads_more_is_expected_no_better_nor_in_a_worse_frame(fused, joint, spread, by, worse):
    values = row(**dict.fromkeys(NAMES, 1.0)) | {JOINT_SPREAD: np.full((1, 21), 1.0)}
    values[JOINT_SPREAD][0, joint] = spread
    more = {name: column.copy() for name, column in values.items()}
    more[JOINT_SPREAD][0, joint] += by
    more["stability"] += worse
    before, after = (fused.predict(each).joint_error_mm[0] for each in (values, more))
    assert (after >= before * (1 - 1e-12)).all()


def test_the_fusion_orders_unseen_labels_better_than_any_component_and_is_honest_on_average(fused, unseen):
    components, error_mm = error_components(unseen), unseen["error_mm"].to_numpy()
    predicted = fused.predict(components)
    alone = [abs(spearmanr(components[name], error_mm).statistic) for name in NAMES]
    assert spearmanr(predicted.error_mm, error_mm).statistic > max(alone) + 0.05
    assert predicted.error_mm.mean() == pytest.approx(error_mm.mean(), rel=0.08)
    stability = fit_confidence(unseen[:300], "isotonic").predict(components).error_mm
    assert ranking(error_mm, predicted.error_mm).aurc_mm < ranking(error_mm, stability).aurc_mm - 0.3
    true_mm = unseen["joint_error_mm"].to_numpy().astype(np.float64)
    assert predicted.joint_error_mm.mean() == pytest.approx(true_mm.mean(), rel=0.08)
    by_joint = spearmanr(predicted.joint_error_mm.ravel(), true_mm.ravel()).statistic
    assert by_joint > spearmanr(components[JOINT_SPREAD].ravel(), true_mm.ravel()).statistic


def test_a_stored_fit_predicts_what_it_did_before_to_the_bit_and_holds_numbers_only(fused, unseen):
    text = fused.model_dump_json()
    again = read_confidence(text)
    assert isinstance(again, FusedConfidence)
    assert again.model_dump() == fused.model_dump()
    ours, theirs = (model.predict(error_components(unseen)) for model in (fused, again))
    np.testing.assert_array_equal(ours.error_mm, theirs.error_mm)
    np.testing.assert_array_equal(ours.joint_error_mm, theirs.joint_error_mm)
    isotonic = fit_calibration(unseen)
    assert read_confidence(isotonic.model_dump_json()) == isotonic


def test_neither_the_order_of_the_calibration_rows_nor_a_labels_neighbours_matter(errors, fused, unseen):
    shuffled = errors[np.random.default_rng(1).permutation(len(errors))]
    assert fit_confidence(shuffled, "fused").model_dump() == fused.model_dump()
    together = fused.predict(error_components(unseen[:40]))
    alone = [fused.predict(error_components(unseen[row])) for row in range(40)]
    np.testing.assert_array_equal(together.error_mm, [each.error_mm[0] for each in alone])
    np.testing.assert_array_equal(together.joint_error_mm, [each.joint_error_mm[0] for each in alone])


def test_only_components_that_every_row_has_are_fitted_to(errors):
    assert list(fit_confidence(errors, "fused").components) == list(NAMES)
    gap = pl.when(pl.col("frame_id") == errors["frame_id"][7]).then(None).otherwise(pl.col("feasibility_mm"))
    some = fit_confidence(errors.with_columns(gap.alias("feasibility_mm")), "fused")
    assert "feasibility_mm" not in some.components
    plain = fit_confidence(errors.with_columns(pl.lit(None).alias("joint_confidence")), "fused")
    assert plain.predict(error_components(errors)).joint_error_mm is None


def test_a_number_that_a_label_lacks_counts_as_the_worst_and_a_component_that_all_lack_is_refused(fused):
    values = dict.fromkeys(NAMES, 1.0) | {"mask_agreement": 0.9}
    worst = fused.predict(row(**values | {"teacher_divergence_mm": 1e6})).error_mm
    np.testing.assert_array_equal(fused.predict(row(**values | {"teacher_divergence_mm": np.nan})).error_mm, worst)
    assert worst > fused.predict(row(**values)).error_mm
    del values["spread"]
    with pytest.raises(ValueError, match=r"no spread.*calibrate again"):
        fused.predict(row(**values))


def test_both_kinds_answer_at_the_same_door_and_isotonic_is_the_default(errors, fused):
    isotonic = fit_confidence(errors, CalibrateConfig().confidence)
    assert isinstance(isotonic, Calibration)
    assert isinstance(isotonic, ErrorModel)
    assert isinstance(fused, ErrorModel)
    components = error_components(errors)
    predicted = isotonic.predict(components)
    np.testing.assert_array_equal(predicted.error_mm, isotonic.error_mm(components["stability"]))
    assert predicted.joint_error_mm is None
    with pytest.raises(ValueError, match="has 19 labelled frames"):
        fit_confidence(errors[:19], "fused")


def test_the_spread_comes_back_from_the_confidence():
    spread = np.random.default_rng(3).uniform(0.05, 20, (5, 21))
    found = components_of(
        {"joint_confidence": 1 / (1 + spread**2), "stability": np.arange(5.0), "mask_agreement": None}
    )
    np.testing.assert_allclose(found[JOINT_SPREAD], spread, rtol=1e-3)
    np.testing.assert_allclose(found["spread"], spread.mean(1), rtol=1e-3)
    assert set(found) == {JOINT_SPREAD, "spread", "stability"}


def test_recordings_stay_whole_in_the_folds_where_there_are_enough():
    table = made_errors(120, 4, per_sequence=10)
    part_of = pl.Series(folds(table))
    assert table.with_columns(part=part_of).group_by("sequence_id").agg(pl.col("part").n_unique())["part"].max() == 1
    assert sorted(part_of.unique()) == [0, 1, 2, 3, 4]
    assert len(set(folds(made_errors(120, 4, per_sequence=60)))) == 5


def test_the_report_ranks_by_fits_that_have_not_seen_the_row(errors):
    report = confidence_report(fit_expected(errors, "fused", None)[1])
    alone = [report[f"spearman_{name}"] for name in NAMES]
    assert report["spearman_predicted_error_mm"] > max(alone)
    assert report["aurc_mm_predicted_error_mm"] < min(report[f"aurc_mm_{name}"] for name in NAMES)
    few = errors[:100]
    changed = few["error_mm"].to_numpy().copy()
    changed[0] *= 3
    ours, theirs = (held_out_errors_mm(few.with_columns(error_mm=values), "fused")
                    for values in (few["error_mm"].to_numpy(), changed))  # fmt: skip
    same = folds(few) == folds(few)[0]
    np.testing.assert_array_equal(ours[same], theirs[same])
    assert (ours[~same] != theirs[~same]).any()


def test_reliability_bins_hold_every_label_once_and_an_honest_score_has_no_gap():
    rng = np.random.default_rng(5)
    error_mm = rng.gamma(2, 4, 103)
    honest = binned_reliability(error_mm, error_mm)
    assert honest["num_labels"].sum() == 103
    assert reliability_gap_mm(honest) == 0
    assert reliability_gap_mm(binned_reliability(error_mm + 2, error_mm)) == pytest.approx(2)
    assert ranking(error_mm, 3 * error_mm).spearman == pytest.approx(1)
    assert np.isnan(ranking(error_mm, np.ones(103)).spearman)


@pytest.mark.parametrize("kind", ["isotonic", "fused"])
def test_a_set_that_is_just_large_enough_is_judged_by_fits_to_its_parts(kind):
    least = made_errors(20, 7)
    assert np.isfinite(held_out_errors_mm(least, kind)).all()
    clips = pl.Series(["long"] * 100 + [name for name in "abcd" for _ in range(4)])
    uneven = made_errors(116, 7).with_columns(sequence_id=clips)
    model, expected = fit_expected(uneven, kind, None)
    assert len(expected) == 116
    assert np.isfinite(expected["predicted_error_mm"].to_numpy()).all()
    assert model.model_dump() == fit_confidence(uneven, kind).model_dump()


def test_a_component_that_one_recording_lacks_is_in_no_fit_to_the_others():
    table = made_errors(60, 8, per_sequence=12)
    lacking = pl.when(pl.col("sequence_id") == "recording-2").then(None).otherwise(pl.col("teacher_divergence_mm"))
    gap = table.with_columns(teacher_divergence_mm=lacking)
    without = table.with_columns(teacher_divergence_mm=pl.lit(None, pl.Float32))
    np.testing.assert_array_equal(held_out_errors_mm(gap, "fused"), held_out_errors_mm(without, "fused"))


def test_components_that_never_change_say_the_same_of_every_label():
    table = made_errors(30, 9).select("frame_id", "sequence_id", "error_mm", "joint_error_mm")
    model = fit_confidence(table.with_columns(stability=pl.lit(1.0, pl.Float32)), "fused")
    assert model.predict(row(stability=1.0)).error_mm == pytest.approx(table["error_mm"].mean(), rel=0.1)


def test_what_a_stored_fit_holds_of_every_row_is_expected_by_other_rows(fused, errors):
    assert len(fused.held_out_mm) == len(errors)
    in_sample = fused.predict(error_components(errors.sort("frame_id"))).error_mm
    true_mm = errors.sort("frame_id")["error_mm"].to_numpy()
    assert spearmanr(fused.held_out_mm, true_mm).statistic < spearmanr(in_sample, true_mm).statistic - 0.02


def test_with_a_guarantee_checked_labels_are_judged_by_the_model_in_use_and_no_others():
    table, config = made_errors(400, 10, per_sequence=5).sort("frame_id"), GuaranteeConfig()
    fitted, checked = split_recordings(table, config)
    model, expected = fit_expected(table, "fused", config)
    assert model.model_dump() == fit_confidence(fitted, "fused").model_dump()
    judged = rows_to_judge(expected, config)
    assert judged["frame_id"].to_list() == checked["frame_id"].to_list()
    np.testing.assert_array_equal(judged["predicted_error_mm"], model.predict(error_components(checked)).error_mm)
    others = expected.filter(~pl.col("frame_id").is_in(checked["frame_id"].to_list()))
    np.testing.assert_array_equal(others["predicted_error_mm"], held_out_errors_mm(fitted, "fused"))
    assert rows_to_judge(expected, None) is expected


def test_how_far_a_label_moved_tells_of_its_error_where_the_calibration_set_was_labelled_before():
    table = made_errors(200, 11)
    moved = table.with_columns(moved_since_last_round_mm=pl.col("error_mm").cast(pl.Float32))
    model = fit_confidence(moved, "fused")
    assert "moved_since_last_round_mm" in model.components
    predicted = model.predict(error_components(moved)).error_mm
    assert spearmanr(predicted, moved["error_mm"]).statistic > 0.95
    first = pl.col("frame_id") == moved["frame_id"][0]
    known = pl.when(first).then(None).otherwise(pl.col("moved_since_last_round_mm"))
    gap = moved.with_columns(moved_since_last_round_mm=known)
    assert model.predict(error_components(gap)).error_mm[0] > predicted[0]  # as if it had moved farthest
