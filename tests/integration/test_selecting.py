"""A campaign of several rounds: it fuses confidence, selects by cluster, thins near duplicates, and stops at rest."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from semihand.command_line import read_config
from semihand.rounds.campaign import Campaign, open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_rounds
from semihand.rounds.steps import RoundSteps
from semihand.rounds.summary import Summary
from semihand.steps.clusters import read_clusters
from semihand.steps.confidence import FusedConfidence
from semihand.tables import scan
from semihand.tables.comparing import first_difference

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"


class Campaigns(NamedTuple):
    """A campaign that was run twice: what it held after its first round, and it as it is."""

    first: Summary
    first_labels: pl.DataFrame
    first_steps: pl.DataFrame
    last: Summary
    campaign: Campaign


def labels_of_first_round(campaign: Campaign) -> pl.DataFrame:
    return scan(campaign.store, "labels").filter(pl.col("round") == 1).collect()


@pytest.fixture(scope="module")
def campaigns(tiny_campaign, teacher, tmp_path_factory):
    """One round, then four asked for, of which a stop rule that anything meets leaves three."""
    arguments = {
        "recipe": "tiny", "campaign": tmp_path_factory.mktemp("chosen") / "campaign",
        "frames": tiny_campaign.folder / "target", "source": tiny_campaign.folder / "source", "teacher": teacher,
        "train.num_steps": 2, "rounds": 1, "calibrate.confidence": "fused",
        "select.cluster.num_clusters": 4, "select.thin_mm": 0.5, "stop.movement_share": 100,
        "promote.max_relative_error": 9,  # every round has a new teacher
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    words += ["--select.by_cluster", "--cluster.alone"]
    config = read_config(RoundConfig, words, RECIPES, default=None)
    summary, campaign = run_rounds(config), open_campaign(config)
    labels, steps = labels_of_first_round(campaign), scan(campaign.store, "rounds").collect()
    more = config.model_copy(update={"rounds": 4})
    return Campaigns(summary, labels, steps, run_rounds(more), open_campaign(more))


@pytest.fixture(scope="module")
def finished(campaigns):
    return campaigns.campaign


def test_more_rounds_continue_a_campaign_from_its_champion(finished, campaigns):
    first, last = (json.dumps(each.rounds[:2]) for each in (campaigns.first, campaigns.last))  # NaN equals NaN as text
    assert last == first
    assert first_difference(labels_of_first_round(finished), campaigns.first_labels) == ""
    assert all(finished.store.is_sealed(number) for number in (1, 2, 3))
    steps = scan(finished.store, "rounds").collect()
    assert len(steps.filter(pl.col("round") < 2)) == len(campaigns.first_steps)
    models = scan(finished.store, "labels").group_by("round").agg(pl.col("model").unique()).collect()
    of_round = dict(models.iter_rows())
    assert all(len(each) == 1 for each in of_round.values())
    for number in (1, 2):
        assert (of_round[number] != of_round[number + 1]) == bool(campaigns.last.rounds[number]["promoted"])


def test_a_campaign_that_has_come_to_rest_ends_and_says_why(finished):
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert [each["round"] for each in summary["rounds"]] == [0, 1, 2, 3]
    assert summary["stopped"].startswith("stopped after round 3 of 4: the median label moved ")
    moved = [each.get("median_moved_mm") for each in summary["rounds"]]
    assert moved[:2] == [None, None]
    assert f"{[each for each in moved if each is not None][-1]:.2f}" in summary["stopped"]


def test_labels_know_the_error_expected_of_them_and_of_their_joints(finished, teacher):
    labels = scan(finished.store, "labels").filter(pl.col("round") == 1).collect()
    steps = RoundSteps(finished, 1, teacher, finished.folder / "source", pl.DataFrame().to_arrow)
    model = steps.read_calibration()
    assert isinstance(model, FusedConfidence)
    assert {"stability", "feasibility_mm", "mask_agreement", "spread"} <= set(model.components)
    assert labels["predicted_error_mm"].n_unique() > 5
    joints = labels["joint_predicted_error_mm"].to_numpy()
    assert joints.shape == (len(labels), 21)
    assert np.isfinite(joints).all()
    assert (joints > 0).all()


def test_every_cluster_has_its_share_and_clusters_stay_from_round_to_round(finished):
    selections = scan(finished.store, "selections").collect()
    first, second = (read_clusters(finished.round_folder(number) / "clusters.json") for number in (1, 2))
    assert first.score == second.score == "predicted_error_mm"
    assert first.centres == second.centres
    of_round = selections.filter(pl.col("round") == 1)
    assert set(of_round["pose_cluster"]) <= set(range(4))
    assert set(of_round["reason"]) <= {"accepted in its cluster", "beyond its cluster", "near duplicate"}
    assert 0 < of_round["selected"].sum() < len(of_round)
