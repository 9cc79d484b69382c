"""The labels of a row's round: made, chosen, and for the report alone compared with the truth."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from semihand.ablation.plans import Plan
from semihand.ablation.sets import Sets, read_pool, read_set
from semihand.frames.truth import open_truth
from semihand.methods.semihand.weights import read_card
from semihand.steps.calibrate import label_errors
from semihand.steps.clusters import PoseClusters
from semihand.steps.confidence import fit_confidence
from semihand.steps.label import FrameLabeller
from semihand.steps.label_rows import split_labelled
from semihand.steps.pose_selection import choose_clusters
from semihand.steps.previous import PreviousLabels
from semihand.steps.selection import ErrorLimit, Thresholds, select_labels
from semihand.steps.subjects import LABEL_COLUMNS, Lengths, Template, measure_subjects
from semihand.tables import as_numpy
from semihand.tables.rows import filter_rows, take_rows

_ALL = Thresholds(max_stability=1e9, max_feasibility_mm=1e9, min_mask_agreement=0.0)


class Teachers(NamedTuple):
    """Who labels a round."""

    first: Path
    second: Path | None  # where the plan wants two


class Labelled(NamedTuple):
    """A round's labels; what the next round is told of them."""

    labels: pa.Table  # LABELS
    calibration: pa.Table  # LABELS of the calibration set
    selected: pa.Table  # SELECTIONS of those that were selected
    clusters: PoseClusters | None


def label_round(
    plan: Plan, sets: Sets, teachers: Teachers, number: int, before: Labelled | None, seed: int
) -> Labelled:
    """Label the pool as the plan says, after the calibration set has said what its confidence means, and choose."""
    lengths = _lengths(plan, teachers.first, number, before)
    frames = read_set(sets.calibration)
    calibrator = FrameLabeller(
        plan.label,
        teachers.first,
        lengths,
        None,
        number,
        second_teacher=teachers.second,
        previous=None if before is None else PreviousLabels(before.calibration),
    )
    known, _ = split_labelled(calibrator(frames))
    errors = label_errors(known, frames)
    labeller = FrameLabeller(
        plan.label,
        teachers.first,
        lengths,
        fit_confidence(errors, plan.calibrate.confidence),
        number,
        second_teacher=teachers.second,
        previous=None if before is None else PreviousLabels(before.labels),
    )
    labels, _ = split_labelled(labeller(read_pool(sets)))
    selected, clusters = _chosen(plan, labels, _told(labels, sets), number, before)
    if plan.random_choice:
        drawn = np.random.default_rng([seed, number]).permutation(labels.num_rows)[: selected.num_rows]
        selected = take_rows(select_labels(labels, _ALL, plan.select), sorted(drawn.tolist()))
    return Labelled(labels, known, selected, clusters)


def _lengths(plan: Plan, teacher: Path, number: int, before: Labelled | None) -> Lengths:
    """The subjects as the selected labels of the round before show them; the template at first."""
    card = read_card(teacher)
    wanted = plan.label.correct.method == "projection" and card.palm_mm is not None
    template = Template(np.array(card.template_mm), np.array(card.palm_mm) if wanted else None)
    columns = ["frame_id", *LABEL_COLUMNS]
    if before is None:
        accepted = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    else:
        labels = pl.DataFrame(pl.from_arrow(before.labels.select(columns)))
        accepted = labels.filter(pl.col("frame_id").is_in(before.selected["frame_id"].to_pylist()))
    return Lengths.of(measure_subjects(accepted, template, number, plan.subjects))


def _told(labels: pa.Table, sets: Sets) -> pa.Table:
    """The labels with what FRAMES says of their frames, which selection by pose goes by."""
    pool = read_pool(sets)
    row_of = {frame_id: row for row, frame_id in enumerate(pool["frame_id"].to_pylist())}
    frames = take_rows(pool, [row_of[frame_id] for frame_id in labels["frame_id"].to_pylist()])
    return labels.append_column("hand", frames["hand"]).append_column("sequence_id", frames["sequence_id"])


def _chosen(
    plan: Plan, labels: pa.Table, told: pa.Table, number: int, before: Labelled | None
) -> tuple[pa.Table, PoseClusters | None]:
    """The best labels up to the plan's share: of all, or of each cluster of poses."""
    share = plan.accept_share(number)
    if plan.select.by_cluster:
        ramp = plan.select.cluster.model_copy(update={"share_ramp": (share, share)})
        clusters = choose_clusters(told, None if before is None else before.clusters, number, ramp)
        chosen = select_labels(told, clusters, plan.select)
    else:
        clusters = None
        chosen = select_labels(told, _rule(plan, labels, share), plan.select)
    return filter_rows(chosen, chosen["selected"]), clusters


def _rule(plan: Plan, labels: pa.Table, share: float) -> Thresholds | ErrorLimit:
    if share == 1:
        return _ALL
    if plan.calibrate.confidence == "fused":
        limit_mm = float(np.quantile(as_numpy(labels["predicted_error_mm"]), share))
        return ErrorLimit(max_predicted_error_mm=limit_mm)
    return _ALL.model_copy(update={"max_stability": float(np.quantile(as_numpy(labels["stability"]), share))})


def label_quality(labelled: Labelled, sets: Sets) -> dict[str, float]:
    """For the report alone: how far the labels are from the truth that nobody learned from."""
    errors = label_errors(labelled.labels, open_truth(read_set(sets.truth)))
    selected = errors.filter(pl.col("frame_id").is_in(labelled.selected["frame_id"].to_pylist()))
    expected = pl.DataFrame(pl.from_arrow(labelled.labels.select(["frame_id", "predicted_error_mm"])))
    both = errors.join(expected.rename({"predicted_error_mm": "expected"}), on="frame_id")
    return {
        "raw_label_mm": _mean(errors["raw_error_mm"]),
        "label_mm": _mean(errors["error_mm"]),
        "selected_label_mm": _mean(selected["error_mm"]),
        "acceptance": len(selected) / max(len(errors), 1),
        "expected_spearman": float(both.select(pl.corr("expected", "error_mm", method="spearman")).item()),
    }


def _mean(column: pl.Series) -> float:
    return float(column.to_numpy().mean()) if len(column) else float("nan")
