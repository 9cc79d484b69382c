"""Run a campaign: pre-train unless there is a teacher, then round after round, each step once."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa

from semihand.frames.truth import open_truth
from semihand.methods.semihand.weights import ModelCard, load_model, read_card, save_model
from semihand.rounds.campaign import Campaign, make_folder, open_campaign
from semihand.rounds.choosing import few_in_words
from semihand.rounds.cluster import connected
from semihand.rounds.config import RoundConfig
from semihand.rounds.convergence import reason_to_end
from semihand.rounds.driver import only_driver
from semihand.rounds.finding import models_of_boxes
from semihand.rounds.ledger import Done
from semihand.rounds.preflight import check_disk, check_disk_to_begin
from semihand.rounds.record import record_pretraining, record_round
from semihand.rounds.sets import (
    calibration_frames,
    check_leakage,
    evaluation_frames,
    ingest_pool,
    labelled_data,
    source_2d_folder,
    source_folder,
)
from semihand.rounds.steps import CURVES, RoundSteps
from semihand.rounds.summary import Summary, write_summary
from semihand.rounds.unwritable import unwritable_told
from semihand.stages.training import fit
from semihand.steps.evaluate import PROTOCOLS, evaluate
from semihand.steps.fitting import Fit
from semihand.steps.subjects import template_of_frames
from semihand.steps.training_data import read_frames
from semihand.tables import files
from semihand.waiting import watched
from semihand.workforce import in_words


@contextmanager
def _driving(config: RoundConfig) -> Iterator[Campaign]:
    """The campaign, its folder and its workers, for this process alone."""
    with watched(f"what campaign {config.campaign} does between its steps", in_words):
        folder = make_folder(config)
        with unwritable_told(folder), only_driver(folder):
            campaign = open_campaign(config, folder)
            check_disk_to_begin(campaign)
            with connected(config.cluster, config.insecure_cluster):
                yield campaign
                campaign.tracker.deliver()


def run_rounds(config: RoundConfig) -> Summary:
    """Everything that `jobs/semihand_round.py` does; run again, it goes on where it stopped."""
    with _driving(config) as campaign:
        campaign.say(f"campaign {campaign.name} in {campaign.folder}")
        if config.localiser is None:
            campaign.ledger.once(0, "ingest", lambda: ingest_pool(campaign))
        source = source_folder(campaign)
        evaluation = evaluation_frames(campaign)
        calibration = cache(lambda: calibration_frames(campaign, source))
        check_leakage(campaign, source, evaluation, calibration)
        summary = Summary(evaluated=evaluation is not None)
        pretrained = pretrain(campaign, source, evaluation, summary)
        teacher = control = Path(str(pretrained.model_uri))
        if config.localiser is not None:  # boxes follow hands by the teacher's joints
            campaign.ledger.once(0, "ingest", lambda: ingest_pool(campaign, Path(str(pretrained.model_uri))))
        for number in range(1, config.rounds + 1):
            tags = check_leakage(campaign, source, evaluation, calibration) | models_of_boxes(campaign)
            check_disk(campaign.folder, teacher, config.rounds + 1 - number)
            steps = RoundSteps(campaign, number, teacher, source, calibration, tags, source_2d_folder(campaign))
            teacher, control = run_round(steps, control, evaluation, summary)
            write_summary(campaign.folder, summary)
            summary.stopped = reason_to_end(campaign, number)
            if summary.stopped is not None:
                campaign.say(summary.stopped)
                write_summary(campaign.folder, summary)
                break
    return summary


def run_pretraining(config: RoundConfig) -> Summary:
    """Everything that `jobs/pretrain.py` does: the source, and a teacher trained on it."""
    with _driving(config) as campaign:
        source = source_folder(campaign)
        evaluation = evaluation_frames(campaign)
        summary = Summary(evaluated=evaluation is not None)
        pretrain(campaign, source, evaluation, summary)
        write_summary(campaign.folder, summary)
    return summary


def pretrain(campaign: Campaign, source: Path, evaluation: pa.Table | None, summary: Summary) -> Done:
    """Round 0: the teacher that has seen the source alone."""
    config = campaign.config

    def train() -> Done:
        if config.teacher is not None:
            network, card = load_model(config.teacher)
            kept = save_model(network, card, campaign.folder / "models")
            return Done(model_sha256=card.sha256, model_uri=str(kept))
        campaign.say(f"round 0: pre-training for {config.pretrain.num_steps} steps")
        lengths_mm, palm_mm = template_of_frames(open_truth(read_frames(source)))
        card = ModelCard(
            network=config.network,
            crop_margin=config.crop_margin,
            template_mm=lengths_mm.tolist(),
            palm_mm=palm_mm.tolist(),
        )
        data = labelled_data(config, source, source_2d_folder(campaign))
        inputs = json.dumps([card.model_dump(mode="json"), config.pretrain.model_dump(mode="json"), data], default=str)
        name = f"{campaign.name}-r0-train-{hashlib.sha256(inputs.encode()).hexdigest()[:10]}"
        fitted = fit(Fit(name, config.pretrain, None, card, data, campaign.folder), config.cluster.train, campaign.say)
        files.write_whole(str(campaign.round_folder(0) / CURVES), json.dumps(fitted.curves).encode(), "state")
        return Done(model_sha256=fitted.sha256, model_uri=str(fitted.model))

    trained = campaign.ledger.once(0, "train", train)
    model = Path(str(trained.model_uri))
    evaluated = campaign.ledger.once(0, "evaluate", lambda: Done(_evaluated(campaign, model, evaluation)))
    campaign.ledger.once(0, "promote", lambda: record_pretraining(campaign, model, evaluated.metrics))
    summary.add_round(0, {}, evaluated.metrics)
    campaign.say(f"round 0: {summary.line(0)}")
    return trained


def run_round(steps: RoundSteps, control: Path, evaluation: pa.Table | None, summary: Summary) -> tuple[Path, Path]:
    """One round from labels to promotion.

    Returns:
        The next round's teacher, and where the source-only control stands.
    """
    campaign, number = steps.campaign, steps.number
    once = campaign.ledger.once
    campaign.say(f"round {number}: labels by model {read_card(steps.teacher).sha256[:8]}")
    once(number, "subjects", steps.measure)
    calibrated = once(number, "calibrate", steps.calibrate)
    once(number, "label", steps.label)
    sealed = once(number, "seal", steps.seal)
    searched = once(number, "search", steps.search)
    selected = once(number, "select", lambda: steps.select(searched.thresholds))
    versions = dict(sealed.versions) | dict(selected.versions) | {"frames": campaign.store.version("frames")}
    _say_selected(campaign, number, {**sealed.metrics, **searched.metrics, **selected.metrics})
    trained = once(number, "train", lambda: steps.train(versions))
    student = Path(str(trained.model_uri))
    evaluated = once(number, "evaluate", lambda: Done(steps.evaluate(student, evaluation)))
    promoted = once(number, "promote", lambda: _promoted(steps, student, trained, evaluated, evaluation))
    if campaign.config.control:
        left = once(number, "control", lambda: _controlled(steps, control, evaluation))
        control = Path(str(left.model_uri))
        summary.source_only = dict(left.metrics)
    summary.add_round(number, {**sealed.metrics, **selected.metrics, **calibrated.metrics, **searched.metrics,
                               **promoted.metrics}, evaluated.metrics)  # fmt: skip
    campaign.say(f"round {number}: {summary.line(number)}")
    return (student if promoted.metrics["promoted"] else steps.teacher), control


def _say_selected(campaign: Campaign, number: int, found: Mapping[str, float]) -> None:
    """How many labels are trained on; and where they are next to none, what that means."""
    config, num_selected, num_labels = campaign.config, int(found["selected"]), int(found["labels"])
    campaign.say(
        f"round {number}: {num_selected} of {num_labels} labels selected, {found['quarantined']:.0f} quarantined; "
        f"training for {config.train.num_steps} steps"
    )
    few = few_in_words(num_selected, num_labels, found.get("error_limit_mm"), config)
    if few is not None:
        campaign.say(f"  {few}")


def _controlled(steps: RoundSteps, start: Path, evaluation: pa.Table | None) -> Done:
    left = steps.train_control(start)
    return replace(left, metrics=_evaluated(steps.campaign, Path(str(left.model_uri)), evaluation))


def _promoted(steps: RoundSteps, student: Path, trained: Done, evaluated: Done, evaluation: pa.Table | None) -> Done:
    decision = steps.promote(student, dict(trained.versions))
    return record_round(steps, student, decision, dict(evaluated.metrics), evaluation)


def _evaluated(campaign: Campaign, model: Path, frames: pa.Table | None) -> dict[str, float]:
    if frames is None:
        return {}
    return evaluate(frames, model, PROTOCOLS[campaign.config.protocol], limits=campaign.config.limits).metrics
