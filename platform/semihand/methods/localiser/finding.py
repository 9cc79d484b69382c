"""Hands in whole pictures: both looks, one after the other, and what they say of one picture alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from semihand.frames.crop import crop_hand
from semihand.methods.localiser.boxes import at_least, clipped, without_repeats
from semihand.methods.localiser.looks import Localiser, Proposals, boxes_from, places_about
from semihand.methods.localiser.objective import cut_out
from semihand.methods.localiser.weights import load_localiser

_PROPOSED = 6  # places of a picture that are looked at
_FLOOR = 0.03  # of the first look's score: no place that scores less is looked at
_LEAST = 1 / 64  # of the picture's longer side, of what the second look sees: a place is never of a few pixels
_EXPECTED = 0.5  # the first look's score of a place where a hand was just before
_LOOKS = 2  # at each place: the second sees what the first has put right
_MOST_OVERLAP = 0.4  # of two hands' boxes

Cut = Callable[[Float[Tensor, "N 4"]], Float[Tensor, "N 3 P P"]]


class Finding(NamedTuple):
    """One hand found in a picture."""

    box_px: tuple[float, float, float, float]  # x, y, width, height; pixel centres at integers
    score: float  # 0..1, how sure that this is a hand
    right: float  # 0..1, how sure that it is a right hand

    @property
    def edges_px(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edges."""
        x, y, width, height = self.box_px
        return x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5


def find_in(localiser: Localiser, pictures: Float[Tensor, "B 3 S S"]) -> list[list[Finding]]:
    """Hands in pictures of the first look's size, whatever their score, best first."""
    with torch.inference_mode():
        proposals = localiser.propose(localiser.first(pictures), _PROPOSED)
        side_px = localiser.config.place_px
        whole = pictures.new_tensor([-0.5, -0.5, pictures.shape[-1] - 0.5, pictures.shape[-1] - 0.5])
        found = []
        for number in range(len(pictures)):

            def cut(squares_px: Tensor, picture: Tensor = pictures[number]) -> Tensor:
                return cut_out(picture.expand(len(squares_px), -1, -1, -1), squares_px, side_px)

            found.append(_findings(localiser, Proposals(proposals[0][number], proposals[1][number]), cut, whole))
    return found


class HandFinder:
    """Finds hands in whole pictures; one model, loaded once. A picture's findings depend on it alone."""

    def __init__(self, folder: Path, device: str = "cpu", min_score: float | None = None) -> None:
        """Open a model folder.

        Args:
            folder: made by `save_localiser`.
            device: where to compute.
            min_score: only what scores more is a finding; None: the model's own threshold.

        Raises:
            ValueError: the folder holds no localiser, or its weights are not those its card names.
        """
        self._localiser, self.card = load_localiser(folder, device)
        self._device = torch.device(device)
        self.min_score = self.card.threshold if min_score is None else min_score

    def find(self, pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]]) -> list[list[Finding]]:
        """Hands of each picture, best first."""
        return [self._find(picture) for picture in pictures]

    def look_again(
        self, picture: UInt8[np.ndarray, "rows columns 3"], box_px: tuple[float, float, float, float]
    ) -> Finding | None:
        """The hand about a box that was expected there, or None."""
        x, y, width, height = box_px
        edges = torch.tensor([[x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5]], device=self._device)
        proposals = Proposals(edges, edges.new_full((1,), _EXPECTED))
        with torch.inference_mode():
            findings = _findings(self._localiser, proposals, self._cutter(picture), _bounds(picture, self._device))
        return findings[0] if findings and findings[0].score > self.min_score else None

    def _find(self, picture: UInt8[np.ndarray, "rows columns 3"]) -> list[Finding]:
        seen, scale, shift_px = _letterboxed(picture, self._localiser.config.picture_px)
        with torch.inference_mode():
            tensor = torch.from_numpy(seen).to(self._device).permute(2, 0, 1).unsqueeze(0).float() / 255
            boxes, scores = self._localiser.propose(self._localiser.first(tensor), _PROPOSED)
            proposals = Proposals((boxes[0] - boxes.new_tensor(shift_px).tile(2) + 0.5) / scale - 0.5, scores[0])
            findings = _findings(self._localiser, proposals, self._cutter(picture), _bounds(picture, self._device))
        return [finding for finding in findings if finding.score > self.min_score]

    def _cutter(self, picture: UInt8[np.ndarray, "rows columns 3"]) -> Cut:
        side_px = self._localiser.config.place_px

        def cut(squares_px: Tensor) -> Tensor:
            crops = []
            for left, top, right, bottom in squares_px.double().tolist():
                box = np.array([left + 0.5, top + 0.5, right - left, bottom - top])
                crops.append(crop_hand(picture, box, side_px)[0])
            stacked = torch.from_numpy(np.stack(crops)).to(self._device)
            return stacked.permute(0, 3, 1, 2).float() / 255

        return cut


class _Verdict(NamedTuple):
    """What the second look says of places, their mirror images considered."""

    hand: Float[Tensor, " N"]  # log-odds
    right: Float[Tensor, " N"]  # log-odds
    box: Float[Tensor, "N 4"]  # as in `Said`


def _judged(localiser: Localiser, places: Float[Tensor, "N 3 P P"]) -> _Verdict:
    """The mean of what is said of places and of their mirror images, where right is left."""
    said = localiser.second(torch.cat([places, places.flip(3)]))
    hand, hand_mirrored = said.hand.chunk(2)
    right, left = said.right.chunk(2)
    box, box_mirrored = said.box.chunk(2)
    box_mirrored = torch.cat([-box_mirrored[:, :1], box_mirrored[:, 1:]], dim=1)
    return _Verdict((hand + hand_mirrored) / 2, (right - left) / 2, (box + box_mirrored) / 2)


def _findings(localiser: Localiser, proposals: Proposals, cut: Cut, whole_px: Float[Tensor, " 4"]) -> list[Finding]:
    """What the second look leaves of one picture's proposals."""
    seen = proposals.scores > _FLOOR
    if not seen.any():
        return []
    boxes, verdicts = proposals.boxes_px[seen], list[_Verdict]()
    least_px = _LEAST * (whole_px[2:] - whole_px[:2]).amax()
    for _ in range(_LOOKS):
        squares = at_least(places_about(boxes), least_px)
        verdicts.append(_judged(localiser, cut(squares)))
        boxes = boxes_from(verdicts[-1].box, squares)
    right = torch.stack([verdict.right for verdict in verdicts]).mean(0).sigmoid()
    odds = torch.stack([verdict.hand for verdict in verdicts]).mean(0) + proposals.scores[seen].logit(eps=1e-6)
    scores = odds.sigmoid()
    kept = without_repeats(boxes, scores, _MOST_OVERLAP)
    boxes = clipped(boxes.unsqueeze(0), whole_px.unsqueeze(0))[0]
    kept &= (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    rows = torch.cat([boxes[:, :2] + 0.5, boxes[:, 2:] - boxes[:, :2]], dim=1)
    findings = [
        Finding((x, y, width, height), score, side)
        for (x, y, width, height), score, side, keep in zip(
            rows.tolist(), scores.tolist(), right.tolist(), kept.tolist(), strict=True
        )
        if keep
    ]
    return sorted(findings, key=lambda finding: -finding.score)


def _letterboxed(
    picture: UInt8[np.ndarray, "rows columns 3"], side_px: int
) -> tuple[UInt8[np.ndarray, "S S 3"], float, tuple[int, int]]:
    """The whole picture in the middle of a square, black beside it, as the first look was taught.

    Returns:
        The square, the factor from the picture's pixels to the square's, and where the picture begins in it.
    """
    rows, columns = picture.shape[:2]
    scale = side_px / max(rows, columns)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    resample = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    left, top = (side_px - width) // 2, (side_px - height) // 2
    square = np.zeros((side_px, side_px, 3), np.uint8)
    square[top : top + height, left : left + width] = np.asarray(
        Image.fromarray(picture).resize((width, height), resample)
    )
    return square, scale, (left, top)


def _bounds(picture: UInt8[np.ndarray, "rows columns 3"], device: torch.device) -> Float[Tensor, " 4"]:
    rows, columns = picture.shape[:2]
    return torch.tensor([-0.5, -0.5, columns - 0.5, rows - 0.5], device=device)
