"""Recordings: which calibration rows belong together, because frames of one recording fail together."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int

_NUM_FOLDS = 5
_LEAST_SHARE = 0.25  # of the rows, in the smaller half


def folds(errors: pl.DataFrame) -> Int[np.ndarray, " rows"]:
    """Five parts of the rows, recordings kept whole where there are enough of them."""
    names = recordings(errors)
    known, index = np.unique(np.array(names), return_inverse=True)
    rows = index if len(known) >= _NUM_FOLDS else np.arange(len(names))
    parts: np.ndarray = rows % _NUM_FOLDS
    return parts


def halves(errors: pl.DataFrame) -> tuple[list[int], list[int]]:
    """Rows to search on and rows to check on, told apart by the name of the frame, or of its recording.

    Recordings are kept whole where each half then has a quarter of the rows at least.
    """
    for names in (recordings(errors), errors["frame_id"].to_list()):
        rows: tuple[list[int], list[int]] = ([], [])
        for row, (name, frame_id) in enumerate(zip(names, errors["frame_id"], strict=True)):
            # The id of a frame is a hash already.
            digits = frame_id if name == frame_id else hashlib.sha256(name.encode()).hexdigest()
            rows[int(digits[-1], 16) % 2].append(row)
        if min(map(len, rows)) >= _LEAST_SHARE * len(errors):
            break
    return rows


def recordings(errors: pl.DataFrame) -> Sequence[str]:
    """The sequence that every row is from; a frame of none is one by itself."""
    return errors.select(pl.coalesce(pl.col("sequence_id").cast(pl.String), "frame_id"))["sequence_id"].to_list()
