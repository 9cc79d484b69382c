"""Pictures of frames as figures show them: the part about the hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from semihand.frames.errors import BadFrame
from semihand.frames.limits import Limits
from semihand.frames.reading import Picture, read_pictures
from semihand.hand.boxes import Box
from semihand.hand.crops import square_box

_MARGIN = 1.5  # as much about the hand as lets a label be judged that leaves its box


class Shown(NamedTuple):
    """Pictures of rows that can be read.

    Attributes:
        rows: of the frames that were asked for, ascending.
        pictures: whole, one a row.
        views_px: the part about the hand; None where the frame has no box, and is all hand.
    """

    rows: list[int]
    pictures: list[Picture]
    views_px: list[Box | None]


def read_shown(frames: pa.Table, limits: Limits) -> Shown:
    """The pictures of frames that can still be read.

    Args:
        frames: rows of FRAMES.
        limits: what a picture may take.
    """
    read = dict(read_pictures(frames, limits))
    pictures = {row: picture for row, picture in sorted(read.items()) if not isinstance(picture, BadFrame)}
    boxes = frames["bbox_px"].to_pylist()
    views = [None if boxes[row] is None else _about(boxes[row], picture) for row, picture in pictures.items()]
    return Shown(list(pictures), list(pictures.values()), views)


def _about(box_px: Sequence[float], picture: Picture) -> Box:
    """The square about a box, cut at the picture's edges."""
    left, top, side, _ = square_box(np.array(box_px, np.float64), _MARGIN)
    height, width = picture.shape[:2]
    x, y = max(left, 0.0), max(top, 0.0)
    return float(x), float(y), float(min(left + side, width) - x), float(min(top + side, height) - y)
