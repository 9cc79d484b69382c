"""Weights in a folder named by their hash: a safetensors file and a JSON card. No pickle."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from semihand.tables import files

WEIGHTS = "weights.safetensors"


def write_folder(network: nn.Module, card: str, describe: Callable[[str], str], parent: Path) -> Path:
    """Write a network's weights under `parent/<first 16 digits of their sha256>` and return that folder.

    The same weights always land in the same folder, and one that holds a card is complete.

    Args:
        network: whose weights.
        card: name of the JSON file beside them.
        describe: the sha256 of the weights to that file's text.
        parent: made if it is not there.
    """
    data = save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})
    sha256 = hashlib.sha256(data).hexdigest()
    folder = parent / sha256[:16]
    if not (folder / card).is_file():
        files.write_whole(str(folder / WEIGHTS), data, "model")
        files.write_whole(str(folder / card), describe(sha256).encode(), "model")
        files.sync(str(parent))
    return folder


def read_weights(folder: Path, sha256: str) -> dict[str, Tensor]:
    """The weights of a folder, by name.

    Raises:
        ValueError: they are not those with this sha256, or not finite.
    """
    data = (folder / WEIGHTS).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{folder / WEIGHTS} has sha256 {found[:16]}…, its card says {sha256[:16]}…: "
            "the file was changed or damaged. Restore it or name another model."
        )
    try:
        state: dict[str, Tensor] = load(data)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{folder / WEIGHTS}: {name} is not finite. Name a model whose training did not diverge.")
    return state
