"""List public data sets on a cluster: actors list parts and write shards, the driver commits them at once."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch

from semihand.deaths import MOST_DEATHS, Guard, Guarded, forget_deaths
from semihand.frames.errors import InputError
from semihand.frames.listing import Listing, list_part
from semihand.frames.options import ListOptions
from semihand.frames.sets.files import forget_annotations, kept_bytes
from semihand.frames.sets.named import parts_of
from semihand.frames.sets.reader import Part, SetReader
from semihand.frames.settled import settled_ids, without_ids
from semihand.tables import QUARANTINE, Shard, Store, files, scan
from semihand.workforce import Actors, Work, by_actors, by_one_task, is_alone, machines, rows_of_blocks

_TABLES = ("quarantine", "frames")  # committed in this order: frames that are there say that all is there
_PARSED_FACTOR = 10  # bytes of memory for a byte of JSON
_PARTS_PER_ACTOR = 4  # fewer are not worth the start of a process


class _Job(NamedTuple):
    """Everything an actor has to know."""

    reader: SetReader
    options: ListOptions
    keep: Callable[[pa.Table], pa.Table]
    store: Store

    @property
    def attempts(self) -> Path | None:
        """Where actors note what they begin; nowhere if the store is no folder."""
        return Path(self.store.folder, "attempts") if files.is_local(self.store.folder) else None


class _Listed(NamedTuple):
    """What an actor says of a part: its files, and the ids of all its rows, kept or not."""

    number: int
    shards: list[Shard]
    ids: list[str]
    conversions: Counter[str]


def ingest_set(
    reader: SetReader,
    options: ListOptions,
    keep: Callable[[pa.Table], pa.Table],
    store: Store,
    say: Callable[[str], None] = lambda text: None,
) -> Counter[str]:
    """List a data set into the tables `frames` and `quarantine` (round 0) of a store; what is there already stays.

    Rows and their order are those of `list_frames`, however many actors there are. Neither pictures nor truth pass
    through this process.

    Args:
        reader: the data set.
        options: what the frames do not say themselves.
        keep: which frames, and what of them; a function that actors can import.
        store: where they go.
        say: told how far it is.

    Returns:
        How many frames are converted, as `semihand.frames.listing.Listing` counts them.

    Raises:
        InputError: what describes the data set or one of its parts cannot be read.
    """
    store.create(_TABLES)
    if scan(store, "frames").head(1).collect().is_empty():  # what was refused without them is listed anew
        store.replace_round("quarantine", QUARANTINE.empty_table(), 0)
    parts = parts_of(reader)
    memory = _memory(reader, options)
    forget_annotations()
    job = _Job(reader, options, keep, store)
    listed = sorted(_listed(job, parts, memory, say))
    seen: set[str] = set()
    for place, part in enumerate(listed):
        if not seen.isdisjoint(part.ids):
            listed[place] = part._replace(
                shards=by_one_task(_list_again, (job, parts[place], seen), memory, "list of a part")
            )
        seen.update(part.ids)
    for name in _TABLES:
        store.commit(name, [shard for part in listed for shard in part.shards if shard.table == name])
    forget_deaths(job.attempts)
    return sum((part.conversions for part in listed), Counter())


def _memory(reader: SetReader, options: ListOptions) -> int:
    """Bytes for the annotation files that an actor holds, no more than a machine has."""
    wanted = _PARSED_FACTOR * kept_bytes(reader.annotations(options.with_truth))
    return min(wanted, int(max(machine.get("memory", 0.0) for machine in machines())))


def _list_again(job: _Job, part: Part, seen: set[str]) -> list[Shard]:
    """A part that repeats frames of earlier ones, without them."""
    return _write(job, list_part(job.reader, part, job.options, 0, seen))


def _listed(job: _Job, parts: list[Part], memory: int, say: Callable[[str], None]) -> Iterator[_Listed]:
    """What the actors say, as they go."""
    places = [min(machine.get("CPU", 0.0), machine.get("memory", 0.0) // max(memory, 1)) for machine in machines()]
    actors = min(int(sum(places)), math.ceil(len(parts) / _PARTS_PER_ACTOR))
    blocks = [pa.table({"number": [number], "part": [json.dumps(part)]}) for number, part in enumerate(parts)]
    told = by_actors(
        blocks, _Lister, (job,), Actors(max(1, actors), 1.0, least=1, memory=memory), what="lists of parts"
    )
    for done, row in enumerate(rows_of_blocks(told), 1):
        if row["error"]:
            forget_deaths(job.attempts)  # once somebody mended what it says, all begins anew
            raise InputError(row["error"])
        shards = [Shard.from_row(shard) for shard in json.loads(row["shards"])]
        yield _Listed(row["number"], shards, json.loads(row["ids"]), Counter(json.loads(row["conversions"])))
        if done % 50 == 0:
            say(f"  {job.reader.name}: {done} of {len(parts)} parts listed")


class _Lister:
    """An actor: it ends with the listing, and with it the annotation files that its parts share."""

    def __init__(self, job: _Job) -> None:
        folder = job.attempts
        guard = None if folder is None else Guard(folder, "part", partial(_refused, name=job.reader.name))
        self.list = Guarded(partial(_open, job), guard, in_children=is_alone())

    def __call__(self, parts: pa.Table) -> pa.Table:
        return self.list(parts)


def _open(job: _Job) -> Work:
    torch.set_num_threads(1)  # fits must not depend on the size of the machine
    return partial(_list, job)


def _list(job: _Job, parts: pa.Table) -> pa.Table:
    return pa.Table.from_pylist([_list_one(job, row["number"], row["part"]) for row in parts.to_pylist()])


def _list_one(job: _Job, number: int, part: str) -> dict[str, Any]:
    try:
        listing = list_part(job.reader, Part(*json.loads(part)), job.options)
    except InputError as error:
        return _failed(number, str(error))
    shards = json.dumps([shard.as_row() for shard in _write(job, listing)])
    ids = json.dumps(listing.ids())
    conversions = json.dumps(listing.conversions)
    return {"number": number, "error": "", "shards": shards, "ids": ids, "conversions": conversions}


def _refused(parts: pa.Table, name: str) -> pa.Table:
    """A part that kills its workers ends the listing: Ray alone would begin it again for ever."""
    return pa.Table.from_pylist(
        [
            _failed(row["number"], f"{name}: whoever lists part {row['part'][:200]} is killed, {MOST_DEATHS} times by "
                    "now. It may take more memory than there is; else take its files out.")
            for row in parts.to_pylist()
        ]
    )  # fmt: skip


def _failed(number: int, error: str) -> dict[str, Any]:
    return {"number": number, "error": error, "shards": "[]", "ids": "[]", "conversions": "{}"}


def _write(job: _Job, listing: Listing) -> list[Shard]:
    """Write what the store does not have."""
    known = settled_ids(job.store)
    tables = (("quarantine", listing.quarantine), ("frames", job.keep(listing.frames)))
    return [job.store.write_shard(name, without_ids(rows, known)) for name, rows in tables]
