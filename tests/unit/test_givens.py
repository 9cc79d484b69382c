"""rounds/givens.py and second_teacher.py: what a round is given is what the one before left, whatever came between."""

import shutil

import numpy as np
import polars as pl
import pytest
from frames_tables import with_column
from table_rows import ids, label_rows

from semihand.ablation import labels as ablation
from semihand.ablation.plans import Plan
from semihand.ablation.sets import Sets
from semihand.ablation.task import Task
from semihand.frames.errors import InputError
from semihand.methods.semihand.weights import read_card
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.givens import CALIBRATION_LABELS, accepted_labels, keep_calibration, previous_calibration
from semihand.steps.calibrate import Calibration
from semihand.steps.previous import PreviousLabels
from semihand.tables import SELECTIONS, as_numpy, rows_of
from semihand.tables.rows import take_rows


def campaign_of(tmp_path, **given):
    return open_campaign(RoundConfig(campaign=tmp_path / "campaign", **given))


def test_the_calibration_labels_of_a_round_are_the_nexts_previous_ones(tmp_path):
    campaign, labels = campaign_of(tmp_path), label_rows(ids(5))
    assert previous_calibration(campaign, 1) is None
    keep_calibration(labels, campaign.round_folder(1))
    found = PreviousLabels(previous_calibration(campaign, 2)).rows(ids(5))
    np.testing.assert_array_equal(found.corrected_mm, as_numpy(labels["corrected_mm"]))
    np.testing.assert_array_equal(found.joints_mm, as_numpy(labels["joints_mm"]))


def test_the_calibration_labels_are_the_same_file_whichever_actor_was_first(tmp_path):
    labels, kept = label_rows(ids(5)), []
    for order in ([0, 1, 2, 3, 4], [3, 4, 0, 2, 1]):
        keep_calibration(take_rows(labels, order), tmp_path)
        kept.append((tmp_path / CALIBRATION_LABELS).read_bytes())
    assert kept[0] == kept[1]


def test_accepted_labels_come_by_id_whatever_order_they_were_written_in(tmp_path):
    campaign, labels = campaign_of(tmp_path), label_rows(ids(40))
    for part in (slice(25, 40), slice(0, 25)):
        campaign.store.append("labels", take_rows(labels, list(range(40))[part][::-1]), 1)
    num = labels.num_rows
    chosen = {"selected": [True] * num, "weight": np.ones(num, np.float32), "reason": ["accepted"] * num}
    keys = {name: labels[name] for name in ("frame_id", "round", "labeller")}
    campaign.store.append("selections", rows_of(SELECTIONS, keys | chosen), 1)
    assert accepted_labels(campaign, 1)["frame_id"].to_list() == sorted(ids(40))
    assert isinstance(accepted_labels(campaign, 0), pl.DataFrame)


def test_a_campaign_keeps_its_second_teacher_when_the_users_folder_goes(tmp_path, teacher):
    assert campaign_of(tmp_path / "one").second_teacher is None
    given = shutil.copytree(teacher, tmp_path / "given")
    first = campaign_of(tmp_path, second_teacher=given).second_teacher
    shutil.rmtree(given)
    again = campaign_of(tmp_path, second_teacher=given).second_teacher
    assert first == again
    assert read_card(again).sha256 == read_card(teacher).sha256
    with pytest.raises(InputError, match="--second_teacher"):
        campaign_of(tmp_path / "other", second_teacher=given)


def test_a_rows_calibration_labels_are_carried_as_its_pools_are(tmp_path, teacher, target_frames, monkeypatch):
    given = []

    class Labeller(ablation.FrameLabeller):
        def __init__(self, *args, previous=None, **more):
            given.append(previous)
            super().__init__(*args, previous=previous, **more)

    monkeypatch.setattr(ablation, "FrameLabeller", Labeller)
    fitted = Calibration(stability=[0.0, 100.0], expected_mm=[1.0, 20.0])
    monkeypatch.setattr(ablation, "fit_confidence", lambda errors, kind: fitted)
    checked = with_column(target_frames, "supervision", ["3d"] * target_frames.num_rows)
    monkeypatch.setattr(ablation, "read_set", lambda path: checked.slice(0, 4))
    monkeypatch.setattr(ablation, "read_pool", lambda sets: target_frames.slice(4))
    plan, before = Plan(about="carried", learns_from="labels", label={"carry": True}), None
    task = Task(plan, Sets(*[tmp_path] * 5), teacher, None, 2, 1, tmp_path, "cpu")
    for number in (1, 2):
        before = ablation.label_round(task, teacher, number, before)
    assert given[:2] == [None, None]
    of = checked["frame_id"].to_pylist()
    known = [np.isfinite(each.rows(of).corrected_mm).all((1, 2)) for each in given[2:]]
    np.testing.assert_array_equal(known[0], np.arange(10) < 4)
    np.testing.assert_array_equal(known[1], np.arange(10) >= 4)
