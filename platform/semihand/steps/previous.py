"""What the round before said of a frame: the poses that Algorithm 1 carries on."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from semihand.tables import as_numpy

COLUMNS = ("frame_id", "joints_mm", "corrected_mm", "correction_kept")


class Previous(NamedTuple):
    """Poses of the round before, camera frame; NaN in rows that had no label."""

    joints_mm: Float[np.ndarray, "batch 21 3"]
    corrected_mm: Float[np.ndarray, "batch 21 3"]  # NaN also where the paired test rejected it


class PreviousLabels:
    """The last round's labels, found by frame; the poses are read where they lie."""

    def __init__(self, labels: pa.Table) -> None:
        """From LABELS rows of one round and labeller, at least their `COLUMNS`, in any order."""
        ids = np.asarray(labels["frame_id"].to_pylist(), dtype="S")
        self._order = np.argsort(ids)
        self._ids = ids[self._order]
        self._poses = [as_numpy(labels[name]).reshape(-1, 21, 3) for name in Previous._fields]
        self._kept = np.array([kept is not False for kept in labels["correction_kept"].to_pylist()], dtype=bool)

    def rows(self, frame_ids: list[str]) -> Previous:
        """The poses of these frames."""
        found = [np.full((len(frame_ids), 21, 3), np.nan) for _ in self._poses]
        wanted = np.asarray(frame_ids, dtype="S")
        if len(self._ids) and len(wanted):
            place = np.searchsorted(self._ids, wanted).clip(max=len(self._ids) - 1)
            there = self._ids[place] == wanted
            rows = self._order[place[there]]
            for poses, given in zip(found, self._poses, strict=True):
                poses[there] = given[rows]
            found[1][np.flatnonzero(there)[~self._kept[rows]]] = np.nan
        return Previous(*found)
