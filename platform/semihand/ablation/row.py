"""One row of the ablation: its rounds of labelling, selection and training, in this process."""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from semihand.ablation.labels import Labelled, label_quality, label_round
from semihand.ablation.results import RowResult
from semihand.ablation.sets import read_pool, read_set
from semihand.ablation.task import Task
from semihand.frames.truth import open_truth, whole_poses
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.radii import RadiusNetwork
from semihand.methods.semihand.weights import ModelCard, load_model, read_card, save_model
from semihand.steps.evaluate import PROTOCOLS, evaluate
from semihand.steps.protocols import scores
from semihand.steps.radii import RadiiConfig, train_radii
from semihand.steps.train import Data, TrainConfig, TrainState, train
from semihand.steps.training_set import kept_corrections, source_crops, target_crops
from semihand.tables import fixed_list_column
from semihand.tables.rows import take_rows


def run_row(task: Task) -> RowResult:
    """The rounds of a row, and what its last student makes of the evaluation frames."""
    started = time.monotonic()
    student, labelled = task.start, None
    for number in range(1, task.rounds + 1):
        if task.plan.learns_from == "labels":
            labelled = label_round(task, student, number, labelled)
        student = _student(task, student, _target(task, labelled), number)
    metrics, errors = _evaluated(task, student)
    metrics |= {} if labelled is None else label_quality(labelled, task.sets)
    return RowResult(metrics | {"seconds": time.monotonic() - started}, errors, student, task.start)


def _evaluated(task: Task, model: Path) -> tuple[dict[str, float], pl.DataFrame]:
    """Figures on the unseen target frames, and the errors they are means of."""
    found = evaluate(read_set(task.sets.evaluation), model, PROTOCOLS["default"], task.device)
    _, of_paper = scores(found.joints_mm, found.true_mm, PROTOCOLS["stb"])
    errors = pl.DataFrame({"frame_id": found.frame_ids, "error_mm": found.error_mm.mean(-1)}).sort("frame_id")
    return found.metrics | {"auc_20_50": of_paper["auc"]}, errors


def _target(task: Task, labelled: Labelled | None) -> Crops | None:
    """What of the target the plan lets its student see."""
    plan, card = task.plan, read_card(task.start)
    if plan.learns_from == "source":
        return None
    pool = read_pool(task.sets)
    if plan.learns_from == "frames":
        return target_crops(pool, _no_labels(), card)
    if plan.learns_from == "truth":
        return target_crops(pool, _true_labels(task), card)
    assert labelled is not None
    columns = ["frame_id", "label_mm", "corrected_mm", "correction_kept"]
    labels = pl.DataFrame(pl.from_arrow(labelled.labels.select(columns)))
    selected = pl.DataFrame(pl.from_arrow(labelled.selected.select(["frame_id", "joint_weight"])))
    registered = kept_corrections(labels.lazy()) if plan.train.objective.losses.registration_weight else None
    return target_crops(pool, labels.join(selected, on="frame_id", how="inner"), card, registered)


def _no_labels() -> pl.DataFrame:
    numbers = pl.List(pl.Float32)
    return pl.DataFrame(schema={"frame_id": pl.String, "label_mm": numbers, "joint_weight": numbers})


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
    source = source_of(task.sets.source, card)
    radii = _radii(task.sets.source, card) if config.objective.losses.cross_modal_weight else None
    return save_model(fit(network, Data(source, target), config, radii), card, task.models)


def fit(network: HandNetwork, data: Data, config: TrainConfig, radii: RadiusNetwork | None = None) -> HandNetwork:
    """Train to the end; the EMA teacher."""
    device = next(network.parameters()).device
    state = TrainState.start(network, config, device, radii)
    for _ in train(state, data, config):
        pass
    return state.teacher


def source_of(path: Path, card: ModelCard) -> Crops:
    """The source's crops, cut out once in a process."""
    return _source(path, _without_hash(card))


@lru_cache(maxsize=1)
def _source(path: Path, card_json: str) -> Crops:
    return source_crops(open_truth(read_set(path)), ModelCard.model_validate_json(card_json))


def _radii(path: Path, card: ModelCard) -> RadiusNetwork:
    return _trained_radii(path, _without_hash(card))


@lru_cache(maxsize=1)
def _trained_radii(path: Path, card_json: str) -> RadiusNetwork:
    return train_radii(_source(path, card_json), RadiiConfig())


def _without_hash(card: ModelCard) -> str:
    return card.model_copy(update={"sha256": ""}).model_dump_json()
