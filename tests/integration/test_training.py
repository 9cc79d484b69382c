"""Fits: as many workers as one likes, killed and taken up again, and never done twice."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from semihand.methods.semihand.losses import LossConfig
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.objective import ObjectiveConfig
from semihand.methods.semihand.radii import load_radii
from semihand.methods.semihand.weights import load_model, read_card
from semihand.stages.training import Fit, TrainClusterConfig, fit
from semihand.steps.train import TrainConfig, TrainState, train
from semihand.steps.training_data import DataSource, load_data

# Half of a batch is 16 source and 16 target rows, so batch normalisation sees 32 rows per worker, not 64: the one
# thing that two workers do otherwise. fp32, so that nothing else differs.
SHARED = TrainConfig(
    num_steps=24, source_batch=32, target_batch=32, cell=8, report_every=4, precision="fp32", warmup_steps=4
)
LONG = TrainConfig(num_steps=80, source_batch=8, target_batch=0, cell=8, report_every=10, precision="fp32")


@pytest.fixture(scope="module")
def card(teacher):
    return read_card(teacher)


@pytest.fixture(scope="module")
def data(tiny_campaign):
    """Source and pool of the tiny campaign, with the labels that its first round selected."""
    folder = tiny_campaign.folder
    return DataSource(str(folder / "source"), held_out=40, campaign=str(folder), round_number=1)


def without_ray(config, data, card):
    torch.manual_seed(config.seed)
    state = TrainState.start(HandNetwork(card.network), config, torch.device("cpu"))
    return [{"step": report.step, **report.losses} for report in train(state, load_data(data, card), config)]


def curve(rows, name="total"):
    return np.array([row[name] for row in rows])


def apart(ours, theirs, name="total"):
    """How far two loss curves are apart, as a share of the loss: the mean over the reports."""
    return float(np.mean(np.abs(curve(ours, name) - curve(theirs, name)) / curve(theirs, name)))


@pytest.fixture(scope="module")
def by_one_worker(local_ray, data, card, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one-worker")
    return fit(Fit("one", SHARED, None, card, data, folder), TrainClusterConfig(cpus_per_worker=1))


def test_ray_changes_nothing_about_a_fit(by_one_worker, data, card, one_thread):
    """With one worker the stage is the step."""
    expected = without_ray(SHARED, data, card)
    assert [row["step"] for row in by_one_worker.curves] == [4, 8, 12, 16, 20, 24]
    for name in expected[0]:
        np.testing.assert_allclose(curve(by_one_worker.curves, name), curve(expected, name), rtol=1e-4)
    assert curve(expected, "labels").max() > 0
    assert curve(expected)[-1] < 0.95 * curve(expected)[0]
    network, _ = load_model(by_one_worker.model)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_two_workers_take_every_term_as_printed_and_keep_the_radii(local_ray, data, card, tmp_path, one_thread):
    losses = LossConfig(cross_modal_weight=0.1, registration_weight=1.0)
    objective = ObjectiveConfig(losses=losses, consistency="student", consistency_view="perturbed")
    config = SHARED.model_copy(update={"num_steps": 4, "objective": objective})
    cluster = TrainClusterConfig(num_workers=2, cpus_per_worker=1, max_failures=0)
    fitted = fit(Fit("every", config, None, card, data, tmp_path), cluster)
    [row] = fitted.curves
    assert min(row["registration"], row["cross_modal"], row["consistency"]) > 0
    [folder] = (tmp_path / "radii").iterdir()
    uv = load_data(data, card).source.uv[:4]
    assert (load_radii(folder)(uv) > 0).all()


def test_two_workers_follow_the_loss_curve_of_one(by_one_worker, data, card, tmp_path, one_thread):
    job = Fit("two", SHARED, None, card, data, tmp_path)
    two = fit(job, TrainClusterConfig(num_workers=2, cpus_per_worker=1))
    other_seed = without_ray(SHARED.model_copy(update={"seed": 1}), data, card)
    assert [row["step"] for row in two.curves] == [row["step"] for row in by_one_worker.curves]
    for name in ("total", "supervised"):
        away = apart(two.curves, by_one_worker.curves, name)
        assert away < 0.01
        assert apart(other_seed, by_one_worker.curves, name) > max(0.01, 5 * away)
    assert two.sha256 != by_one_worker.sha256


def test_a_fit_whose_worker_is_killed_goes_on_from_its_checkpoint(local_ray, data, card, tmp_path, one_thread):
    source_only = DataSource(data.source, data.held_out)
    job = Fit("killed", LONG, None, card, source_only, tmp_path)
    killer = Killer(tmp_path / "fits" / job.name)
    killer.start()
    cluster = TrainClusterConfig(cpus_per_worker=1, checkpoint_every=1, max_failures=1)
    fitted = fit(job, cluster)
    killer.join(1)
    assert killer.marked_step is not None, "the fit ended before anything was killed"
    assert 0 < killer.marked_step < LONG.num_steps
    assert Killer.MARK in fitted.curves, "the fit did not start again from the checkpoint but from the beginning"
    rows = [row for row in fitted.curves if row != Killer.MARK]
    assert [row["step"] for row in rows] == list(range(10, LONG.num_steps + 1, 10))
    np.testing.assert_allclose(curve(rows), curve(without_ray(LONG, source_only, card)), rtol=1e-3)

    before = snapshot(tmp_path)
    again = fit(job, cluster)
    assert again == fitted
    assert snapshot(tmp_path) == before, "the same fit was trained again"


class Killer(threading.Thread):
    """Stops the training worker after its first checkpoint, marks the checkpoint, and kills the worker.

    A restarted fit takes the losses so far from its checkpoint, so a mark among them is the proof of a resume.
    """

    MARK = {"step": -1.0, "total": -1.0}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.marked_step: int | None = None

    def run(self) -> None:
        deadline = time.monotonic() + 120
        while self._registered() is None:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        [worker] = [each for each in psutil.Process().children(recursive=True) if "TrainWorker" in title(each)]
        os.kill(worker.pid, signal.SIGSTOP)
        checkpoint = self._last_registered()
        state = json.loads((checkpoint / "state.json").read_text())
        curves = checkpoint / "curves.json"
        curves.write_text(json.dumps([*json.loads(curves.read_text()), self.MARK]))
        self.marked_step = state["step"]
        os.kill(worker.pid, signal.SIGKILL)

    def _last_registered(self) -> Path:
        """The checkpoint that the stopped worker's fit will be resumed from: none newer is on its way."""
        found = None
        while found != (found := self._registered()):
            time.sleep(2)
        assert found is not None
        return found

    def _registered(self) -> Path | None:
        path = self.folder / "checkpoint_manager_snapshot.json"
        try:
            results = json.loads(path.read_text())["checkpoint_results"]
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return self.folder / results[-1]["checkpoint_dir_name"] if results else None


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def snapshot(folder: Path) -> dict[str, int]:
    """All weights below a folder and when they were written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
