"""Search a rule's limits: Optuna over labels whose error is known, its trials by Ray Tune where Ray runs."""

import logging
import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import optuna
import polars as pl
from optuna.distributions import BaseDistribution, FloatDistribution
from ray import tune
from ray.exceptions import RayActorError
from ray.tune import Result
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from semihand.frames.errors import InputError, first_line
from semihand.steps.rules import read_rule
from semihand.steps.selection import Score, Searched, SelectConfig, error_limit_mm, score_rule, search_space
from semihand.workforce import is_alone, watched_cluster

logger = logging.getLogger(__name__)

_AT_ONCE = 2
_MOST_DEATHS = 100  # of a trial; it is over in no time, so what kills it is not the trial


class _Trial(tune.Trainable):
    """One set of limits, scored once."""

    def setup(self, config: dict[str, float], errors: pl.DataFrame | None = None, limit_mm: float = 0.0) -> None:
        self.errors, self.limit_mm = errors, limit_mm
        self.rule = read_rule(config)

    def reset_config(self, new_config: dict[str, float]) -> bool:
        self.rule = read_rule(new_config)
        return True

    def step(self) -> dict[str, object]:
        assert self.errors is not None
        score = score_rule(self.errors, self.rule, self.limit_mm)
        return {**score._asdict(), "done": True}


def search_rule(
    errors: pl.DataFrame, start: Searched, config: SelectConfig, folder: Path
) -> tuple[Searched | None, pl.DataFrame]:
    """The rule that accepts the most labels at or under the error limit.

    The rule to start from is the first trial, so that the answer is never worse than it is on these labels.

    Args:
        errors: labels with their true error, from `label_errors`; for an `ErrorLimit` also with predicted_error_mm
            by fits that have not seen the row.
        start: says also which limits are searched over.
        config: limit, number of trials and seed.
        folder: where Tune keeps its state while it searches; it is gone afterwards.

    Returns:
        The best rule, and every trial as a table; None where no trial has a score that is a number. One that has
        none is never chosen.

    Raises:
        InputError: no trial ended for as long as Ray is waited for; or one was given up: the limits found without it
            would not be those that are found with it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    limit_mm = error_limit_mm(errors, config)
    bounds = search_space(errors, start)
    first = {name: min(max(value, bounds[name][0]), bounds[name][1]) for name, value in start.model_dump().items()}
    task, stopper = _Task(errors, limit_mm, bounds, first), _Stopper()
    with watched_cluster("trials of limits", stopper.give_up) as progress:
        rows = None if is_alone() else _tried_by_tune(task, config, folder, _Telling(progress), stopper)
        if rows is None:
            rows = _tried_alone(task, config, progress)
    trials = pl.DataFrame(rows).sort(has_score(), "value", descending=True, maintain_order=True)
    if not math.isfinite(limit_mm) or not trials.select(has_score()).to_series().any():
        return None, trials
    best = trials.row(0, named=True)
    return type(start).model_validate({name: best[name] for name in bounds}), trials


def has_score() -> pl.Expr:
    """Whether a trial's score is a number; polars would sort others before all."""
    return pl.col("value").is_finite()


class _Task(NamedTuple):
    errors: pl.DataFrame
    limit_mm: float
    bounds: dict[str, tuple[float, float]]
    first: dict[str, float]

    def is_linear(self, name: str) -> bool:
        """Whether a limit is drawn evenly, not by its logarithm."""
        return name == "min_mask_agreement"


class _Telling(tune.Callback):
    """Tells of every trial that is done."""

    def __init__(self, progress: Callable[[], None]) -> None:
        self.progress: Callable[[], None] | None = progress

    def on_trial_result(self, **of: object) -> None:
        if self.progress is not None:
            self.progress()

    def __getstate__(self) -> dict[str, None]:
        """Nothing: Tune writes its callbacks down for a restore that is not done here."""
        return {"progress": None}


class _Stopper(tune.Stopper):
    """Ends a search whose trials do not come."""

    def __init__(self) -> None:
        self.is_over = False

    def give_up(self) -> None:
        self.is_over = True

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.is_over


def _tried_by_tune(
    task: _Task, config: SelectConfig, folder: Path, telling: _Telling, stopper: _Stopper
) -> list[dict[str, float]] | None:
    """What Tune's actors find, two trials at a time; None where a trial was lost with its actor.

    Tune takes up a trial whose actor died or was not reached, but not one that it has two such answers from.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a search that was killed; what was chosen stands in the ledger
    space = {
        name: tune.uniform(low, high) if task.is_linear(name) else tune.loguniform(low, high)
        for name, (low, high) in task.bounds.items()
    }
    tuner = tune.Tuner(
        tune.with_parameters(_Trial, errors=task.errors, limit_mm=task.limit_mm),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="value",
            mode="max",
            num_samples=max(config.num_trials, 1),
            # In batches: what is tried next must not depend on which of two trials ends first.
            search_alg=ConcurrencyLimiter(
                OptunaSearch(points_to_evaluate=[task.first], seed=config.seed), max_concurrent=_AT_ONCE, batch=True
            ),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="thresholds",
            storage_path=str(folder),
            verbose=0,
            callbacks=[telling],
            stop=stopper,
            failure_config=tune.FailureConfig(max_failures=_MOST_DEATHS),
            # Tune asks every class for a checkpoint at its end; a trial has nothing to keep.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    results = list(tuner.fit())
    shutil.rmtree(folder)
    if any(isinstance(result.error, RayActorError) for result in results):
        logger.warning("the search for limits lost a trial with its actor; it is made again in this process")
        return None
    return _scored(results)


def _scored(results: Iterable[Result]) -> list[dict[str, float]]:
    """Limits and scores of trials that all came to their end."""
    rows = []
    for result in results:
        if result.error is not None or "value" not in (result.metrics or {}):
            why = first_line(result.error) if result.error is not None else "it said nothing"
            raise InputError(
                f"the search for limits gave up a trial ({why}), so nothing is chosen; see the log of the workers, and "
                "run the job again: the search begins anew"
            )
        rows.append(result.config | {name: result.metrics[name] for name in Score._fields})
    return rows


def _tried_alone(task: _Task, config: SelectConfig, progress: Callable[[], None]) -> list[dict[str, float]]:
    """The same by Optuna in this process, one trial after the other."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    study.enqueue_trial(task.first)
    space: dict[str, BaseDistribution] = {
        name: FloatDistribution(low, high, log=not task.is_linear(name)) for name, (low, high) in task.bounds.items()
    }
    rows: list[dict[str, float]] = []
    while (left := max(config.num_trials, 1) - len(rows)) > 0:
        asked = [study.ask(space) for _ in range(min(_AT_ONCE, left))]
        scores = [score_rule(task.errors, read_rule(trial.params), task.limit_mm) for trial in asked]
        for trial, score in zip(asked, scores, strict=True):
            study.tell(trial, score.value)
            rows.append(trial.params | score._asdict())
            progress()
    return rows
