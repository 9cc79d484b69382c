"""Where a fit stands, on disk: tensors in safetensors, the rest in JSON; written whole or not at all."""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load, save

from semihand.steps.train import TrainState

_TENSORS, _STATE = "state.safetensors", "state.json"


def save_checkpoint(state: TrainState, folder: Path) -> None:
    """Write the state into an existing folder; `state.json` comes last and makes it valid."""
    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"teacher.{name}": value for name, value in state.teacher.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    data = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    _write(folder / _TENSORS, data)
    about = {"step": state.step, "sha256": hashlib.sha256(data).hexdigest()}
    _write(folder / _STATE, json.dumps(about).encode())


def load_checkpoint(state: TrainState, folder: Path) -> None:
    """Put a fresh state where the checkpoint stood.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    about = json.loads((folder / _STATE).read_text())
    data = (folder / _TENSORS).read_bytes()
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise ValueError(f"{folder / _TENSORS} is damaged: its sha256 is not the one in {_STATE}. Remove {folder}.")
    tensors = load(data)
    state.network.load_state_dict(_below(tensors, "network."))
    state.teacher.load_state_dict(_below(tensors, "teacher."))
    optimiser = state.optimiser.state_dict()
    parameters = [parameter for group in state.optimiser.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _below(tensors, "optimiser.").items():
        index, moment = name.split(".", 1)
        if value.ndim:  # laid out as its parameter: the fused step goes through memory, whatever the strides say
            value = torch.empty_like(parameters[int(index)]).copy_(value)
        moments.setdefault(int(index), {})[moment] = value
    state.optimiser.load_state_dict(optimiser | {"state": moments})
    state.step = about["step"]


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_name(path.name + ".tmp")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
