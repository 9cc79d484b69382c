"""Fits: as many workers as one likes, killed and taken up again, and never done twice."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest
import ray
import torch

from semihand.frames.errors import InputError
from semihand.methods.semihand.losses import LossConfig
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.objective import ObjectiveConfig
from semihand.methods.semihand.radii import load_radii
from semihand.methods.semihand.weights import load_model, read_card
from semihand.stages.training import TrainClusterConfig, fit
from semihand.steps.checkpoint import Checkpoints
from semihand.steps.fitting import Fit, fitted, work
from semihand.steps.train import TrainConfig, TrainState, train
from semihand.steps.training_data import DataSource, load_data
from semihand.tables.records import read_record, write_record
from semihand.workforce import stall_limit

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


@pytest.mark.parametrize("victim", ["TrainWorker", "TrainController"])
def test_a_fit_that_loses_a_process_goes_on_from_its_checkpoint(victim, local_ray, data, card, tmp_path, one_thread):
    source_only = DataSource(data.source, data.held_out)
    job = Fit("killed", LONG, None, card, source_only, tmp_path / "killed")
    killer = Killer(job.place, victim)
    killer.start()
    ended = fit(job, TrainClusterConfig(cpus_per_worker=1, checkpoint_every=1, max_failures=1))
    killer.join(1)
    assert killer.killed_after is not None, "the fit ended before anything was killed"
    assert 0 < killer.killed_after < LONG.num_steps
    assert Killer.MARK in ended.curves, "the fit did not start again from the checkpoint but from the beginning"
    alone = job._replace(folder=tmp_path / "alone")
    work(alone, checkpoint_every=1)
    undisturbed = fitted(alone)
    assert ended.sha256 == undisturbed.sha256
    assert [row for row in ended.curves if row != Killer.MARK] == undisturbed.curves

    before = snapshot(tmp_path)
    assert fit(job, TrainClusterConfig(cpus_per_worker=1)) == ended
    assert snapshot(tmp_path) == before, "the same fit was trained again"


def test_a_fit_that_diverges_ends_with_its_reason(local_ray, data, card, tmp_path):
    config = SHARED.model_copy(update={"num_steps": 6, "report_every": 1, "learning_rate": 1e30})
    job = Fit("diverging", config, None, card, data, tmp_path)
    with pytest.raises(FloatingPointError, match=r"fit diverging: step \d: .* source frames .*; target frames "):
        fit(job, TrainClusterConfig(num_workers=2, cpus_per_worker=1, checkpoint_every=1))
    assert Checkpoints(job.place).newest() is not None


def test_a_fit_whose_workers_find_no_place_is_given_up_and_leaves_nothing_that_waits(local_ray, data, card, tmp_path):
    job = Fit("waiting", LONG, None, card, DataSource(data.source, data.held_out), tmp_path)
    with (
        stall_limit(6.0),
        pytest.raises(InputError, match=r"no training step reports of waiting came for 6 s.*4 CPUs are.*num_workers"),
    ):
        fit(job, TrainClusterConfig(cpus_per_worker=5))
    deadline_s = time.monotonic() + 30
    while any(group["state"] != "REMOVED" for group in ray.util.placement_group_table().values()):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)


class Killer(threading.Thread):
    """Stops the training worker after its first checkpoint, marks the losses beside it, and kills the victim.

    A fit that is taken up has the losses so far from beside its checkpoint, so a mark among them proves it.
    """

    MARK: ClassVar = {"step": -1.0, "total": -1.0}

    def __init__(self, place: Path, victim: str) -> None:
        super().__init__(daemon=True)
        self.victim = victim
        self.path = place / "checkpoints.json"
        self.killed_after: int | None = None

    def run(self) -> None:
        deadline = time.monotonic() + 120
        while not self._listed():
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        children = psutil.Process().children(recursive=True)
        [worker], [victim] = (
            [each for each in children if name in title(each)] for name in ("TrainWorker", self.victim)
        )
        os.kill(worker.pid, signal.SIGSTOP)
        record = read_record(str(self.path))
        write_record(str(self.path), record | {"curves": [*record["curves"], self.MARK]})
        self.killed_after = record["checkpoints"][-1]["step"]
        os.kill(victim.pid, signal.SIGKILL)

    def _listed(self) -> list[Any]:
        record = read_record(str(self.path))
        return [] if record is None else record["checkpoints"]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def snapshot(folder: Path) -> dict[str, int]:
    """All weights below a folder and when they were written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
