"""The labels of a row's round: made, chosen, and for the report alone compared with the truth."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from semihand.ablation.plans import Plan
from semihand.ablation.sets import Sets, read_pool, read_set
from semihand.ablation.task import Task
from semihand.frames.truth import open_truth
from semihand.methods.semihand.weights import read_card
from semihand.steps.calibrate import label_errors
from semihand.steps.clusters import PoseClusters
from semihand.steps.components import ErrorModel
from semihand.steps.confidence import fit_confidence
from semihand.steps.label import FrameLabeller
from semihand.steps.label_rows import split_labelled
from semihand.steps.pose_selection import choose_clusters
from semihand.steps.previous import PreviousLabels
from semihand.steps.rules import Rule, Thresholds, accept_share
from semihand.steps.selection import SelectConfig, select_labels
from semihand.steps.subjects import LABEL_COLUMNS, Lengths, Template, measure_subjects
from semihand.tables import as_numpy, fixed_list_column
from semihand.tables.rows import filter_rows, take_rows

_ALL = Thresholds(max_stability=1e9, max_feasibility_mm=1e9, min_mask_agreement=0.0)


class Labelled(NamedTuple):
    """A round's labels; what the next round is told of them."""

    labels: pa.Table  # LABELS
    calibration: pa.Table  # LABELS of the calibration set
    selected: pa.Table  # SELECTIONS of those that were selected
    clusters: PoseClusters | None


def label_round(task: Task, teacher: Path, number: int, before: Labelled | None) -> Labelled:
    """Label the pool as the plan says, after the calibration set has said what its confidence means, and choose."""
    plan, frames = task.plan, read_set(task.sets.calibration)
    lengths = _lengths(plan, teacher, number, before)

    def labelled(frames: pa.Table, model: ErrorModel | None, previous: pa.Table | None) -> pa.Table:
        labeller = FrameLabeller(
            plan.label,
            teacher,
            lengths,
            model,
            number,
            second_teacher=task.second,
            previous=None if previous is None else PreviousLabels(previous),
            device=task.device,
        )
        return split_labelled(labeller(frames))[0]

    known = labelled(frames, None, None if before is None else before.calibration)
    model = fit_confidence(label_errors(known, frames), plan.calibrate.confidence)
    labels = labelled(read_pool(task.sets), model, None if before is None else before.labels)
    selected, clusters = choose_labels(plan, _told(labels, task.sets), number, before)
    if plan.random_choice:
        selected = draw_labels(plan, labels, selected.num_rows, [task.seed, number])
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


def choose_labels(
    plan: Plan, labels: pa.Table, number: int, before: Labelled | None
) -> tuple[pa.Table, PoseClusters | None]:
    """The best labels up to the plan's share of all, or of each cluster of poses.

    Where near duplicates are thinned they go first, and as many are taken of what is left: thinning from the best
    label on is the same whether it ends at a limit or not, and rows are then compared at equal numbers.

    Args:
        plan: the row's plan.
        labels: LABELS with hand and sequence_id as in FRAMES.
        number: the round.
        before: the round before.

    Returns:
        SELECTIONS of the chosen labels, and what clusters they were chosen by.
    """
    num_wanted = plan.accept_share(number) * labels.num_rows
    labels = _thinned(plan, labels)
    share = min(num_wanted / max(labels.num_rows, 1), 1.0)
    clusters: PoseClusters | None = None
    rule: Rule = accept_share(labels, share, plan.calibrate.confidence)
    if plan.select.by_cluster:
        # Neither a momentum nor a ceiling, so that a cluster takes the share that it is told to.
        config = plan.select.cluster.model_copy(update={"share_ramp": (share, share), "momentum": 0.0, "ceiling": 1.0})
        last = None if before is None else before.clusters
        rule = clusters = choose_clusters(labels, last, number, config, plan.calibrate.confidence)
    chosen = select_labels(labels, rule, _one_by_one(plan))
    return filter_rows(chosen, chosen["selected"]), clusters


def draw_labels(plan: Plan, labels: pa.Table, num: int, seed: list[int]) -> pa.Table:
    """SELECTIONS of `num` labels drawn at random, weighed as the plan says."""
    drawn = np.random.default_rng(seed).permutation(labels.num_rows)[:num]
    return take_rows(select_labels(labels, _ALL, _one_by_one(plan)), sorted(drawn.tolist()))


def _thinned(plan: Plan, labels: pa.Table) -> pa.Table:
    if plan.select.thin_mm is None:
        return labels
    return filter_rows(labels, select_labels(labels, _ALL, plan.select)["selected"])


def _one_by_one(plan: Plan) -> SelectConfig:
    """The plan's selection without what depends on other labels' poses."""
    return plan.select.model_copy(update={"thin_mm": None, "by_cluster": False})


def label_quality(labelled: Labelled, sets: Sets) -> dict[str, float]:
    """For the report alone: how far the labels are from the truth that nobody learned from.

    What cannot be said, such as the error of selected labels where none was selected, is left out.
    """
    labels, truth = labelled.labels, open_truth(read_set(sets.truth))
    errors = label_errors(labels, truth)
    corrected = label_errors(labels.drop_columns(["label_mm"]).append_column("label_mm", _corrected(labels)), truth)
    selected = errors.filter(pl.col("frame_id").is_in(labelled.selected["frame_id"].to_pylist()))
    expected = pl.DataFrame(pl.from_arrow(labelled.labels.select(["frame_id", "predicted_error_mm"])))
    both = errors.join(expected.rename({"predicted_error_mm": "expected"}), on="frame_id")
    figures = {
        "raw_label_mm": _mean(errors["raw_error_mm"]),
        "corrected_label_mm": _mean(corrected["error_mm"]),
        "label_mm": _mean(errors["error_mm"]),
        "selected_label_mm": _mean(selected["error_mm"]),
        "acceptance": len(selected) / max(len(errors), 1),
        "expected_spearman": float(both.select(pl.corr("expected", "error_mm", method="spearman")).item()),
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _corrected(labels: pa.Table) -> pa.Array:
    """Corrected poses, and where a test rejected the correction the raw one."""
    is_kept = as_numpy(labels["correction_kept"].fill_null(True))[:, None, None]
    raw_mm, corrected_mm = (as_numpy(labels[name]) for name in ("joints_mm", "corrected_mm"))
    return fixed_list_column(np.where(is_kept, corrected_mm, raw_mm))


def _mean(column: pl.Series) -> float:
    return float(column.to_numpy().mean()) if len(column) else float("nan")
