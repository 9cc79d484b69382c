"""Make synthetic frames on a cluster: tasks render and write shards, the driver commits them at once."""

from collections.abc import Callable
from functools import partial

import pyarrow as pa
import torch

from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import generate_frames
from semihand.tables import Shard, Store, scan
from semihand.workforce import by_tasks, rows_of_blocks

_ROWS_PER_SHARD = 200


def synthesise(config: SyntheticConfig, store: Store, say: Callable[[str], None] = lambda text: None) -> None:
    """Fill a store with the frames of a synthetic set; one that is full already is left as it is.

    Raises:
        ValueError: the store holds frames of another set.
    """
    store.create(["frames"])
    there = scan(store, "frames").select("dataset").collect()["dataset"]
    if len(there) == config.num_frames and set(there) == {config.name}:
        return
    if len(there):
        raise ValueError(
            f"{store.folder} holds {len(there)} frames of {', '.join(sorted(set(there)))}, not the "
            f"{config.num_frames} of {config.name}; name another folder"
        )
    starts = range(0, config.num_frames, _ROWS_PER_SHARD)
    pieces = by_tasks(
        [pa.table({"start": [start]}) for start in starts], partial(_render, config=config, store=store), "pictures"
    )
    shards = []
    for row in rows_of_blocks(pieces):
        shards.append(Shard.from_row(row))
        done = sum(shard.num_rows for shard in shards)
        if len(shards) % 5 == 0 or done == config.num_frames:
            say(f"  {config.name}: {done} of {config.num_frames} frames")
    store.commit("frames", shards)


def _render(starts: pa.Table, config: SyntheticConfig, store: Store) -> pa.Table:
    torch.set_num_threads(1)
    written = []
    for start in starts["start"].to_pylist():
        indices = range(start, min(start + _ROWS_PER_SHARD, config.num_frames))
        written.append(store.write_shard("frames", generate_frames(config, indices)).as_row())
    return pa.Table.from_pylist(written)
