"""One row of the ablation: its rounds of labelling, selection and training, in this process."""

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from semihand.ablation.plans import Plan
from semihand.ablation.sets import Sets, read_pool, read_set
from semihand.frames.truth import open_truth, whole_poses
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.weights import ModelCard, load_model, read_card, save_model
from semihand.steps.calibrate import Calibration, fit_calibration, label_errors
from semihand.steps.evaluate import PROTOCOLS, evaluate
from semihand.steps.label import FrameLabeller
from semihand.steps.label_rows import split_labelled
from semihand.steps.protocols import scores
from semihand.steps.selection import Thresholds, select_labels
from semihand.steps.subjects import Lengths, measure_subjects
from semihand.steps.train import Data, TrainConfig, TrainState, train
from semihand.steps.training_set import source_crops, target_crops
from semihand.tables import as_numpy, fixed_list_column
from semihand.tables.rows import take_rows

_ALL = Thresholds(max_stability=1e9, max_feasibility_mm=1e9, min_mask_agreement=0.0)


class Task(NamedTuple):
    """Where and from what a row is run."""

    plan: Plan
    sets: Sets
    start: Path  # the pre-trained model
    rounds: int
    seed: int
    models: Path  # folder that keeps the students
    device: str


class RowResult(NamedTuple):
    """What a row came to."""

    metrics: dict[str, float]
    errors: pl.DataFrame  # frame_id, error_mm and uv_px of every evaluation frame
    model: Path


def run_row(task: Task, say: Callable[[str], None]) -> RowResult:
    """The rounds of a row, and what its last student makes of the evaluation frames."""
    started = time.monotonic()
    teacher, selected = task.start, pl.DataFrame()
    metrics: dict[str, float] = {}
    for number in range(1, task.rounds + 1):
        target, selected, of_round = _targets(task, teacher, number, selected)
        teacher = _student(task, teacher, target, number)
        metrics |= of_round
        say(f"round {number}: " + ", ".join(f"{name} {value:.2f}" for name, value in of_round.items()))
    found, errors = evaluate_student(task.sets, teacher, task.device)
    return RowResult(found | metrics | {"seconds": time.monotonic() - started}, errors, teacher)


def evaluate_student(sets: Sets, model: Path, device: str) -> tuple[dict[str, float], pl.DataFrame]:
    """Figures on the unseen target frames, and the errors they are means of."""
    found = evaluate(read_set(sets.evaluation), model, PROTOCOLS["default"], device)
    _, of_paper = scores(found.joints_mm, found.true_mm, PROTOCOLS["stb"])
    error_mm = found.error_mm.mean(-1)
    errors = pl.DataFrame({"frame_id": found.frame_ids, "error_mm": error_mm}).sort("frame_id")
    return found.metrics | {"auc_20_50": of_paper["auc"]}, errors


def _targets(
    task: Task, teacher: Path, number: int, before: pl.DataFrame
) -> tuple[Crops | None, pl.DataFrame, dict[str, float]]:
    """Target crops of a round, the labels selected (for the subjects of the next), and what is known of them."""
    plan, card = task.plan, read_card(task.start)
    if plan.learns_from == "source":
        return None, before, {}
    pool = read_pool(task.sets)
    if plan.learns_from == "frames":
        return target_crops(pool, _no_labels(), card), before, {}
    if plan.learns_from == "truth":
        return target_crops(pool, _true_labels(task), card), before, {}
    labels, calibration = _labels(task, teacher, number, before)
    chosen = _chosen(labels, calibration, task, number)
    columns = pl.DataFrame(pl.from_arrow(labels.select(["frame_id", "label_mm", "subject_id", "bone_mm"])))
    columns = columns.with_columns(pl.Series("joint_weight", as_numpy(chosen["joint_weight"])))
    accepted = columns.filter(pl.Series(as_numpy(chosen["selected"]).astype(bool)))
    return target_crops(pool, accepted, card), accepted, _label_quality(task, labels, chosen)


def _labels(task: Task, teacher: Path, number: int, before: pl.DataFrame) -> tuple[pa.Table, Calibration]:
    """The pool labelled by the teacher, and the calibration that went with it."""
    plan, card = task.plan, read_card(task.start)
    if before.is_empty():
        before = pl.DataFrame(schema={"subject_id": pl.String, "bone_mm": pl.List(pl.Float32)})
    subjects = measure_subjects(before, np.array(card.template_mm), number, plan.subjects)
    lengths = Lengths.of(subjects)
    frames = read_set(task.sets.calibration)
    known, _ = split_labelled(FrameLabeller(plan.label, teacher, lengths, None, number)(frames))
    calibration = fit_calibration(label_errors(known, frames))
    labels, _ = split_labelled(FrameLabeller(plan.label, teacher, lengths, calibration, number)(read_pool(task.sets)))
    return labels, calibration


def _chosen(labels: pa.Table, calibration: Calibration, task: Task, number: int) -> pa.Table:
    """SELECTIONS of a round: the best labels up to the plan's share, or as many at random."""
    plan = task.plan
    share = plan.accept_share(number)
    limit = float(np.quantile(as_numpy(labels["stability"]), share))
    gate = _ALL if share == 1 else _ALL.model_copy(update={"max_stability": limit})
    if plan.random_choice:
        order = np.random.default_rng([task.seed, number]).permutation(labels.num_rows)
        labels = labels.set_column(
            labels.schema.get_field_index("stability"), "stability", labels["stability"].take(pa.array(order))
        )
    return select_labels(labels, gate, plan.select)


def _label_quality(task: Task, labels: pa.Table, chosen: pa.Table) -> dict[str, float]:
    """For the report alone: how far labels are from the truth nobody learned from."""
    errors = label_errors(labels, open_truth(read_set(task.sets.truth)))
    selected = dict(zip(chosen["frame_id"].to_pylist(), chosen["selected"].to_pylist(), strict=True))
    errors = errors.with_columns(selected=pl.col("frame_id").replace_strict(selected, return_dtype=pl.Boolean))
    return {
        "raw_label_mm": _mean(errors["raw_error_mm"]),
        "label_mm": _mean(errors["error_mm"]),
        "selected_label_mm": _mean(errors.filter("selected")["error_mm"]),
        "acceptance": float(errors["selected"].to_numpy().mean()),
    }


def _mean(column: pl.Series) -> float:
    return float(column.to_numpy().mean()) if len(column) else float("nan")


def _no_labels() -> pl.DataFrame:
    return pl.DataFrame(
        schema={"frame_id": pl.String, "label_mm": pl.List(pl.Float32), "joint_weight": pl.List(pl.Float32)}
    )


def _true_labels(task: Task) -> pl.DataFrame:
    """True poses of a share of the target frames, as labels that weigh alike."""
    known = whole_poses(open_truth(read_set(task.sets.truth)))
    num = round(task.plan.truth_share * known.num_rows)
    known = take_rows(known, np.random.default_rng(task.seed).permutation(known.num_rows)[:num].tolist())
    weight = fixed_list_column(np.ones((known.num_rows, 21), np.float32))
    table = pa.table({"frame_id": known["frame_id"], "label_mm": known["joints_mm"], "joint_weight": weight})
    return pl.DataFrame(pl.from_arrow(table))


def _student(task: Task, teacher: Path, target: Crops | None, number: int) -> Path:
    """A round's share of the steps, from the teacher's weights."""
    config = task.plan.train
    config = config.model_copy(
        update={
            "num_steps": config.num_steps // task.rounds,
            "target_batch": config.target_batch if target is not None else 0,
            "seed": 1000 * task.seed + number,
        }
    )
    network, card = load_model(teacher, task.device)
    return fit(network, card, Data(source_of(task.sets.source, card), target), config, task.models)


def fit(network: HandNetwork, card: ModelCard, data: Data, config: TrainConfig, models: Path) -> Path:
    """Train to the end and keep the EMA teacher; its folder."""
    device = next(network.parameters()).device
    state = TrainState.start(network, config, device)
    for _ in train(state, data, config):
        pass
    return save_model(state.teacher, card, models)


@lru_cache(maxsize=1)
def _source(path: Path, card_json: str) -> Crops:
    return source_crops(open_truth(read_set(path)), ModelCard.model_validate_json(card_json))


def source_of(path: Path, card: ModelCard) -> Crops:
    """The source's crops, cut out once in a process."""
    return _source(path, card.model_copy(update={"sha256": ""}).model_dump_json())
