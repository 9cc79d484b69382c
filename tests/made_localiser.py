"""A localiser that was taught, in seconds, to take bright tall boxes on dark ground for hands."""

from pathlib import Path

import numpy as np
import torch

from semihand.frames.synthetic.layers import LAYER_PX, OUTLINE_POINTS, Layer
from semihand.methods.localiser.looks import Localiser, LocaliserConfig
from semihand.methods.localiser.scenes import Bank, bank_of
from semihand.methods.localiser.weights import LocaliserCard, save_localiser
from semihand.methods.semihand.network import NetworkConfig
from semihand.steps.localiser import LocaliserFit, train_localiser

_SMALL = NetworkConfig(width=8, depth=1, decoder_channels=16)
NETWORK = LocaliserConfig(picture_px=64, place_px=32, first=_SMALL, second=_SMALL)


def bright_layer(width_px: int, height_px: int) -> Layer:
    """A white box in the middle of a layer, without an arm."""
    colour: np.ndarray = np.zeros((LAYER_PX, LAYER_PX, 3), np.uint8)
    hand: np.ndarray = np.zeros((LAYER_PX, LAYER_PX), bool)
    left, top = (LAYER_PX - width_px) // 2, (LAYER_PX - height_px) // 2
    hand[top : top + height_px, left : left + width_px] = True
    colour[hand] = 255
    corners = np.array([[left, top], [left + width_px - 1, top + height_px - 1]], float)
    outline = np.resize(np.array([[x, y] for x in corners[:, 0] for y in corners[:, 1]]), (OUTLINE_POINTS, 2))
    return Layer(colour, np.uint8(255) * hand.astype(np.uint8), hand, outline, outline[:21], np.zeros(2))


def bright_bank() -> Bank:
    """Boxes of several shapes, and rooms that are nearly black."""
    rooms = [np.full((40, 40, 3), value, np.uint8) for value in (0, 10, 20)]
    return bank_of([bright_layer(width, height) for width, height in ((24, 46), (30, 46), (36, 40))], rooms)


def taught_localiser(parent: Path, num_steps: int = 80) -> Path:
    """The model's folder."""
    torch.manual_seed(0)
    localiser = Localiser(NETWORK)
    fit = LocaliserFit(num_steps=num_steps, batch=8, learning_rate=4e-3, warmup_steps=10)
    for _ in train_localiser(localiser, bright_bank(), fit):
        pass
    return save_localiser(localiser, LocaliserCard(network=NETWORK, threshold=0.5), parent)
