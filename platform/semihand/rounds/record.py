"""What MLflow and the page of a round are told: figures, tables, curves, inputs and the model."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Float
from matplotlib.figure import Figure

from semihand.failpoints import reach
from semihand.frames.limits import Limits
from semihand.hand.bones import bone_lengths
from semihand.methods.semihand.predictor import Predictor
from semihand.methods.semihand.weights import read_card
from semihand.report.campaign_figures import bone_lengths_figure, threshold_search_figure
from semihand.report.curves import loss_curves, pck_curve, reliability_figure, risk_coverage_curve
from semihand.report.movement import movement_grid
from semihand.report.overlays import overlay_grid
from semihand.report.page import pictures_drawn, round_page
from semihand.rounds.campaign import Campaign
from semihand.rounds.choosing import TRIALS
from semihand.rounds.config import RoundConfig
from semihand.rounds.ledger import Done
from semihand.rounds.shown import read_shown
from semihand.rounds.steps import CURVES, ERRORS, RoundSteps
from semihand.steps.components import EXPECTED
from semihand.steps.cropping import read_crops
from semihand.steps.evaluate import PROTOCOLS, evaluate
from semihand.steps.expected import rows_to_judge
from semihand.steps.recordings import halves
from semihand.tables import files, scan
from semihand.tables.rows import take_rows
from semihand.tracking import RoundRun

_SHOWN = 16  # pictures in an overlay


def record_pretraining(campaign: Campaign, model: Path, metrics: Mapping[str, float]) -> Done:
    """Round 0 in MLflow: its loss, its figures, and the first champion."""
    with campaign.tracker.round_run(0, campaign.config.model_dump(mode="json")) as run:
        run.log_metrics(dict(metrics))
        _log_curves(run, campaign.round_folder(0) / CURVES, "")
        registered = run.register_model(model, dict(metrics))
        reach("record.registered")
        run.promote(registered.version)
        reach("record.promoted")
        return Done({"promoted": 1.0}, model_sha256=read_card(model).sha256, model_uri=registered.uri,
                    mlflow_run_id=run.run_id)  # fmt: skip


def record_round(
    steps: RoundSteps, student: Path, decision: Done, metrics: dict[str, float], evaluation: pa.Table | None
) -> Done:
    """A round in MLflow, its page in the campaign's folder, and the alias moved if the gate said so."""
    campaign = steps.campaign
    with campaign.tracker.round_run(steps.number, campaign.config.model_dump(mode="json")) as run:
        run.log_tags(steps.tags)
        store = campaign.store
        tables = ("frames", "labels", "selections", "quarantine", "subjects")
        run.log_inputs({name: (store.path(name), store.version(name)) for name in tables})
        figures = pictures_drawn(round_figures(steps, student, evaluation))
        for name, figure in figures.items():
            run.log_figure(name, figure)
        _log_curves(run, steps.folder / CURVES, "")
        if (steps.folder / TRIALS).is_file():
            run.log_table("threshold_search", pl.read_parquet(steps.folder / TRIALS))
        facts = _facts(steps)
        run.log_metrics({**metrics, **facts, **decision.metrics})
        rows = [(name, value) for name, value in {**facts, **decision.metrics, **metrics}.items()]
        page = round_page(f"{campaign.name}: round {steps.number}", rows, figures)
        files.write_whole(str(steps.folder / "report.html"), page.encode(), "state")
        run.log_page("report", page)
        registered = run.register_model(student, metrics)
        reach("record.registered")
        if decision.metrics["promoted"]:
            run.promote(registered.version)
        reach("record.promoted")
        return replace(decision, model_uri=registered.uri, mlflow_run_id=run.run_id)


def _facts(steps: RoundSteps) -> dict[str, float]:
    """What the earlier steps of the round measured, as one flat mapping."""
    ledger = steps.campaign.ledger
    done = [ledger.finished(steps.number, step) for step in ("subjects", "calibrate", "seal", "search", "select")]
    facts = {name: value for step in done if step is not None for name, value in step.metrics.items()}
    searched = ledger.finished(steps.number, "search")
    return facts | ({} if searched is None else dict(searched.thresholds))


def _log_curves(run: RoundRun, path: Path, prefix: str) -> None:
    if not path.is_file():
        return
    rows = json.loads(path.read_text())
    for name in rows[0]:
        if name != "step":
            run.log_curve(f"{prefix}loss_{name}", [int(row["step"]) for row in rows], [row[name] for row in rows])


def round_figures(steps: RoundSteps, student: Path, evaluation: pa.Table | None) -> dict[str, Figure]:
    """Every picture of a round, by name."""
    campaign, number = steps.campaign, steps.number
    labels = scan(campaign.store, "labels", round=number).sort("frame_id").collect()
    frames = scan(campaign.store, "frames").sort("frame_id").collect().to_arrow()
    figures = _before_after(steps, student, frames)
    if len(labels):
        figures |= _label_overlays(labels, frames, campaign.config.limits)
        raw = np.stack(labels["bone_mm"].to_list()).astype(np.float64)
        corrected = bone_lengths(labels["corrected_mm"].to_numpy().astype(np.float64))
        figures["bone_lengths"] = bone_lengths_figure(raw, corrected, np.array(read_card(steps.teacher).template_mm))
    errors = pl.read_parquet(steps.folder / ERRORS)
    figures |= confidence_figures(errors, campaign.config)
    curves = json.loads((steps.folder / CURVES).read_text())
    steps_of = [int(row["step"]) for row in curves]
    figures["loss"] = loss_curves({k: (steps_of, [row[k] for row in curves]) for k in curves[0] if k != "step"})
    if (steps.folder / TRIALS).is_file():
        searched = campaign.ledger.finished(number, "search")
        assert searched is not None
        searched_on, _ = halves(errors)
        figures |= search_figures(pl.read_parquet(steps.folder / TRIALS), len(searched_on), searched.metrics)
    if evaluation is not None:
        protocol = PROTOCOLS[campaign.config.protocol]
        models, limits = {"teacher": steps.teacher, "student": student}, campaign.config.limits
        found = {name: evaluate(evaluation, model, protocol, limits=limits) for name, model in models.items()}
        figures["pck"] = pck_curve({name: each.error_mm for name, each in found.items()})
    return figures


def confidence_figures(errors: pl.DataFrame, config: RoundConfig) -> dict[str, Figure]:
    """How far the confidence can be trusted, on labels that its fit has not seen.

    Args:
        errors: what `calibrate` left.
        config: the kind of confidence, and whether recordings were left out of its fit.
    """
    judged = rows_to_judge(errors, config.select.guarantee)
    true_mm, expected_mm = judged["error_mm"].to_numpy(), judged[EXPECTED].to_numpy()
    # by stability the isotonic fit orders labels as well, but for ties
    trusted = expected_mm if config.calibrate.confidence == "fused" else judged["stability"].to_numpy()
    return {
        "risk_coverage": risk_coverage_curve(true_mm, trusted.astype(np.float64)),
        "reliability": reliability_figure(expected_mm, true_mm),
    }


def search_figures(trials: pl.DataFrame, num_labels: int, metrics: Mapping[str, float]) -> dict[str, Figure]:
    """What the search tried; nothing where no trial accepted a label.

    No trial is shown as the chosen one where the best accepts nothing, or where the last round's limits were kept.

    Args:
        trials: what `search_rule` tried, the best first.
        num_labels: how many labels it tried them on.
        metrics: of the step `search`.
    """
    accepting = trials.filter(pl.col("error_mm").is_finite())
    if accepting.is_empty():
        return {}
    kept = [round(share * num_labels) for share in accepting["share"]]
    is_taken = not metrics.get("search_kept_limits") and math.isfinite(trials["error_mm"][0])
    error_mm, limit_mm = accepting["error_mm"].to_numpy(), metrics["error_limit_mm"]
    return {"threshold_search": threshold_search_figure(error_mm, kept, limit_mm, 0 if is_taken else None)}


def _label_overlays(labels: pl.DataFrame, frames: pa.Table, limits: Limits) -> dict[str, Figure]:
    """The labels that are thought best and worst, and those that the correction moved most."""
    orders = {
        "labels_best": labels.sort("predicted_error_mm", "stability"),
        "labels_worst": labels.sort("predicted_error_mm", "stability", descending=True),
        "labels_most_moved": labels.sort("moved_mm", descending=True),
    }
    row_of = {frame_id: row for row, frame_id in enumerate(frames["frame_id"].to_pylist())}
    figures = {}
    for name, ordered in orders.items():
        shown = ordered.head(_SHOWN)
        rows = [row_of[frame_id] for frame_id in shown["frame_id"]]
        captions = [
            f"expected {expected:.1f} mm, moved {moved:.1f} mm"
            for expected, moved in zip(shown["predicted_error_mm"], shown["moved_mm"], strict=True)
        ]
        figures[name] = _overlay(take_rows(frames, rows), limits, shown["joints_uv_px"].to_numpy(), captions)
    return figures


def _overlay(
    frames: pa.Table,
    limits: Limits,
    joints_uv_px: Float[np.ndarray, "frames 21 2"],
    captions: Sequence[str],
    before_uv_px: Float[np.ndarray, "frames 21 2"] | None = None,
) -> Figure:
    shown = read_shown(frames, limits)
    before = None if before_uv_px is None else before_uv_px[shown.rows].astype(np.float64)
    return overlay_grid(shown.pictures, joints_uv_px[shown.rows].astype(np.float64),
                        [captions[row] for row in shown.rows], before, views_px=shown.views_px)  # fmt: skip


def _before_after(steps: RoundSteps, student: Path, frames: pa.Table) -> dict[str, Figure]:
    """The same frames in every round: from the pre-trained teacher's prediction to this student's."""
    first = steps.campaign.ledger.finished(0, "train")
    assert first is not None
    chosen = frames.slice(0, _SHOWN)
    limits = steps.campaign.config.limits
    before, after = (_predicted(Path(str(model)), chosen, limits) for model in (first.model_uri, student))
    rows = sorted(before)
    if not rows:
        return {}
    drawn, dashed = np.stack([after[row] for row in rows]), np.stack([before[row] for row in rows])
    captions = [f"moved {value:.1f} px" for value in np.linalg.norm(drawn - dashed, axis=-1).mean(-1)]
    shown = take_rows(chosen, rows)
    return {
        "same_frames_before_after": _overlay(shown, limits, drawn, captions, dashed),
        "same_frames_movement": _arrows(shown, limits, dashed, drawn, captions),
    }


def _arrows(
    frames: pa.Table,
    limits: Limits,
    first_uv_px: Float[np.ndarray, "frames 21 2"],
    last_uv_px: Float[np.ndarray, "frames 21 2"],
    captions: Sequence[str],
) -> Figure:
    shown = read_shown(frames, limits)
    first, last = (joints[shown.rows].astype(np.float64) for joints in (first_uv_px, last_uv_px))
    return movement_grid(shown.pictures, first, last, [captions[row] for row in shown.rows], views_px=shown.views_px)


def _predicted(model: Path, frames: pa.Table, limits: Limits) -> dict[int, np.ndarray]:
    predictor = Predictor(model)
    read = read_crops(frames, predictor.card.network.input_px, predictor.card.crop_margin, limits)
    return dict(zip(read.rows, predictor.in_pictures(read.pictures, read.cameras.affine), strict=True))
