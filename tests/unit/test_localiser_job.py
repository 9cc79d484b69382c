"""The job that trains a localiser: what it keeps, and what it is told."""

import json

import pytest
import torch

from made_localiser import NETWORK
from semihand.frames.errors import InputError
from semihand.methods.localiser.finding import HandFinder
from semihand.methods.localiser.looks import LocaliserConfig
from semihand.methods.localiser.weights import load_localiser
from semihand.rounds.localising import BankConfig, LocaliserJob, MeasureConfig, run_localiser_training
from semihand.steps.localiser import LocaliserFit


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return LocaliserJob(
        out=tmp_path_factory.mktemp("localisers"),
        device="cpu",
        bank=BankConfig(num_layers=4, num_rooms=3, num_unseen=4),
        network=NETWORK,
        fit=LocaliserFit(num_steps=3, batch=4, report_every=2),
        measure=MeasureConfig(num_scenes=8, false_share=0.1),
    )


@pytest.fixture(scope="module")
def told(job):
    lines: list[str] = []
    return run_localiser_training(job, lines.append), lines


def test_the_model_can_be_opened_and_says_what_was_measured(told):
    model, lines = told
    card = json.loads((model / "localiser.json").read_text())
    assert set(card["measured"]) == {"found", "sides", "false_boxes", "num_hands", "empty_with_boxes"}
    assert HandFinder(model).min_score == card["threshold"]
    assert str(model) in lines[-1]
    assert any(line.startswith("step 2 of 3") for line in lines)
    assert any(line.startswith("step 3 of 3") for line in lines)


def test_layers_are_rendered_once_and_training_comes_out_the_same(job, told):
    lines: list[str] = []
    assert run_localiser_training(job, lines.append) == told[0]
    assert not any(line.startswith("rendering") for line in lines)


def test_a_model_can_be_measured_again_in_half_precision_without_training(job, told):
    again = job.model_copy(update={
        "start": told[0], "half": True, "fit": LocaliserFit(num_steps=0),
        "measure": MeasureConfig(num_scenes=8, false_share=0.5),
    })  # fmt: skip
    model = run_localiser_training(again, lambda text: None)
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (model, told[0])]
    assert sizes[0] < 0.6 * sizes[1]
    found, trained = (load_localiser(folder)[0].state_dict() for folder in (model, told[0]))
    for name, value in trained.items():
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=1e-3)


def test_a_folder_of_backgrounds_that_is_not_there_is_refused(job, tmp_path):
    bank = job.bank.model_copy(update={"backgrounds": str(tmp_path / "none")})
    with pytest.raises(InputError, match="no such folder"):
        run_localiser_training(job.model_copy(update={"bank": bank}), lambda text: None)


def test_training_goes_on_from_another_model(job, told):
    lines: list[str] = []
    model = run_localiser_training(job.model_copy(update={"start": told[0]}), lines.append)
    assert model != told[0]


def test_a_model_is_averaged_with_what_it_started_from(job, told):
    on = job.model_copy(update={"start": told[0]})
    gone_on = run_localiser_training(on, lambda text: None)
    model = run_localiser_training(on.model_copy(update={"mix": told[0], "mix_share": 0.25}), lambda text: None)
    mixed, before, after = (load_localiser(folder)[0].state_dict() for folder in (model, told[0], gone_on))
    for name, value in mixed.items():
        expected = 0.25 * before[name] + 0.75 * after[name] if value.is_floating_point() else after[name]
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("option", ["start", "mix"])
def test_a_model_of_another_shape_is_no_start(option, job, told):
    other = job.model_copy(update={option: told[0], "network": LocaliserConfig()})
    with pytest.raises(InputError, match=rf"another shape.*no --{option}"):
        run_localiser_training(other, lambda text: None)


def test_a_folder_without_a_model_is_no_start(job, tmp_path):
    with pytest.raises(InputError, match="holds no localiser"):
        run_localiser_training(job.model_copy(update={"start": tmp_path}), lambda text: None)
