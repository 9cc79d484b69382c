"""Which frames a store has settled: they are in FRAMES or refused, and stay so, whatever becomes of their files."""

from collections.abc import Set

import numpy as np
import polars as pl
import pyarrow as pa

from semihand.tables import Store, scan
from semihand.tables.rows import filter_rows


def settled_ids(store: Store) -> set[str]:
    """The frame_id of every row of FRAMES, and of QUARANTINE of round 0."""
    tables = (scan(store, "frames"), scan(store, "quarantine", round=0))
    return set(pl.concat([rows.select("frame_id") for rows in tables]).collect()["frame_id"])


def without_ids(rows: pa.Table, ids: Set[str]) -> pa.Table:
    """The rows of other frames than these."""
    names = rows["frame_id"].to_pylist()
    return rows if ids.isdisjoint(names) else filter_rows(rows, np.array([name not in ids for name in names], bool))
