"""A localiser is a folder: `weights.safetensors`, and `localiser.json` that says what they are and how good."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, FiniteFloat

from semihand.frames.json_files import read_as, signed
from semihand.methods.localiser.looks import Localiser, LocaliserConfig
from semihand.methods.semihand.weight_folder import Sha256, fill, write_folder
from semihand.tables import files

CARD = "localiser.json"


class LocaliserCard(BaseModel, frozen=True, extra="forbid"):
    """What stands beside the weights."""

    method: Literal["localiser"] = "localiser"
    network: LocaliserConfig
    threshold: FiniteFloat  # only what scores more is a finding
    measured: dict[str, FiniteFloat] = {}  # on unseen scenes, at that threshold
    sha256: Sha256 = ""


def save_localiser(network: Localiser, card: LocaliserCard, models: Path) -> Path:
    """Write the network under `models/<first 16 digits of its sha256>` and return that folder.

    Where the same weights are there, with another threshold perhaps, only the card is written.
    """

    def described(sha256: str) -> str:
        return card.model_copy(update={"sha256": sha256}).model_dump_json(indent=2)

    folder = write_folder(network, CARD, described, models)
    there = read_as(folder / CARD, LocaliserCard)
    files.write_whole(str(folder / CARD), signed(described(there.sha256)).encode(), "model")
    return folder


def load_localiser(folder: Path, device: str = "cpu") -> tuple[Localiser, LocaliserCard]:
    """Open a folder of `save_localiser`; the network comes in evaluation mode.

    Raises:
        ValueError: the folder holds no localiser, or its weights are not those its card names, do not fit it, or are
            not finite.
    """
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder} holds no localiser: no {CARD}. Name a folder that jobs/train_localiser.py made.")
    card = read_as(path, LocaliserCard)
    network = Localiser(card.network)
    fill(network, folder, card.sha256)
    return network.to(device).eval(), card
