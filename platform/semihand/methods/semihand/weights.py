"""A model is a folder: `weights.safetensors`, and `model.json` that says what they are. No pickle."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load, save

from semihand.methods.semihand.network import HandNetwork, NetworkConfig

WEIGHTS = "weights.safetensors"
CARD = "model.json"


class ModelCard(BaseModel, frozen=True, extra="forbid"):
    """What stands beside the weights: all that is needed to use them."""

    method: str = "semihand"
    network: NetworkConfig
    crop_margin: float  # side of the crop over the longer side of the box
    template_mm: list[float]  # 20 bone lengths of the hand it was first trained on
    # Wrist and finger bases (6 x 3) of that hand, a right one, from the wrist; none in models older than this field.
    palm_mm: list[list[float]] | None = None
    sha256: str = ""  # of the weights' file

    @property
    def scale_mm(self) -> float:
        """Length of the reference bone."""
        return self.template_mm[9]


def save_model(network: HandNetwork, card: ModelCard, models: Path) -> Path:
    """Write the network under `models/<first 16 digits of its sha256>` and return that folder.

    The same weights always land in the same folder, and a folder that is there is complete.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save(state)
    card = card.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    folder = models / card.sha256[:16]
    if folder.is_dir():
        return folder
    models.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=models))
    (unfinished / WEIGHTS).write_bytes(data)
    (unfinished / CARD).write_text(card.model_dump_json(indent=2))
    unfinished.chmod(0o755)
    try:
        os.rename(unfinished, folder)
    except OSError:  # another process finished the same weights first
        if not folder.is_dir():
            raise
    return folder


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder.

    Raises:
        ValueError: the folder holds no card.
    """
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it holds no {CARD}. Name a folder made by save_model.")
    return ModelCard.model_validate(json.loads(path.read_text()))


def load_model(folder: Path, device: str = "cpu") -> tuple[HandNetwork, ModelCard]:
    """Open a model folder; the network comes in evaluation mode.

    Raises:
        ValueError: the weights are not those the card names, or not finite.
    """
    card = read_card(folder)
    data = (folder / WEIGHTS).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise ValueError(
            f"{folder / WEIGHTS} has sha256 {found[:16]}…, its card says {card.sha256[:16]}…: "
            "the file was changed or damaged. Restore it or name another model."
        )
    try:
        state = load(data)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{folder / WEIGHTS}: {name} is not finite. Name a model whose training did not diverge.")
    network = HandNetwork(card.network)
    network.load_state_dict(state, strict=True)
    return network.to(device).eval(), card
