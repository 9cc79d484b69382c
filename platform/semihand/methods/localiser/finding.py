"""The localiser as a function of pictures: what everything around it is written against."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from semihand.methods.semihand.weight_folder import WEIGHTS


class Finding(NamedTuple):
    """One hand found in a picture."""

    box_px: tuple[float, float, float, float]  # x, y, width, height; pixel centres at integers, like bbox_px
    score: float  # 0..1, how sure that this is a hand
    right: float  # 0..1, how sure that it is a right hand


class HandFinder:
    """Finds hands in whole pictures; one model, loaded once."""

    def __init__(self, folder: Path, device: str = "cpu", min_score: float | None = None) -> None:
        """Open the model; None takes its own threshold.

        Raises:
            ValueError: the folder holds no such model.
        """
        if not (folder / WEIGHTS).is_file():
            raise ValueError(f"it holds no {WEIGHTS}")
        raise ValueError("this version of semihand has no network to load it into")

    def find(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[list[Finding]]:
        """The hands of every picture, best first; a picture's do not depend on the others."""
        raise NotImplementedError

    def look_again(
        self, picture: UInt8[np.ndarray, "_ _ 3"], box_px: tuple[float, float, float, float]
    ) -> Finding | None:
        """Score, side and box of what is inside about this box; None: no hand there."""
        raise NotImplementedError
