"""A model is a folder: `weights.safetensors`, and `model.json` that says what they are. No pickle."""

import json
from pathlib import Path

from pydantic import BaseModel

from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.weight_folder import WEIGHTS, read_weights, write_folder

__all__ = ["CARD", "WEIGHTS", "ModelCard", "load_model", "read_card", "save_model"]

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

    The same weights always land in the same folder, and one that holds a card is complete.
    """
    return write_folder(
        network, CARD, lambda sha256: card.model_copy(update={"sha256": sha256}).model_dump_json(indent=2), models
    )


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder.

    Raises:
        ValueError: the folder holds no card.
    """
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it holds no {CARD}. Name one, as in CAMPAIGN/models.")
    return ModelCard.model_validate(json.loads(path.read_text()))


def load_model(folder: Path, device: str = "cpu") -> tuple[HandNetwork, ModelCard]:
    """Open a model folder; the network comes in evaluation mode.

    Raises:
        ValueError: the weights are not those the card names, or not finite.
    """
    card = read_card(folder)
    network = HandNetwork(card.network)
    network.load_state_dict(read_weights(folder, card.sha256), strict=True)
    return network.to(device).eval(), card
