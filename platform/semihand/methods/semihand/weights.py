"""A model is a folder: `weights.safetensors`, and `model.json` that says what they are. No pickle."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, FiniteFloat, PositiveFloat

from semihand.frames.json_files import read_as
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.weight_folder import WEIGHTS, Sha256, fill, write_folder

__all__ = ["CARD", "WEIGHTS", "ModelCard", "load_model", "read_card", "save_model"]

CARD = "model.json"
_Length = Annotated[PositiveFloat, Field(allow_inf_nan=False)]
_Point = Annotated[list[FiniteFloat], Field(min_length=3, max_length=3)]


class ModelCard(BaseModel, frozen=True, extra="forbid"):
    """What stands beside the weights: all that is needed to use them."""

    method: Literal["semihand"] = "semihand"
    network: NetworkConfig
    crop_margin: Annotated[float, Field(ge=1, le=3)]  # side of the crop over the longer side of the box
    template_mm: Annotated[list[_Length], Field(min_length=20, max_length=20)]  # bones of the hand it first saw
    # Wrist and finger bases (6 x 3) of that hand, a right one, from the wrist; none in models older than this field.
    palm_mm: Annotated[list[_Point], Field(min_length=6, max_length=6)] | None = None
    sha256: Sha256 = ""

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
        ValueError: the folder holds no card, or one that cannot be read; names the file and the field.
    """
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it holds no {CARD}. Name one, as in CAMPAIGN/models.")
    return read_as(path, ModelCard)


def load_model(folder: Path, device: str = "cpu") -> tuple[HandNetwork, ModelCard]:
    """Open a model folder; the network comes in evaluation mode.

    Raises:
        ValueError: the weights are not those the card names, do not fit it, or are not finite.
    """
    card = read_card(folder)
    network = HandNetwork(card.network)
    fill(network, folder, card.sha256)
    return network.to(device).eval(), card
