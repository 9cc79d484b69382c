"""The tracking room against a real sqlite store, and against a server that is not there."""

import ast
import json
import logging
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient

from semihand.failpoints import VARIABLE, LostAnswerError, arm
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.predictor import Predictor
from semihand.methods.semihand.weights import ModelCard, save_model
from semihand.tracking import CampaignTracker, registry
from semihand.tracking.parameters import finite_metrics, flatten_parameters, model_name
from semihand.tracking.spool import Entry, Spool

CANARY = "hunter2-canary"
CONFIG = {"seed": 7, "training": {"rate": 0.1, "api_token": CANARY}, "source": f"s3://me:{CANARY}@store/x"}


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One campaign folder, with a space in its name, for the whole file: making a store takes seconds."""
    return tmp_path_factory.mktemp("a campaign")


@pytest.fixture
def tracker(folder):
    return CampaignTracker("night drive", folder)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models"), seed=3)


def save_random_model(models: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    config = NetworkConfig(width=8, depth=1, decoder_channels=16)
    template_mm = [30.0 + bone for bone in range(20)]
    card = ModelCard(network=config, crop_margin=1.2, template_mm=template_mm)
    return save_model(HandNetwork(config).eval(), card, models)


def client_of(tracker: CampaignTracker) -> MlflowClient:
    return MlflowClient(tracker.uri, tracker.uri)


def data_of(tracker: CampaignTracker, run_id: str):
    return client_of(tracker).get_run(run_id).data


def test_a_resumed_round_continues_its_run_and_logs_nothing_twice(tracker, folder):
    with tracker.round_run(1, CONFIG) as run:
        run.log_curve("loss", range(3), [3.0, 2.0, 1.5])
        first = run.run_id
    with CampaignTracker("night drive", folder).round_run(1, {**CONFIG, "seed": 8}) as again:
        again.log_curve("loss", range(5), [3.0, 2.0, 1.5, 1.2, 1.1])
    assert again.run_id == first
    points = client_of(tracker).get_metric_history(first, "loss")
    assert sorted((point.step, point.value) for point in points) == [
        (0, 3.0),
        (1, 2.0),
        (2, 1.5),
        (3, 1.2),
        (4, 1.1),
    ]
    data = data_of(tracker, first)
    assert data.params["seed"] == "7"
    assert data.tags["changed.seed"] == "8"
    assert "changed.training.rate" not in data.tags


def test_rounds_are_runs_of_their_own_in_one_experiment(tracker):
    with tracker.round_run(2, CONFIG) as second, tracker.round_run(3, CONFIG) as third:
        assert second.run_id != third.run_id
    experiments = {client_of(tracker).get_run(run.run_id).info.experiment_id for run in (second, third)}
    assert len(experiments) == 1
    assert client_of(tracker).get_experiment(experiments.pop()).name == "night drive"


def test_a_round_that_raises_ends_failed_and_lets_the_error_through(tracker):
    with pytest.raises(RuntimeError, match="the reason"), tracker.round_run(4, {}) as run:
        raise RuntimeError("the reason")
    assert client_of(tracker).get_run(run.run_id).info.status == "FAILED"


def test_no_secret_reaches_the_store(tracker, folder):
    with tracker.round_run(5, CONFIG) as run:
        run.log_tags({"source": f"https://me:{CANARY}@host/path"})
    parameters = data_of(tracker, run.run_id).params
    assert parameters["training.api_token"] == "[redacted]"
    assert parameters["source"] == "s3://[redacted]@store/x"
    assert CANARY.encode() not in (folder / "mlflow.db").read_bytes()


def test_numbers_that_are_not_finite_become_tags(tracker):
    with tracker.round_run(6, {}) as run:
        run.log_metrics({"evaluation": {"epe_mm": 12.5, "auc": float("nan")}, "labels": np.int64(40)}, step=6)
        run.log_curve("lr", [0, 1, 2], [0.1, float("inf"), 0.3])
    data = data_of(tracker, run.run_id)
    assert data.metrics == {"evaluation.epe_mm": 12.5, "labels": 40.0, "lr": 0.3}
    assert data.tags["not_finite.evaluation.auc"] == "nan"
    assert data.tags["not_finite.lr"] == "1 of 3 points"


def test_inputs_name_path_and_version_of_every_table(tracker, folder):
    tables = {"labels": (folder / "tables/labels", 4), "selections": (folder / "tables/selections", 0)}
    with tracker.round_run(7, {}) as run:
        run.log_inputs(tables)
        run.log_inputs(tables)
    inputs = client_of(tracker).get_run(run.run_id).inputs.dataset_inputs
    sources = {item.dataset.name: json.loads(item.dataset.source) for item in inputs}
    assert len(inputs) == 2
    assert sources["labels"]["path"] == str((folder / "tables/labels").resolve())
    assert {name: source["delta_table_version"] for name, source in sources.items()} == {
        "labels": 4,
        "selections": 0,
    }
    assert {tag.value for item in inputs for tag in item.tags if tag.key == "mlflow.data.context"} == set(tables)


def test_tables_figures_and_pages_become_artifacts_of_the_campaign_folder(tracker, folder):
    table = pl.DataFrame({"t": [0.1, 0.2], "error_mm": [float("nan"), 3.0], "who": ["ä", None]})
    with tracker.round_run(8, {}) as run:
        run.log_table("threshold search", table)
        run.log_figure("overlays/best", Figure())
        run.log_page("round", "<p>größer</p>")
        run.log_text("notes.txt", "seen")
    client = client_of(tracker)
    names = {item.path for top in ("", "tables", "figures/overlays") for item in client.list_artifacts(run.run_id, top)}
    assert {"tables/threshold_search.json", "figures/overlays/best.png", "round.html", "notes.txt"} <= names
    stored = list((folder / "mlartifacts").rglob("threshold_search.json"))
    assert json.loads(stored[0].read_text()) == {
        "columns": ["t", "error_mm", "who"],
        "data": [[0.1, None, "ä"], [0.2, 3.0, None]],
    }
    assert "threshold_search.json" in client.get_run(run.run_id).data.tags["mlflow.loggedArtifacts"]


def test_the_champion_predicts_in_a_fresh_process_and_nothing_in_it_is_a_pickle(
    tracker, folder, model_folder, tmp_path
):
    with tracker.round_run(9, {}) as run:
        registered = run.register_model(model_folder, {"epe_mm": 20.0})
        assert run.register_model(model_folder, {"epe_mm": 20.0}) == registered
        other = run.register_model(save_random_model(tmp_path, seed=4), {"epe_mm": 25.0})
    assert tracker.champion() is None
    run.promote(other.version)
    run.promote(registered.version)
    assert tracker.champion() == registered.version == other.version - 1
    endings = {path.suffix for path in (folder / "mlartifacts/models").rglob("*") if path.is_file()}
    assert ".safetensors" in endings
    assert not endings & {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".pyc"}
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "pictures.npy", pictures)
    served = predict_in_fresh_process(tracker, tmp_path)
    expected_uv, expected_mm = Predictor(model_folder).predict(list(pictures))
    np.testing.assert_allclose(served["joints_uv_px"], expected_uv, atol=1e-3)
    np.testing.assert_allclose(served["joints_mm"], expected_mm, rtol=1e-4, atol=1e-2)
    assert np.ptp(served["joints_uv_px"], axis=0).max() > 0
    sources = [Path(line) for line in (tmp_path / "sources.txt").read_text().splitlines()]
    assert_requirements_cover(sources, folder / "mlartifacts")


PREDICT = """
import sys, mlflow, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
pictures = np.load("pictures.npy")
joints = model.predict(pictures)
listed = model.predict([picture for picture in pictures])
np.testing.assert_array_equal(joints["joints_uv_px"], listed["joints_uv_px"])
import semihand
assert "mlartifacts" in semihand.__file__, semihand.__file__
np.savez("joints.npz", **joints)
files = [module.__file__ for name, module in sys.modules.items() if name.startswith("semihand")]
open("sources.txt", "w").write("\\n".join(file for file in files if file))
"""


def test_a_models_files_are_safe_from_a_power_cut_before_a_version_names_them(tracker, tmp_path, monkeypatch):
    done, sync, create = [], registry.files.sync, MlflowClient.create_model_version
    monkeypatch.setattr(registry.files, "sync", lambda path: done.append(path) or sync(path))
    monkeypatch.setattr(
        MlflowClient, "create_model_version", lambda *given, **named: done.append("version") or create(*given, **named)
    )
    with tracker.round_run(13, {}) as run:
        run.register_model(save_random_model(tmp_path, seed=5))
    names = [Path(path).name for path in done[: done.index("version")]]
    assert {"weights.safetensors", "MLmodel", "served_model.py"} <= set(names)


def predict_in_fresh_process(tracker: CampaignTracker, folder: Path) -> dict[str, np.ndarray]:
    settings = {
        "MLFLOW_TRACKING_URI": tracker.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
    }
    environment = {**os.environ, **settings, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-c", PREDICT, f"models:/{tracker.model_name}@champion"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "joints.npz"))


def assert_requirements_cover(sources: list[Path], artifacts: Path) -> None:
    imported = {name for source in sources for name in imported_packages(source)}
    imported -= set(sys.stdlib_module_names) | {"semihand"}
    known = packages_distributions()
    needed = {known[name][0].lower() for name in imported}
    [requirements] = {path.read_text() for path in artifacts.rglob("requirements.txt")}
    assert {"torch", "kornia", "numpy"} <= needed
    assert needed <= {line.split("==")[0] for line in requirements.splitlines()}


def imported_packages(source: Path) -> set[str]:
    """Top-level packages that a file imports when it is itself imported."""
    names = set()
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_a_model_that_was_uploaded_and_is_no_version_yet_becomes_one_and_is_not_uploaded_again(
    folder, tmp_path, monkeypatch
):
    model = save_random_model(tmp_path / "models", seed=6)
    (tmp_path / "failpoints").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "failpoints"))
    arm(tmp_path / "failpoints", "record.uploaded", kills=0, losses=2)
    for _ in range(2):
        tracker = CampaignTracker("uploaded", folder)
        with pytest.raises(LostAnswerError), tracker.round_run(1, {}) as run:
            run.register_model(model, {"epe_mm": 20.0})
        assert tracker.champion() is None
    tracker = CampaignTracker("uploaded", folder)
    with tracker.round_run(1, {}) as run:
        run.promote(run.register_model(model, {"epe_mm": 20.0}).version)
    assert tracker.champion() == 1
    client = client_of(tracker)
    experiment = client.get_experiment_by_name("uploaded").experiment_id
    [uploaded] = client.search_logged_models([experiment])
    [made] = client.search_model_versions(f"name = '{tracker.model_name}'")
    assert made.source == f"models:/{uploaded.model_id}"
    assert tracker.versions(model) == {1: True}
    assert [output.model_id for output in client.get_run(run.run_id).outputs.model_outputs] == [uploaded.model_id]
    assert len(list((folder / "mlartifacts").rglob(f"{uploaded.model_id}/artifacts/MLmodel"))) == 1


def test_a_server_that_is_down_warns_once_delays_little_and_is_told_everything_later(
    tmp_path, folder, model_folder, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    away = CampaignTracker("away", tmp_path)
    with caplog.at_level(logging.WARNING, "semihand"), away.round_run(1, CONFIG) as run:
        run.log_metrics({"epe_mm": 9.0})
        run.log_curve("loss", [0, 1], [2.0, 1.0])
        registered = run.register_model(model_folder)
        assert run.run_id is None
    run.promote(registered.version)
    assert away.champion() is None
    assert registered.version is None
    assert registered.uri.startswith("file://")
    warnings = [record.message for record in caplog.records if record.name.startswith("semihand")]
    assert len(warnings) == 1
    assert "secret" not in warnings[0]
    assert CANARY not in (tmp_path / "mlflow_spool.jsonl").read_text()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    back = CampaignTracker("away", tmp_path)
    with back.round_run(2, CONFIG):
        pass
    assert not (tmp_path / "mlflow_spool.jsonl").exists()
    assert back.champion() == 1
    client = client_of(back)
    [experiment] = [item for item in client.search_experiments() if item.name == "away"]
    [late] = [item for item in client.search_runs([experiment.experiment_id]) if item.data.tags["round"] == "1"]
    assert late.info.status == "FINISHED"
    assert late.data.metrics == {"epe_mm": 9.0, "loss": 1.0}
    assert len(client.get_metric_history(late.info.run_id, "loss")) == 2


def test_a_spool_sent_twice_logs_once(tracker, folder):
    entry = Entry("metrics", 10, {"metrics": {"epe_mm": 4.0}, "step": None, "timestamp_ms": 1_700_000_000_000})
    spool = Spool(folder / "mlflow_spool.jsonl")
    for _ in range(2):
        spool.append(entry)
        with tracker.round_run(10, {}) as run:
            pass
    assert len(client_of(tracker).get_metric_history(run.run_id, "epe_mm")) == 1


def test_an_entry_that_mlflow_refuses_is_set_aside_and_the_rest_is_sent(tracker, folder):
    spool = Spool(folder / "mlflow_spool.jsonl")
    spool.append(Entry("champion", 11, {"version": 4321}))
    spool.append(Entry("tags", 11, {"seen": "yes"}))
    with tracker.round_run(11, {}) as run:
        pass
    assert data_of(tracker, run.run_id).tags["seen"] == "yes"
    assert "4321" in (folder / "mlflow_refused.jsonl").read_text()
    assert not spool


def test_a_store_that_is_no_database_does_not_stop_the_round(tmp_path, caplog):
    (tmp_path / "mlflow.db").write_bytes(b"no database, " * 100)
    with CampaignTracker("broken", tmp_path).round_run(1, {"seed": 1}) as run:
        run.log_metrics({"epe_mm": 1.0})
    assert run.run_id is None
    assert {entry.kind for entry in Spool(tmp_path / "mlflow_spool.jsonl").read()} == {
        "status",
        "parameters",
        "metrics",
    }


def test_a_spool_cut_short_by_a_crash_keeps_its_whole_lines(tmp_path):
    spool = Spool(tmp_path / "spool.jsonl")
    entries = [Entry("tags", round, {"round": str(round)}) for round in range(3)]
    spool.keep(entries)
    spool.path.write_text(spool.path.read_text()[:-10])
    assert spool.read() == entries[:2]


def test_parameters_are_flat_text_and_hide_what_is_secret_at_any_depth():
    config = {
        "a": {"b": {"c": [1, 2.5, "x"]}, "none": None},
        "keys": {"one": CANARY},
        "clouds": [{"password": CANARY, "zone": "eu"}],
        "num_keypoints": 21,
        "uri": f"http://u:{CANARY}@h:1/p",
        "odd name?": "y",
    }
    flat = flatten_parameters(config)
    assert CANARY not in json.dumps(flat)
    assert flat["a.b.c"] == '[1, 2.5, "x"]'
    assert flat["num_keypoints"] == "21"
    assert flat["odd name_"] == "y"
    assert "eu" in flat["clouds"]


def test_a_metric_that_is_no_number_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'evaluation\.epe_mm' is 'good'"):
        finite_metrics({"evaluation": {"epe_mm": "good"}})


@pytest.mark.parametrize("uri", ["nonsense://me:secret@host", "./mlruns", "file:///tmp/mlruns"])
def test_a_tracking_uri_that_is_no_server_and_no_database_is_refused(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI is") as caught:
        CampaignTracker("x", tmp_path)
    assert "secret" not in str(caught.value)


def test_folder_paths_that_sqlite_cannot_carry_and_empty_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rename the folder"):
        CampaignTracker("x", tmp_path / "what?")
    with pytest.raises(ValueError, match="campaign is ' '"):
        CampaignTracker(" ", tmp_path)
    assert model_name("campaigns/tiny: night") == "campaigns-tiny-night-hand"


def test_a_model_folder_that_holds_nothing_is_refused(tracker, tmp_path):
    with tracker.round_run(12, {}) as run, pytest.raises(ValueError, match="holds no file"):
        run.register_model(tmp_path / "missing")
