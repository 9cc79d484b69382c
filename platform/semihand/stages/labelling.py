"""Label on a cluster: actors predict, tasks write shards, the driver commits a few at a time."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from semihand.deaths import DETAIL, REASON, Guard, Guarded, forget_deaths
from semihand.frames.crop import shards
from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.truth import without_truth
from semihand.steps.components import ErrorModel
from semihand.steps.label import LABELLER, FrameLabeller, LabelConfig
from semihand.steps.label_rows import quarantined, write_labelled
from semihand.steps.previous import PreviousLabels
from semihand.steps.subjects import Lengths
from semihand.tables import Shard, Store
from semihand.tables.places import FILE, ROW, PlacedFrames, Places
from semihand.tables.rows import take_rows
from semihand.workforce import Actors, Shared, Work, by_actors, is_alone, rows_of_blocks, share

_TRAVELS = ["frame_id", "subject_id", "uri", FILE, ROW]  # of a listed frame; who is given up is known by name alone


class LabelClusterConfig(BaseModel, frozen=True, extra="forbid"):
    """How the labelling is spread."""

    num_actors: PositiveInt = Field(
        default=2, description="processes that label side by side, each with its own networks"
    )
    # A fraction: writers need a CPU, too.
    cpus_per_actor: PositiveFloat = Field(default=0.5, le=64, description="CPUs of each, or a fraction of one")
    gpus_per_actor: NonNegativeFloat = Field(default=0.0, description="GPUs of each, or a fraction of one")
    rows_per_shard: PositiveInt = Field(
        default=128, description="frames that each takes at once, and rows of a label file"
    )
    shards_per_commit: PositiveInt = Field(
        default=8, description="label files committed together, and lost at most when the driver dies"
    )


class Labelling(NamedTuple):
    """Everything an actor has to know."""

    config: LabelConfig
    teacher: Path
    lengths: Lengths
    calibration: ErrorModel | None
    round_number: int
    second_teacher: Path | None = None
    limits: Limits = STANDARD  # what reading a frame may take
    previous: pa.Table | None = None  # LABELS of the round before; see `PreviousLabels`
    places: Places | None = None  # what a listing's places are about; None: frames come with their pictures
    attempts: Path | None = None  # where workers note what they begin, to find frames that kill them; None: nowhere


class _Labeller:
    """An actor: one teacher, loaded once; writes no label, looks at one row at a time."""

    def __init__(self, job: Labelling, previous: Shared) -> None:
        refuse = partial(_refused, round_number=job.round_number)
        guard = None if job.attempts is None else Guard(job.attempts, "frame_id", refuse)
        self.label = Guarded(partial(self.open, job, previous), guard, in_children=is_alone())

    @staticmethod
    def open(job: Labelling, previous: Shared) -> Work:
        """What labels, opened."""
        torch.set_num_threads(1)  # the sums of a convolution must not depend on the size of the machine
        poses = previous.get()
        label = FrameLabeller(
            job.config,
            job.teacher,
            job.lengths,
            job.calibration,
            job.round_number,
            second_teacher=job.second_teacher,
            previous=None if poses is None else PreviousLabels(poses),
            limits=job.limits,
        )
        if job.places is None:
            return label
        read = PlacedFrames(job.places)
        return lambda places: label(without_truth(read(places)))

    def __call__(self, frames: pa.Table) -> pa.Table:
        return self.label(frames)


def _refused(frames: pa.Table, round_number: int) -> pa.Table:
    """LABELLED rows of frames that kill their workers."""
    failures = [(row, BadFrame(REASON, DETAIL)) for row in range(frames.num_rows)]
    return quarantined(frames, failures, round_number, LABELLER)


def labelled_blocks(
    frames: pa.Table, job: Labelling, cluster: LabelClusterConfig, then: Work | None = None
) -> Iterator[pa.Table]:
    """LABELLED rows of the frames as they come, a block per shard; or what is then done to each.

    Of listed frames only names and places travel.
    """
    previous = share(None if job.previous is None else job.previous.combine_chunks())
    pieces = shards(frames, cluster.rows_per_shard)
    blocks = [(piece if job.places is None else piece.select(_TRAVELS)).combine_chunks() for piece in pieces]
    actors = Actors(cluster.num_actors, cluster.cpus_per_actor, cluster.gpus_per_actor)
    arguments = (job._replace(previous=None), previous)
    return by_actors(blocks, _Labeller, arguments, actors, batch_size=cluster.rows_per_shard, then=then, what="labels")


def label_frames(
    frames: pa.Table,
    job: Labelling,
    store: Store,
    cluster: LabelClusterConfig,
    progress: Callable[[int, int], None] = lambda done, quarantined: None,
) -> None:
    """Label the frames of a round that have neither a label nor a quarantine row yet, and commit what comes.

    Args:
        frames: the round's manifest, without truth; or the listing of a store's, `job.places` being where they lie.
        job: teacher, lengths, calibration and round.
        store: where labels and quarantine rows go.
        cluster: how many actors, and how often to commit.
        progress: told the rows labelled and quarantined so far, at every commit.
    """
    done = store.done_ids(job.round_number, "semihand")
    todo = [row for row, frame_id in enumerate(frames["frame_id"].to_pylist()) if frame_id not in done]
    if not todo:
        forget_deaths(job.attempts)
        return
    write = partial(write_labelled, store=store, round_number=job.round_number)
    written = labelled_blocks(take_rows(frames, todo), job, cluster, write)
    _commit_all(rows_of_blocks(written), store, job.round_number, cluster.shards_per_commit, progress)
    forget_deaths(job.attempts)


def _commit_all(
    rows: Iterable[dict[str, Any]],
    store: Store,
    round_number: int,
    shards_per_commit: int,
    progress: Callable[[int, int], None],
) -> None:
    waiting: list[Shard] = []
    counts = {"labels": 0, "quarantine": 0}
    for row in rows:
        waiting.append(Shard.from_row(row))
        if len(waiting) >= 2 * shards_per_commit:
            _commit(waiting, store, round_number, counts)
            progress(counts["labels"], counts["quarantine"])
            waiting = []
    _commit(waiting, store, round_number, counts)
    progress(counts["labels"], counts["quarantine"])


def _commit(waiting: list[Shard], store: Store, round_number: int, counts: dict[str, int]) -> None:
    for name in counts:
        found = [shard for shard in waiting if shard.table == name and shard.num_rows]
        if found:
            store.commit(name, found, round_number)
            counts[name] += sum(shard.num_rows for shard in found)
