"""A real MLflow server on loopback: rounds are listed over REST, and the champion is served through it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.predictor import Predictor
from semihand.methods.semihand.weights import ModelCard, save_model
from semihand.tracking import CampaignTracker

START_SECONDS = 180


class Server:
    """`mlflow server` in a process group of its own, so that its workers end with it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        store = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        artifacts = ["--artifacts-destination", str(self.folder / "served")]
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *store, *artifacts, *place],
                cwd=self.folder,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        if self.process is None:
            return
        group = self.process.pid
        os.killpg(group, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(group, signal.SIGKILL)
            self.process.wait(20)
        self.process = None

    def post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise AssertionError(f"no server after {START_SECONDS} s: {(self.folder / 'server.log').read_text()}")


@pytest.fixture
def server(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(tmp_path, port)
    server.start()
    yield server
    server.stop()


def random_model(models: Path) -> Path:
    torch.manual_seed(11)
    config = NetworkConfig(width=8, depth=1, decoder_channels=16)
    card = ModelCard(network=config, crop_margin=1.2, template_mm=[30.0 + bone for bone in range(20)])
    return save_model(HandNetwork(config).eval(), card, models)


def test_a_server_lists_the_rounds_survives_an_outage_and_serves_the_champion(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    campaign, model_folder = tmp_path / "campaign", random_model(tmp_path / "models")
    tracker = CampaignTracker("rest", campaign)
    with tracker.round_run(0, {"seed": 1}) as run:
        run.log_metrics({"evaluation.epe_mm": 30.0})
        run.log_table("trials", pl.DataFrame({"threshold": [0.1, 0.2]}))
        run.log_inputs({"labels": (campaign / "tables/labels", 3)})
        registered = run.register_model(model_folder, {"epe_mm": 30.0})
    tracker.promote(registered.version)
    assert tracker.champion() == registered.version == 1
    assert not (campaign / "mlflow.db").exists()

    with tracker.round_run(1, {"seed": 1}) as run:
        run.log_metrics({"evaluation.epe_mm": 25.0})
        server.stop()
        before = time.monotonic()
        run.log_metrics({"labels": 90})
        run.log_curve("loss", range(50), [1 / (step + 1) for step in range(50)])
        assert time.monotonic() - before < 30
    assert (campaign / "mlflow_spool.jsonl").exists()
    server.start()
    with CampaignTracker("rest", campaign).round_run(2, {"seed": 1}):
        pass
    assert not (campaign / "mlflow_spool.jsonl").exists()
    assert rounds_over_rest(server) == {
        "0": ("FINISHED", {"evaluation.epe_mm": 30.0, "epe_mm": 30.0}),
        "1": ("FINISHED", {"evaluation.epe_mm": 25.0, "labels": 90.0, "loss": 0.02}),
        "2": ("FINISHED", {}),
    }
    assert_champion_predicts(server, model_folder)


def rounds_over_rest(server: Server) -> dict[str, tuple[str, dict[str, float]]]:
    found = server.post("experiments/search", {"max_results": 10})
    [experiment] = [item for item in found["experiments"] if item["name"] == "rest"]
    runs = server.post("runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    listed = {}
    for run in runs:
        tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
        metrics = {metric["key"]: metric["value"] for metric in run["data"].get("metrics", [])}
        listed[tags["round"]] = (run["info"]["status"], metrics)
    return listed


def assert_champion_predicts(server: Server, model_folder: Path) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    np.save(server.folder / "pictures.npy", pictures)
    code = (
        "import mlflow, numpy as np; model = mlflow.pyfunc.load_model('models:/rest-hand@champion'); "
        "np.savez('joints.npz', **model.predict(np.load('pictures.npy')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=server.folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": server.url, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    joints = np.load(server.folder / "joints.npz")
    uv_px, joints_mm = Predictor(model_folder).predict(list(pictures))
    np.testing.assert_allclose(joints["joints_uv_px"], uv_px, atol=1e-3)
    np.testing.assert_allclose(joints["joints_mm"], joints_mm, atol=1e-2)
