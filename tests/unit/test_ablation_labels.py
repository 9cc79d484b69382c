"""ablation/labels.py: rows choose equally many labels, however they choose them; what is said of labels."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from frames_tables import with_column
from table_rows import frame_rows, ids, label_rows

from sample_hands import random_hands_mm
from semihand.ablation import labels as labelling
from semihand.ablation.labels import Labelled, choose_labels, draw_labels, label_quality
from semihand.ablation.plans import Plan
from semihand.ablation.sets import Sets
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import SELECTIONS, as_numpy, fixed_list_column

NUM, SHARE = 200, 0.45


def plan(**changes: object) -> Plan:
    return Plan.model_validate({"about": "", "learns_from": "labels", "accept_shares": [SHARE], **changes})


@pytest.fixture(scope="module")
def labels() -> pa.Table:
    """Labels of forty poses, five near duplicates each, expected errors in the order of stability."""
    rng = np.random.default_rng(1)
    joints_mm = np.repeat(random_hands_mm(40, 1), 5, axis=0) + rng.normal(0, 0.3, (NUM, 21, 3))
    stability = rng.permutation(NUM).astype(np.float32)
    table = label_rows(ids(NUM))
    for name, values in {
        "label_mm": fixed_list_column(joints_mm.astype(np.float32)),
        "stability": pa.array(stability),
        "predicted_error_mm": pa.array(2 + stability / 10),
        "feasibility_mm": pa.array(rng.uniform(0, 1, NUM), pa.float32()),
        "mask_agreement": pa.array(rng.uniform(0.7, 1, NUM), pa.float32()),
        "joint_confidence": fixed_list_column(rng.uniform(0.1, 1, (NUM, 21)).astype(np.float32)),
        "subject_id": pa.nulls(NUM, pa.string()),
    }.items():
        table = with_column(table, name, values)
    return table.append_column("hand", pa.array(["right"] * NUM)).append_column(
        "sequence_id", pa.nulls(NUM, pa.string())
    )


@pytest.mark.parametrize("confidence", ["isotonic", "fused"])
def test_the_best_share_of_all_labels_is_taken(labels: pa.Table, confidence: str):
    chosen, clusters = choose_labels(plan(calibrate={"confidence": confidence}), labels, 1, None)
    best = np.argsort(as_numpy(labels["stability"]))[: round(SHARE * NUM)]
    assert set(chosen["frame_id"].to_pylist()) == {labels["frame_id"][row].as_py() for row in best.tolist()}
    assert clusters is None


@pytest.mark.parametrize("share", [SHARE, 1.0])
def test_choosing_by_cluster_takes_the_same_share_in_every_round(labels: pa.Table, share: float):
    by_cluster = plan(accept_shares=[share], select={"by_cluster": True, "cluster": {"num_clusters": 8}})
    before = None
    for number in (1, 2):
        chosen, clusters = choose_labels(by_cluster, labels, number, before)
        assert share * NUM <= chosen.num_rows <= share * NUM + 8  # each cluster rounds up
        before = Labelled(labels, labels, chosen, clusters)


def test_thinning_takes_better_spread_labels_not_fewer(labels: pa.Table):
    few = plan(accept_shares=[0.15], select={"thin_mm": 3.0})
    chosen, _ = choose_labels(few, labels, 1, None)
    assert chosen.num_rows == round(0.15 * NUM)
    place = {frame_id: row for row, frame_id in enumerate(ids(NUM))}
    poses = [place[frame_id] // 5 for frame_id in chosen["frame_id"].to_pylist()]
    assert len(set(poses)) == len(poses)
    alone, _ = choose_labels(plan(select={"thin_mm": 3.0}), labels, 1, None)
    assert alone.num_rows == 40  # there are no more that differ


def test_as_many_are_drawn_at_random_whatever_else_the_plan_selects_by(labels: pa.Table):
    drawing = plan(select={"thin_mm": 3.0, "by_cluster": True})
    bare = labels.drop_columns(["hand", "sequence_id"])
    drawn = draw_labels(drawing, bare, 90, [1, 1])
    assert (drawn.num_rows, set(drawn["selected"].to_pylist())) == (90, {True})
    assert as_numpy(drawn["joint_weight"]).min() > 0
    assert draw_labels(drawing, bare, 90, [2, 1])["frame_id"] != drawn["frame_id"]


def test_labels_are_made_on_the_device_of_the_row(teacher: Path, card, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    lengths = Lengths({UNNAMED: np.array(card.template_mm)})
    assert FrameLabeller(LabelConfig(), teacher, lengths, None, 1, device="cpu").device == "cpu"


def quality_of(labels: pa.Table) -> dict[str, float]:
    return label_quality(Labelled(labels, labels, SELECTIONS.empty_table(), None), Sets(*[Path("unused")] * 5))


def test_labels_are_measured_before_and_after_correction_and_what_cannot_be_said_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
):
    true_mm = (random_hands_mm(12, 5) + np.array([0, 0, 500])).astype(np.float32)
    frames = with_column(frame_rows(12), "joints_mm", fixed_list_column(true_mm))
    frames = with_column(frames, "supervision", pa.array(["3d"] * 12))
    monkeypatch.setattr(labelling, "read_set", lambda path: frames)
    labels, off_mm = label_rows(ids(12)), np.linspace(1, 9, 21)[:, None] * np.array([1, 0, 0])
    said_mm = {"joints_mm": true_mm + 4 * off_mm, "corrected_mm": true_mm, "label_mm": true_mm + off_mm}
    for name, values in said_mm.items():
        labels = with_column(labels, name, fixed_list_column(values.astype(np.float32)))
    figures = quality_of(labels)
    assert figures["corrected_label_mm"] == pytest.approx(0, abs=1e-3)
    rejected = with_column(labels, "correction_kept", pa.array([False] * 12))
    assert quality_of(rejected)["corrected_label_mm"] == pytest.approx(figures["raw_label_mm"])
    assert figures["raw_label_mm"] > figures["label_mm"] > 0.5
    assert figures["acceptance"] == 0
    assert "selected_label_mm" not in figures
    assert np.isfinite(list(figures.values())).all()
