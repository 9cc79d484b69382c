"""Radii of the 55-circle hand from its 2D joints: the network of G in SemiHand's eq. 12, and its folder."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor, nn

from semihand.frames.json_files import read_as
from semihand.hand.circles import NUM_CIRCLES
from semihand.hand.skeleton import NUM_JOINTS
from semihand.methods.semihand.weight_folder import Sha256, fill, write_folder

RADII_CARD = "radii.json"
_CHANNELS = 128
_SMALLEST_PX = 1.0  # a pose of less extent has no shape to speak of


class RadiusNetwork(nn.Module):
    """A 5-layer perceptron with batch normalisation and leaky ReLU, as in the paper.

    It sees the joints about their mean and in units of their extent, and its radii are scaled back, so that a
    hand that is moved or grows keeps its silhouette.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [2 * NUM_JOINTS, *[_CHANNELS] * 4]
        hidden = [
            nn.Sequential(nn.Linear(num_in, num_out), nn.BatchNorm1d(num_out), nn.LeakyReLU(0.1))
            for num_in, num_out in pairwise(widths)
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(_CHANNELS, NUM_CIRCLES))
        nn.init.constant_(self.layers[-1].bias, -3.0)  # type: ignore[arg-type]  # radii of a twentieth of the extent

    def forward(self, uv: Float[Tensor, "batch 21 2"]) -> Float[Tensor, "batch 55"]:
        """Radii above zero, in the joints' own pixels; extent is the longer side of the joints' bounding box."""
        extent = (uv.amax(1) - uv.amin(1)).amax(-1).clamp(min=_SMALLEST_PX)
        shape = (uv - uv.mean(1, keepdim=True)) / extent.view(-1, 1, 1)
        radii: Tensor = nn.functional.softplus(self.layers(shape.flatten(1))) * extent.unsqueeze(1)
        return radii

    def frozen(self) -> "RadiusNetwork":
        """The network itself, done with learning."""
        self.eval().requires_grad_(False)
        return self


class _Card(BaseModel, frozen=True, extra="forbid"):
    method: Literal["semihand-radii"] = "semihand-radii"
    sha256: Sha256


def save_radii(network: RadiusNetwork, parent: Path) -> Path:
    """Write the network under `parent/<first 16 digits of its sha256>` and return that folder."""
    return write_folder(network, RADII_CARD, lambda sha256: _Card(sha256=sha256).model_dump_json(indent=2), parent)


def load_radii(folder: Path, device: str = "cpu") -> RadiusNetwork:
    """Open a folder of `save_radii`; the network comes frozen.

    Raises:
        ValueError: the folder holds no radius network, or its weights are not those its card names.
    """
    path = folder / RADII_CARD
    if not path.is_file():
        raise ValueError(f"{folder} holds no radius network: no {RADII_CARD}. Name a folder made by save_radii.")
    network = RadiusNetwork()
    fill(network, folder, read_as(path, _Card).sha256)
    return network.to(device).frozen()
