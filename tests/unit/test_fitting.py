"""steps/fitting.py: a fit ends with the same weights however often it dies, is done once, and says why it stopped."""

import signal
from collections import Counter

import pytest
from killed_fits import fit_in_child

from semihand.failpoints import arm, deaths
from semihand.methods.semihand.weights import WEIGHTS, ModelCard, read_card
from semihand.steps import fitting
from semihand.steps.checkpoint import CheckpointError, Checkpoints
from semihand.steps.fitting import Crew, Fit, fitted, forget_divergence, work
from semihand.steps.train import TrainConfig
from semihand.steps.training_data import DataSource
from semihand.tables import Store

CONFIG = TrainConfig(
    num_steps=6, source_batch=4, target_batch=0, cell=2, warmup_steps=1, precision="fp32", report_every=1
)


@pytest.fixture(scope="module")
def store(source_frames, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("source"))
    store.create(["frames"])
    store.append("frames", source_frames)
    return store


@pytest.fixture
def job(store, card, tiny_network, tmp_path):
    card = ModelCard(network=tiny_network.config, crop_margin=card.crop_margin, template_mm=card.template_mm)
    return Fit("fit", CONFIG, None, card, DataSource(store.folder), tmp_path)


class Killed(BaseException):
    pass


def dying_at(step):
    """Dies with the first report of this step or a later one."""

    def report(row):
        if row["step"] >= step:
            raise Killed

    return Crew(report=report)


@pytest.fixture
def undisturbed(job, tmp_path):
    alone = job._replace(folder=tmp_path / "undisturbed")
    work(alone, 1)
    return fitted(alone)


@pytest.mark.parametrize("checkpoint_every", [1, 2])
@pytest.mark.parametrize("deaths", [[1], [3], [6], [1, 2, 5], [4, 4]])
def test_weights_are_the_same_to_the_bit_however_often_it_dies(job, undisturbed, deaths, checkpoint_every):
    for step in deaths:
        with pytest.raises(Killed):
            work(job, checkpoint_every, dying_at(step))
        assert fitted(job) is None
    work(job, checkpoint_every)
    assert fitted(job).sha256 == undisturbed.sha256
    assert fitted(job).curves == undisturbed.curves
    assert [row["step"] for row in undisturbed.curves] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("step", [1, 3, CONFIG.num_steps])
@pytest.mark.parametrize(("place", "kept"), [("file.tensors.begun", False), ("fit.listed", True)])
def test_weights_are_the_same_to_the_bit_after_sigkill_before_and_after_the_checkpoint_of_a_step(
    job, undisturbed, step, place, kept, tmp_path
):
    failpoints = tmp_path / "failpoints"
    failpoints.mkdir()
    arm(failpoints, place, passes=step - 1)
    assert fit_in_child(job, failpoints) == -signal.SIGKILL
    assert deaths(failpoints, place) == 1
    assert fitted(job) is None
    newest = Checkpoints(job.place).newest()
    assert (newest.step if newest else 0) == (step if kept else step - 1)
    assert fit_in_child(job, failpoints) == 0
    assert fitted(job).sha256 == undisturbed.sha256
    assert fitted(job).curves == undisturbed.curves


def test_a_fit_goes_on_from_its_checkpoint(job, monkeypatch):
    steps = Counter()
    with pytest.raises(Killed):
        work(job, 2, dying_at(5))
    monkeypatch.setattr(fitting, "progress_file", lambda job: Progress(steps))
    work(job, 2)
    assert sorted(steps) == ["  step 5 of 6", "  step 6 of 6"]


class Progress:
    def __init__(self, steps):
        self.steps = steps

    def write_text(self, line):
        self.steps[line.split(":")[0]] += 1


def test_death_between_the_last_checkpoint_and_the_model_costs_no_step(job, undisturbed, monkeypatch):
    def dying(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "save_model", dying)
        with pytest.raises(Killed):
            work(job, 1)
    work(job, 1, dying_at(6))  # no step is left to report
    assert fitted(job) == undisturbed._replace(model=fitted(job).model)


def test_a_damaged_model_is_made_again(job, undisturbed, caplog):
    work(job, 1)
    model = fitted(job).model
    data = bytearray((model / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (model / WEIGHTS).write_bytes(data)
    assert fitted(job) is None
    assert "fit fit is made again from its last checkpoint" in caplog.text
    for path in model.iterdir():
        path.unlink()
    model.rmdir()
    work(job, 1)
    assert read_card(fitted(job).model).sha256 == undisturbed.sha256


def test_a_fit_that_lost_its_checkpoints_never_begins_again_in_silence(job):
    with pytest.raises(Killed):
        work(job, 1, dying_at(3))
    for path in job.place.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"fits/fit: none of 2 checkpoints is whole"):
        work(job, 1)


def test_a_fit_that_diverges_names_the_frames_and_keeps_its_last_checkpoint(job, source_frames, tmp_path):
    with pytest.raises(Killed):
        work(job, 1, dying_at(2))
    [last] = job.place.glob("step-00000002-*")
    kept = last.read_bytes()
    steep = job._replace(config=CONFIG.model_copy(update={"learning_rate": 1e30}))
    work(steep, 1)
    with pytest.raises(FloatingPointError, match=r"fit fit: step 4: the loss is nan, .* source frames ") as told:
        fitted(job)
    assert sum(str(each) in str(told.value) for each in source_frames["frame_id"].to_pylist()) >= 2
    assert last.read_bytes() == kept
    forget_divergence(job)
    assert fitted(job) is None
