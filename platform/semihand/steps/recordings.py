"""Recordings: which calibration rows belong together, because frames of one recording fail together."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int

_NUM_FOLDS = 5


def folds(errors: pl.DataFrame) -> Int[np.ndarray, " rows"]:
    """Five parts of the rows, recordings kept whole where there are enough of them."""
    names = recordings(errors)
    known, index = np.unique(np.array(names), return_inverse=True)
    rows = index if len(known) >= _NUM_FOLDS else np.arange(len(names))
    parts: np.ndarray = rows % _NUM_FOLDS
    return parts


def recordings(errors: pl.DataFrame) -> Sequence[str]:
    """The sequence that every row is from; a frame of none is one by itself."""
    return errors.select(pl.coalesce(pl.col("sequence_id").cast(pl.String), "frame_id"))["sequence_id"].to_list()
