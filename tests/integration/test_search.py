"""The search over thresholds: better than the recipe's defaults, also on labels that it has not seen."""

import hashlib
import os
from functools import partial

import numpy as np
import polars as pl
import pytest
import ray
from ray import tune

from semihand.frames.errors import InputError
from semihand.stages.search import search_rule
from semihand.steps.recordings import halves
from semihand.steps.rules import ErrorLimit, Thresholds
from semihand.steps.selection import SelectConfig, error_limit_mm, first_rule, score_rule
from semihand.workforce import stall_limit, working_alone

NUM_LABELS = 600


@pytest.fixture(scope="module")
def errors():
    """Labels of a mediocre teacher: the less stable, the worse, with noise; the other two terms tell a little."""
    random = np.random.default_rng(4)
    stability = random.lognormal(1.2, 0.7, NUM_LABELS)
    error_mm = 6 + 2.2 * stability + random.normal(0, 2.0, NUM_LABELS).clip(-5)
    feasibility_mm = 2 + 0.15 * error_mm + random.gamma(2.0, 1.0, NUM_LABELS)
    agreement = (0.95 - 0.01 * error_mm + random.normal(0, 0.05, NUM_LABELS)).clip(0, 1)
    ids = [hashlib.sha256(str(row).encode()).hexdigest()[:32] for row in range(NUM_LABELS)]
    return pl.DataFrame(
        {
            "frame_id": ids,
            "subject_id": [f"s{row % 7}" for row in range(NUM_LABELS)],
            "sequence_id": pl.Series([None] * NUM_LABELS, dtype=pl.String),
            "stability": stability.astype(np.float32),
            "feasibility_mm": feasibility_mm.astype(np.float32),
            "mask_agreement": agreement.astype(np.float32),
            "confidence": (1 / (1 + stability)).astype(np.float32),
            "error_mm": error_mm,
            "raw_error_mm": error_mm + 1,
        }
    )


def test_the_thresholds_found_beat_the_defaults_on_labels_held_out(errors, local_ray, tmp_path):
    ours, held_out = (errors[rows] for rows in halves(errors))
    assert min(len(ours), len(held_out)) > NUM_LABELS / 3
    config = SelectConfig(num_trials=24)
    chosen, trials = search_rule(ours, config.default, config, tmp_path / "search")
    assert len(trials) == config.num_trials
    default = trials.filter(pl.all_horizontal(pl.col(k) == v for k, v in config.default.model_dump().items()))
    assert len(default) == 1
    score = score_rule(ours, chosen, error_limit_mm(ours, config))
    assert score.value == trials["value"].max() > default["value"].item()

    limit_mm = error_limit_mm(ours, config)
    found, before = (score_rule(held_out, each, limit_mm) for each in (chosen, config.default))
    assert found.error_mm <= 1.05 * limit_mm
    assert found.share > before.share
    assert score_rule(held_out, Thresholds(max_stability=1e3, max_feasibility_mm=1e3, min_mask_agreement=0),
                            limit_mm).error_mm > found.error_mm  # fmt: skip


def test_the_search_is_the_same_by_tune_as_in_one_process_and_again(errors, local_ray, tmp_path):
    config = SelectConfig(num_trials=24)
    by_tune = [search_rule(errors, config.default, config, tmp_path / name) for name in ("first", "again")]
    with working_alone():
        alone = search_rule(errors, config.default, config, tmp_path)
    assert by_tune[0][0] == by_tune[1][0] == alone[0]
    for _, trials in by_tune:
        assert trials.select(sorted(trials.columns)).equals(alone[1].select(sorted(trials.columns)))


def test_a_default_beyond_the_calibration_set_is_tried_at_its_edge(errors, local_ray, tmp_path):
    config = SelectConfig(num_trials=1, default=Thresholds(max_stability=1e9))
    chosen, trials = search_rule(errors, config.default, config, tmp_path / "search")
    score = score_rule(errors, chosen, error_limit_mm(errors, config))
    assert len(trials) == 1
    assert errors["stability"].max() <= chosen.max_stability < errors["stability"].max() + 1
    assert 0 < score.share < 1


def test_a_limit_on_the_expected_error_is_searched_too(errors, local_ray, tmp_path):
    told = errors.with_columns(predicted_error_mm=6 + 2.2 * pl.col("stability").cast(pl.Float64))
    config = SelectConfig(num_trials=12)
    start = first_rule(told, config, "fused")
    chosen, trials = search_rule(told, start, config, tmp_path / "search")
    score = score_rule(told, chosen, error_limit_mm(told, config))
    assert isinstance(chosen, ErrorLimit)
    assert start.max_predicted_error_mm in trials["max_predicted_error_mm"]
    assert score.error_mm <= error_limit_mm(told, config)
    assert score.share > score_rule(told, start, error_limit_mm(told, config)).share


def test_trials_that_no_cpu_is_left_for_are_given_up_and_the_next_search_finds_its_rule(errors, local_ray, tmp_path):
    config = SelectConfig(num_trials=2)

    @ray.remote(num_cpus=4)
    class Everything:
        pass

    taken = Everything.remote()
    ray.get(taken.__ray_ready__.remote())
    with (
        stall_limit(4.0),
        pytest.raises(InputError, match=r"no trials of limits came for 4 s.*0 of 4 CPUs are free.*stall_limit_s"),
    ):
        search_rule(errors, config.default, config, tmp_path / "search")
    ray.kill(taken)
    _, trials = search_rule(errors, config.default, config, tmp_path / "search")
    assert len(trials) == config.num_trials


def test_a_trial_that_is_given_up_ends_the_search_and_the_next_one_is_as_if_it_had_not_been(
    errors, local_ray, tmp_path, monkeypatch
):
    monkeypatch.setattr("semihand.stages.search._MOST_DEATHS", 0)
    config = SelectConfig(num_trials=6, max_label_error_mm=20)
    broken = errors.with_columns(error_mm=pl.lit("no number"))  # of which a trial that accepts no label takes no mean
    with pytest.raises(InputError, match=r"gave up a trial \(.*run the job again") as told:
        search_rule(broken, config.default, config, tmp_path / "search")
    assert "\n" not in str(told.value)
    again, fresh = (search_rule(errors, config.default, config, tmp_path / name) for name in ("search", "fresh"))
    assert again[0] == fresh[0]


def test_a_search_that_loses_its_actors_is_made_without_them(errors, local_ray, tmp_path, monkeypatch, caplog):
    class Deadly:
        def __reduce__(self):
            return os._exit, (1,)

    deadly = partial(tune.with_parameters, poison=Deadly())  # whoever is handed it dies
    monkeypatch.setattr("semihand.stages.search.tune.with_parameters", deadly)
    monkeypatch.setattr("semihand.stages.search._MOST_DEATHS", 1)
    config = SelectConfig(num_trials=6)
    found, trials = search_rule(errors, config.default, config, tmp_path / "search")
    with working_alone():
        alone = search_rule(errors, config.default, config, tmp_path)
    assert "lost a trial with its actor" in caplog.text
    assert found == alone[0]
    assert trials.select(sorted(trials.columns)).equals(alone[1].select(sorted(trials.columns)))


def test_scores_that_are_no_number_are_the_same_by_tune_as_in_one_process(errors, local_ray, tmp_path):
    config = SelectConfig(num_trials=16, max_label_error_mm=20)
    worst = errors["stability"] > errors["stability"].quantile(0.7)
    broken = errors.with_columns(error_mm=pl.when(worst).then(float("nan")).otherwise("error_mm"))
    by_tune, trials = search_rule(broken, config.default, config, tmp_path / "search")
    with working_alone():
        alone, _ = search_rule(broken, config.default, config, tmp_path)
    assert 0 < trials["value"].is_finite().sum() < len(trials)
    assert by_tune == alone
    assert score_rule(broken, by_tune, 20.0).value == trials["value"].fill_nan(None).max() > 0
