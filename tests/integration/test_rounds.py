"""Campaigns: truth stays hidden, broken files stay out, a second run repeats nothing."""

import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow import MlflowClient

from made_pools import BROKEN, with_nonsense_for_truth, write_pictures
from semihand.command_line import read_config
from semihand.frames.errors import InputError
from semihand.methods.semihand.weights import read_card
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_rounds
from semihand.rounds.sets import ingest_pool
from semihand.rounds.steps import RoundSteps
from semihand.steps.rules import Thresholds
from semihand.steps.training_data import DataSource, load_data, read_frames
from semihand.tables import SCHEMAS, TRUTH_COLUMNS, Store, deterministic_columns, scan
from semihand.tables.comparing import first_difference

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
LOOSE = Thresholds(max_stability=1e6, max_feasibility_mm=1e6, min_mask_agreement=0.0)
NUM_GOOD, NUM_POINTS = 12, 8


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def labelled_and_selected(tiny_campaign, teacher, frames, folder):
    """Everything up to the training of a round, from a pool with truth in it; the tables and training tensors."""
    folder.mkdir()
    pool = Store(folder / "pool")
    pool.create(["frames"])
    pool.append("frames", frames)
    source = tiny_campaign.folder / "source"
    told = {"campaign": folder / "campaign", "frames": folder / "pool", "source": str(source)}
    campaign = open_campaign(tiny_campaign.config.model_copy(update=told))
    ingest_pool(campaign)
    steps = RoundSteps(campaign, 1, teacher, source, lambda: pa.table({}))
    shutil.copy(tiny_campaign.round_folder(1) / "calibration.json", steps.folder)
    steps.measure()
    steps.label()
    steps.seal()
    steps.select(LOOSE.model_dump())
    tables = {
        name: scan(campaign.store, name).select(deterministic_columns(SCHEMAS[name])).collect()
        for name in ("frames", "labels", "quarantine", "selections")
    }
    data = DataSource(str(source), held_out=40, campaign=str(campaign.folder), round_number=1)
    return tables, load_data(data, read_card(teacher)).target


def test_nonsense_in_the_truth_columns_of_the_pool_changes_nothing(tiny_campaign, teacher, tmp_path):
    frames = read_frames(tiny_campaign.folder / "target").slice(0, 24)
    nonsense = with_nonsense_for_truth(frames)
    tables, crops = labelled_and_selected(tiny_campaign, teacher, frames, tmp_path / "true")
    misled, misled_crops = labelled_and_selected(tiny_campaign, teacher, nonsense, tmp_path / "misled")
    for name in tables:
        assert first_difference(misled[name], tables[name]) == "", name
    for ours, theirs in zip(misled_crops, crops, strict=True):
        assert torch.equal(ours, theirs)
    assert crops.joint_weight.sum() > 0
    assert len(tables["selections"]) == len(tables["labels"]) > 20
    for name in TRUTH_COLUMNS:
        assert misled["frames"][name].null_count() == 24
        there = [scan(tmp_path / each / "pool", "frames").collect() for each in ("true", "misled")]
        assert first_difference(*(rows.select("frame_id", name) for rows in there)) == f"column {name}"


@pytest.fixture(scope="module")
def own_data(tiny_campaign, teacher, tmp_path_factory):
    """A round on a folder with broken files, from a labelled manifest and a teacher, calibrated on checked frames."""
    folder = tmp_path_factory.mktemp("own")
    good = write_pictures(folder / "pictures", read_frames(tiny_campaign.folder / "target"), NUM_GOOD)
    pq.write_table(read_frames(tiny_campaign.folder / "source"), folder / "labelled.parquet")
    points = read_frames(tiny_campaign.folder / "source").slice(0, NUM_POINTS).drop_columns(["joints_mm"])
    place = points.schema.get_field_index("supervision")
    points = points.set_column(place, "supervision", pa.array(["2d"] * NUM_POINTS))
    pq.write_table(points, folder / "points.parquet")
    arguments = {
        "recipe": "tiny", "campaign": folder / "campaign", "frames": folder / "pictures", "hand": "right",
        "source": folder / "labelled.parquet", "source_2d": folder / "points.parquet",
        "calibration": tiny_campaign.folder / "evaluation",
        "teacher": teacher, "train.num_steps": 4, "select.num_trials": 0,
        "rounds": 1,
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))] + ["--cluster.alone"]
    config = read_config(RoundConfig, words, RECIPES, default=None)
    run_rounds(config)
    return config, good


def test_the_ledger_names_the_registered_version_of_every_round_s_model(own_data):
    config, _ = own_data
    client = MlflowClient(f"sqlite:///{config.campaign / 'mlflow.db'}")
    promoted = scan(config.campaign, "rounds").filter(pl.col("step") == "promote").sort("round").collect()
    assert promoted["round"].to_list() == [0, 1]
    for uri, run_id in promoted.select("model_uri", "mlflow_run_id").iter_rows():
        _, name, version = uri.rsplit("/", 2)
        assert client.get_model_version(name, version).run_id == run_id


def test_broken_files_are_quarantined_by_reason_and_all_others_labelled(own_data):
    config, good = own_data
    frames, labels, quarantine = (scan(config.campaign, name).collect() for name in ("frames", "labels", "quarantine"))
    names = pl.col("uri").str.split("/").list.last()
    of_round = quarantine.filter(pl.col("round") == 1).select(names, "reason")
    assert dict(of_round.iter_rows()) == BROKEN
    assert len(of_round) == 4
    joined = labels.join(frames.select("frame_id", names), on="frame_id", how="inner")
    assert sorted(joined["uri"]) == good
    summary = json.loads((config.campaign / "summary.json").read_text(), parse_constant=no_constant)
    assert [each["round"] for each in summary["rounds"]] == [0, 1]
    assert summary["rounds"][1]["labels"] == NUM_GOOD
    assert summary["rounds"][1]["quarantined"] == 4
    assert summary["rounds"][1]["evaluation"] == {}


def test_a_labelled_manifest_is_the_source_and_checked_frames_calibrate(own_data, tiny_campaign, teacher):
    config, _ = own_data
    ids = {
        name: set(scan(folder, "frames").select("frame_id").collect()["frame_id"])
        for name, folder in {
            "source": config.campaign / "source",
            "theirs": tiny_campaign.folder / "source",
            "checked": tiny_campaign.folder / "evaluation",
        }.items()
    }
    assert ids["source"] == ids["theirs"]
    points = scan(config.campaign / "source_2d", "frames").collect()
    assert points["joints_uv_px"].null_count() == 0
    assert len(points) == points["joints_mm"].null_count() == NUM_POINTS
    errors = pl.read_parquet(config.campaign / "rounds" / "1" / "calibration.parquet")
    assert len(errors) > 40
    labels = scan(config.campaign, "labels").collect()
    assert set(labels["model"]) == {read_card(teacher).sha256}
    assert set(errors["frame_id"]) <= ids["checked"]
    assert config.held_out == 0


def test_a_campaign_leaves_its_summary_its_models_and_a_run_per_round(tiny_campaign, tiny_summary):
    summary = json.loads((tiny_campaign.folder / "summary.json").read_text(), parse_constant=no_constant)
    first, second = summary["rounds"]
    assert first["evaluation"]["frames"] == second["evaluation"]["frames"] == 48
    assert second["labels"] + second["quarantined"] == 96
    assert second["selected"] > 0
    assert tiny_campaign.store.is_sealed(1)
    tracker = tiny_campaign.tracker
    client = MlflowClient(tracker.uri, tracker.uri)
    [experiment] = [each for each in client.search_experiments() if each.name == tiny_campaign.name]
    runs = {run.data.tags["round"]: run for run in client.search_runs([experiment.experiment_id])}
    assert {"0", "1"} <= runs.keys()
    assert runs["1"].data.metrics["epe_mm"] == pytest.approx(second["evaluation"]["epe_mm"])
    tags = runs["1"].data.tags
    assert tags["transductive"] == runs["1"].data.params["transductive"] == "false"
    assert tags["shared_with_evaluation"].split(" (target-")[0].endswith(" subjects")
    assert tags["shared_with_calibration"] == "nothing"
    figures = {each.path for each in client.list_artifacts(runs["1"].info.run_id, "figures")}
    expected = ("same_frames_before_after", "same_frames_movement", "labels_worst", "pck")
    assert {f"figures/{name}.png" for name in expected} <= figures
    inputs = {each.dataset.name for each in runs["1"].inputs.dataset_inputs}
    assert {"labels", "selections", "frames"} <= inputs
    assert tracker.champion() is not None


def as_text(rounds):
    """Figures that compare equal where they are no number."""
    return json.dumps(rounds, sort_keys=True)


def state_of(campaign):
    """Table versions and files of a campaign, those of MLflow aside."""
    versions = {name: campaign.store.version(name) for name in SCHEMAS}
    files = {
        str(path): path.stat().st_mtime_ns
        for part in ("models", "fits", "source", "target", "evaluation", "tables", "rounds")
        for path in (campaign.folder / part).rglob("*")
        if path.is_file()
    }
    return versions, files


def test_a_finished_campaign_run_again_repeats_nothing(tiny_campaign, tiny_summary):
    before = state_of(tiny_campaign)
    steps = scan(tiny_campaign.store, "rounds").collect()
    assert sorted(steps.filter(pl.col("round") == 1)["step"]) == sorted(
        ["subjects", "calibrate", "label", "seal", "search", "select", "train", "evaluate", "promote"]
    )
    again = run_rounds(tiny_campaign.config)
    assert state_of(tiny_campaign) == before
    assert as_text(again.rounds) == as_text(tiny_summary.rounds)


def test_a_campaign_does_not_go_on_with_another_configuration(tiny_campaign):
    with pytest.raises(InputError, match=r"crop_margin was 1\.2, is 1\.5.*--campaign") as refused:
        run_rounds(tiny_campaign.config.model_copy(update={"crop_margin": 1.5}))
    assert "\n" not in str(refused.value)
