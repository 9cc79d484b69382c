"""What tests compare states of a fit by."""

import torch

from semihand.steps.train import TrainState


def tensors_of(state: TrainState) -> dict[str, torch.Tensor]:
    """Everything a state holds, as tensors."""
    found = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    found |= {f"teacher.{name}": value for name, value in state.teacher.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    return found


def assert_same(ours: TrainState, theirs: TrainState) -> None:
    """The states are the same to the bit."""
    a, b = tensors_of(ours), tensors_of(theirs)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
