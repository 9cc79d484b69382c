"""The checkpoints of a fit: tensors in safetensors, listed in a record that hashes itself; never half of one."""

import hashlib
import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load, save

from semihand.failpoints import reach
from semihand.steps.train import TrainState
from semihand.tables import files
from semihand.tables.records import RecordError, read_record, write_record

logger = logging.getLogger(__name__)

_LIST = "checkpoints.json"
_TENSORS = "*.safetensors"
_WAY_OUT = "restore it from a copy, or delete the folder to train from step 0"

Curves = list[dict[str, float]]  # a row per report: step and losses


class CheckpointError(RuntimeError):
    """A fit was under way, and nothing that it can go on from is whole."""


class Checkpoint(NamedTuple):
    """One of a fit's checkpoints."""

    step: int
    file: str
    sha256: str


class Checkpoints:
    """The newest checkpoints of one fit, in a folder of their own; the first worker alone writes them.

    A file of tensors is named by its content and written before the list that names it, so what is listed is
    whole; a bit that flips later is seen by its hash, and the checkpoint before is taken. Whoever finds that there
    were checkpoints and that none is whole is told so: a fit never begins again in silence.

    Args:
        folder: made with the first checkpoint.
        keep: how many of the newest are kept.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self._folder, self._keep = folder, keep

    def save(self, state: TrainState, curves: Curves) -> None:
        """Keep the state, and forget all but the newest checkpoints.

        Raises:
            FloatingPointError: a weight is not finite; the checkpoints are what they were.
        """
        data = save(_tensors(state))
        sha256 = hashlib.sha256(data).hexdigest()
        new = Checkpoint(state.step, f"step-{state.step:08d}-{sha256[:16]}.safetensors", sha256)
        kept = [*(each for each in self._listed()[0] if each.step < new.step), new][-self._keep :]
        files.write_whole(str(self._folder / new.file), data, "tensors")
        write_record(str(self._folder / _LIST), {"checkpoints": [each._asdict() for each in kept], "curves": curves})
        reach("fit.listed")
        self._sweep({each.file for each in kept})

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None for a fit that has none yet, which then counts as begun.

        Raises:
            CheckpointError: there were checkpoints, and none of them is whole.
        """
        listed, _ = self._listed()
        for each in reversed(listed):
            if files.sha256(str(self._folder / each.file)) == each.sha256:
                return each
            logger.warning("%s is damaged or gone: the fit goes on from the checkpoint before", each.file)
        if listed:
            raise CheckpointError(f"{self._folder}: none of {len(listed)} checkpoints is whole; {_WAY_OUT}")
        write_record(str(self._folder / _LIST), {"checkpoints": [], "curves": []})
        return None

    def check(self) -> None:
        """Look at every listed checkpoint, and change nothing.

        Raises:
            CheckpointError: one of them is not what it was.
        """
        for each in self._listed()[0]:
            if files.sha256(str(self._folder / each.file)) != each.sha256:
                raise CheckpointError(f"{self._folder / each.file} is damaged or gone")

    def load(self, state: TrainState, checkpoint: Checkpoint) -> Curves:
        """Put a fresh state where the checkpoint stood; returns the curves up to there.

        Raises:
            CheckpointError: the checkpoint is not what it was when it was found.
        """
        data = files.read_whole(str(self._folder / checkpoint.file))
        if data is None or hashlib.sha256(data).hexdigest() != checkpoint.sha256:
            raise CheckpointError(f"{self._folder / checkpoint.file} changed while it was opened; run again")
        _restore(state, load(data))
        state.step = checkpoint.step
        return [row for row in self._listed()[1] if row["step"] <= checkpoint.step]

    def _listed(self) -> tuple[list[Checkpoint], Curves]:
        try:
            record = read_record(str(self._folder / _LIST))
        except RecordError as error:
            raise CheckpointError(f"{error}; {_WAY_OUT}") from error
        if record is None:
            if any(self._folder.glob(_TENSORS)):
                raise CheckpointError(f"{self._folder} has checkpoints, but {_LIST}, their list, is gone; {_WAY_OUT}")
            return [], []
        return [Checkpoint(**each) for each in record["checkpoints"]], record["curves"]

    def _sweep(self, kept: set[str]) -> None:
        """Remove checkpoints that are not listed, and what killed attempts left half-written."""
        for path in (*self._folder.glob(_TENSORS), *self._folder.glob(files.UNFINISHED)):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _tensors(state: TrainState) -> dict[str, torch.Tensor]:
    tensors: dict[str, Any] = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"teacher.{name}": value for name, value in state.teacher.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise FloatingPointError(f"step {state.step}: {name} is not finite")
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _restore(state: TrainState, tensors: dict[str, torch.Tensor]) -> None:
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


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
