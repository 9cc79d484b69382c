"""steps/checkpoint.py: the newest whole checkpoint, or a word that there is none; never half of one."""

import itertools

import pytest
import torch

from semihand.methods.semihand.network import HandNetwork
from semihand.steps import checkpoint
from semihand.steps.checkpoint import CheckpointError, Checkpoints
from semihand.steps.train import TrainConfig, TrainState
from semihand.tables import files
from training_states import assert_same

CONFIG = TrainConfig(num_steps=4, source_batch=4, target_batch=0, cell=2)


def fresh(tiny_network, step=0):
    """A state of its own at every step: weights, moments and all."""
    torch.manual_seed(step)
    state = TrainState.start(HandNetwork(tiny_network.config), CONFIG, torch.device("cpu"))
    for parameter in state.network.parameters():
        parameter.grad = torch.randn_like(parameter)
    state.optimiser.step()
    state.step = step
    return state


def curves(step):
    return [{"step": float(each), "total": 1.0 / each} for each in range(2, step + 1, 2)]


@pytest.fixture
def saved(tiny_network, tmp_path):
    """Checkpoints of steps 2, 4 and 6, the last two kept."""
    kept = Checkpoints(tmp_path / "fit")
    assert kept.newest() is None
    for step in (2, 4, 6):
        kept.save(fresh(tiny_network, step), curves(step))
    return kept


def tensor_files(tmp_path):
    return sorted((tmp_path / "fit").glob("*.safetensors"))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def assert_loads(saved, tiny_network, step):
    newest = saved.newest()
    assert newest.step == step
    state = fresh(tiny_network, 99)
    assert saved.load(state, newest) == curves(step)
    assert state.step == step
    assert_same(state, fresh(tiny_network, step))


def test_the_newest_is_loaded_and_only_the_newest_are_kept(saved, tiny_network, tmp_path):
    assert_loads(saved, tiny_network, 6)
    assert [path.name[:13] for path in tensor_files(tmp_path)] == ["step-00000004", "step-00000006"]
    assert len(list((tmp_path / "fit").iterdir())) == 3


@pytest.mark.parametrize("damage", [flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_the_one_before_is_taken_where_the_newest_is_damaged_and_none_is_an_error(
    saved, tiny_network, tmp_path, damage
):
    older, newer = tensor_files(tmp_path)
    damage(newer)
    assert_loads(saved, tiny_network, 4)
    damage(older)
    with pytest.raises(CheckpointError, match=r"none of 2 checkpoints is whole; .* to train from step 0"):
        saved.newest()


def test_a_fit_that_went_back_writes_its_later_checkpoints_again(saved, tiny_network, tmp_path):
    flip(tensor_files(tmp_path)[1])
    saved.save(fresh(tiny_network, 6), curves(6))
    assert_loads(saved, tiny_network, 6)
    assert len(tensor_files(tmp_path)) == 2


def test_no_list_is_no_beginning(saved, tmp_path):
    flip(tmp_path / "fit" / "checkpoints.json")
    with pytest.raises(CheckpointError, match=r"checkpoints\.json.*delete the folder"):
        saved.newest()
    (tmp_path / "fit" / "checkpoints.json").unlink()
    with pytest.raises(CheckpointError, match=r"has checkpoints, but checkpoints\.json, their list, is gone"):
        saved.newest()


class Killed(BaseException):
    pass


def killed_at(number, monkeypatch, *names):
    """The process dies at the so-many-th call of one of these functions of `files`, before it does anything."""
    calls = itertools.count()

    def dying(do):
        def wrapper(*arguments):
            if next(calls) == number:
                raise Killed
            return do(*arguments)

        return wrapper

    for name in names:
        monkeypatch.setattr(checkpoint.files, name, dying(getattr(files, name)))


@pytest.mark.parametrize("number", range(2))
def test_a_save_that_was_killed_changes_nothing(saved, tiny_network, tmp_path, monkeypatch, number):
    with monkeypatch.context() as patch:
        killed_at(number, patch, "write_whole")
        with pytest.raises(Killed):
            saved.save(fresh(tiny_network, 8), curves(8))
    assert_loads(saved, tiny_network, 6)
    (tmp_path / "fit" / f".{'0' * 32}.unfinished").write_bytes(b"half of a checkpo")
    saved.save(fresh(tiny_network, 8), curves(8))
    assert_loads(saved, tiny_network, 8)
    assert len(list((tmp_path / "fit").iterdir())) == 3


def test_weights_that_are_not_finite_are_no_checkpoint(saved, tiny_network):
    state = fresh(tiny_network, 8)
    with torch.no_grad():
        next(state.network.parameters()).view(-1)[0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"step 8: network\..* is not finite"):
        saved.save(state, curves(8))
    assert_loads(saved, tiny_network, 6)
