"""A real MLflow server on loopback: rounds are listed over REST, and the champion is served through it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from mlflow_server import Server
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.predictor import Predictor
from semihand.methods.semihand.weights import ModelCard, save_model
from semihand.tracking import CampaignTracker


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
    run.promote(registered.version)
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
    assert server.rounds("rest") == {
        "0": ("FINISHED", {"evaluation.epe_mm": 30.0, "epe_mm": 30.0}),
        "1": ("FINISHED", {"evaluation.epe_mm": 25.0, "labels": 90.0, "loss": 0.02}),
        "2": ("FINISHED", {}),
    }
    assert_champion_predicts(server, model_folder)


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
    np.testing.assert_allclose(joints["joints_mm"], joints_mm, rtol=1e-4, atol=1e-2)
