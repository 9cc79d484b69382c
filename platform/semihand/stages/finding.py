"""Find hands on a cluster: a piece of a video, or some stills, an actor at a time; the driver commits what comes."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from semihand.deaths import DETAIL, REASON, Guard, Guarded, forget_deaths
from semihand.frames.errors import BadFrame
from semihand.frames.settled import settled_ids
from semihand.steps.finding import FindJob, unsaid
from semihand.steps.following import FindConfig
from semihand.steps.found_rows import FoundRow, found_table, split_found
from semihand.steps.shots import segments, shots_of
from semihand.tables import Shard, Store
from semihand.tables.rows import take_rows
from semihand.workforce import Actors, Work, by_actors, is_alone, rows_of_blocks

_TABLES = ("quarantine", "frames")  # committed in this order: a piece whose frames are there is all there
_STILLS_PER_PIECE = 64


class Finders(NamedTuple):
    """What the work is spread over."""

    each: Actors
    pieces_per_commit: int = 8  # what is lost when the driver dies, at most
    attempts: Path | None = None  # where actors note what they begin, to find frames that kill them; None: nowhere


def find_frames(
    frames: pa.Table,
    job: FindJob,
    store: Store,
    finders: Finders,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Find the hands of listed frames that have none yet, into the tables `frames` and `quarantine` (round 0).

    Pieces are worked whole, so that neither restarts nor the number of actors change what is found.

    Args:
        frames: all that was listed, in any order. Rows that say box and side are in the tables already: they tell which
            hands of their pictures are known.
        job: the models, and how to use them.
        store: where hands and reasons go.
        finders: how many.
        progress: told how many pieces are done, and of how many, at every commit.
    """
    done = settled_ids(store)
    ids: list[str] = frames["frame_id"].to_pylist()
    pieces = pieces_of(frames, job.config)
    to_do = [piece for piece in pieces if not done.issuperset(ids[row] for row in piece)]
    if not to_do:
        forget_deaths(finders.attempts)
        return
    # Known hands, and what was refused by a run that ended before it could commit the piece's frames.
    settled = frozenset(done & {ids[row] for piece in to_do for row in piece})
    blocks = [take_rows(frames, piece).combine_chunks() for piece in to_do]
    written = by_actors(blocks, _Finder, (job, store, settled, finders.attempts), finders.each, what="hands")
    num_done = len(pieces) - len(to_do)
    for shards in _several(written, finders.pieces_per_commit):
        for name in _TABLES:
            store.commit(name, [shard for piece in shards for shard in piece if shard.table == name and shard.num_rows])
        num_done += len(shards)
        progress(num_done, len(pieces))
    forget_deaths(finders.attempts)


def pieces_of(frames: pa.Table, config: FindConfig) -> list[list[int]]:
    """The rows that are worked together: a piece of a video, or some stills, with all rows of their pictures."""
    shots = shots_of(frames)
    pieces = [[row for shot in piece for row in shot.all_rows] for piece in segments(shots, config.frames_per_segment)]
    of_shots = {row for shot in shots for row in shot.boxed}
    # Other rows that have a box are asked for their side alone, each by itself.
    boxed = np.flatnonzero(unsaid(frames) & frames["box_source"].is_valid().to_numpy()).tolist()
    stills = [shot.all_rows for shot in shots if shot.video is None] + [[row] for row in boxed if row not in of_shots]
    starts = range(0, len(stills), _STILLS_PER_PIECE)
    return pieces + [[row for still in stills[at : at + _STILLS_PER_PIECE] for row in still] for at in starts]


class _Finder:
    """An actor: the models, loaded once; what it finds goes to files that only the driver commits."""

    def __init__(self, job: FindJob, store: Store, settled: frozenset[str], attempts: Path | None) -> None:
        guard = None if attempts is None else Guard(attempts, "frame_id", partial(_refused, settled=settled))
        self.find, self.store = Guarded(partial(_open, job, settled), guard, in_children=is_alone()), store

    def __call__(self, frames: pa.Table) -> pa.Table:
        """A piece of the listing; a row of metadata is all that travels on."""
        found, quarantine = split_found(self.find(frames))
        shards = [self.store.write_shard("frames", found), self.store.write_shard("quarantine", quarantine)]
        return pa.table({"shards": [json.dumps([shard.as_row() for shard in shards])]})


def _open(job: FindJob, settled: frozenset[str]) -> Work:
    torch.set_num_threads(1)  # the sums of a convolution must not depend on the size of the machine
    return partial(job.open(), settled=settled)


def _refused(frames: pa.Table, settled: frozenset[str]) -> pa.Table:
    """FOUND rows of frames that kill their workers."""
    names = enumerate(frames["frame_id"].to_pylist())
    problem = BadFrame(REASON, DETAIL)
    return found_table(frames, [FoundRow(row, problem=problem) for row, name in names if name not in settled])


def _several(written: Iterator[pa.Table], num: int) -> Iterator[list[list[Shard]]]:
    """What the actors wrote, so many pieces at a time; both files of a piece together."""
    waiting: list[list[Shard]] = []
    for row in rows_of_blocks(written):
        waiting.append([Shard.from_row(shard) for shard in json.loads(row["shards"])])
        if len(waiting) == num:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
