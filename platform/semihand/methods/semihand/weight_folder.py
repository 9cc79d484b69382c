"""Weights in a folder named by their hash: a safetensors file and a JSON card. No pickle."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
from pydantic import StringConstraints
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from semihand.frames.errors import first_line, shown
from semihand.frames.files import check_input
from semihand.frames.json_files import signed
from semihand.frames.strict_json import parse_json
from semihand.tables import files

WEIGHTS = "weights.safetensors"
#: of the weights' file; empty before it is written
Sha256 = Annotated[str, StringConstraints(pattern="^([0-9a-f]{64})?$")]
_MAX_BYTES = 2**32
_LENGTH_BYTES = 8  # of the header, before it
_STORED_AS = {torch.float32: (torch.float32, torch.float16, torch.bfloat16)}  # half of the bytes, a little less exact
# What safetensors raises on a header that is none, and torch on tensors that it has no type or memory for.
_DAMAGE = (SafetensorError, ValueError, TypeError, KeyError, OverflowError, RuntimeError, MemoryError)


def write_folder(network: nn.Module, card: str, describe: Callable[[str], str], parent: Path) -> Path:
    """Write a network's weights under `parent/<first 16 digits of their sha256>` and return that folder.

    The same weights always land in the same folder, and one that holds a card is complete.

    Args:
        network: whose weights.
        card: name of the JSON file beside them.
        describe: the sha256 of the weights to that file's text, JSON with an indent of 2.
        parent: made if it is not there.
    """
    data = save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})
    sha256 = hashlib.sha256(data).hexdigest()
    folder = parent / sha256[:16]
    if not (folder / card).is_file():
        files.write_whole(str(folder / WEIGHTS), data, "model")
        files.write_whole(str(folder / card), signed(describe(sha256)).encode(), "model")
        files.sync(str(parent))
    return folder


def fill(network: nn.Module, folder: Path, sha256: str) -> None:
    """Give a network the weights of a folder.

    Raises:
        ValueError: they are not those with this sha256, not of this network, or not finite; names file and tensor.
    """
    path = folder / WEIGHTS
    check_input(path, _MAX_BYTES)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} has sha256 {found[:16]}…, its card says {sha256[:16]}…: "
            "the file was changed or damaged. Restore it or name another model."
        )
    try:
        state = load(data)
        header = data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")]
        parse_json(header)  # safetensors takes the last of two tensors of one name
    except _DAMAGE as error:
        raise ValueError(f"{path} is no safetensors file ({first_line(error)}). Name another model.") from error
    _check_fit(state, network.state_dict(), path)
    network.load_state_dict(state, strict=True)


def _check_fit(state: dict[str, Tensor], wanted: dict[str, Tensor], path: Path) -> None:
    """Refuse tensors that are not those of the network, by the name of the first."""
    if strays := sorted(wanted.keys() ^ state.keys()):
        lacks = "is missing" if strays[0] in wanted else "is no tensor of the network that its card describes"
        raise ValueError(f"{path}: {shown(strays[0], 130)} {lacks}. Name another model.")
    for name, value in sorted(state.items()):
        needs = wanted[name]
        if value.shape != needs.shape or value.dtype not in _STORED_AS.get(needs.dtype, (needs.dtype,)):
            raise ValueError(
                f"{path}: {name} is {value.dtype} {tuple(value.shape)}, its card means {needs.dtype} "
                f"{tuple(needs.shape)}. Name another model."
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{path}: {name} is not finite. Name a model whose training did not diverge.")
