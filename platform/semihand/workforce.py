"""Who does the work on blocks of rows: actors and tasks of Ray Data where Ray runs, else this process, one by one.

What comes out is the same rows either way; only Ray Data may change the order of the blocks.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import pyarrow as pa
import ray
import ray.data
import torch
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from semihand.frames.errors import InputError, first_line
from semihand.waiting import End, Watch, stalled, watched

WRITER_CPUS = 0.25  # of a task that writes what an actor made
_IS_ALONE: ContextVar[bool] = ContextVar("is_alone", default=False)

Work = Callable[[pa.Table], pa.Table]


class Actors(NamedTuple):
    """How many processes work side by side, and what each of them takes."""

    most: int
    cpus: float
    gpus: float = 0.0
    least: int | None = None  # to begin with; None: all of them
    memory: int = 0  # bytes; 0: not counted


class Shared(NamedTuple):
    """A value that every worker reads and none changes; the actors of a machine have it where it lies."""

    held: Any

    def get(self) -> Any:
        """The value."""
        return ray.get(self.held) if isinstance(self.held, ray.ObjectRef) else self.held


def is_alone() -> bool:
    """Whether this process does all work itself: Ray does not run, or it was told to do without."""
    return _IS_ALONE.get() or not ray.is_initialized()


@contextmanager
def working_alone() -> Iterator[None]:
    """Do without a cluster inside, even if Ray runs."""
    before = _IS_ALONE.set(True)
    try:
        yield
    finally:
        _IS_ALONE.reset(before)


def share(value: Any) -> Shared:
    """Make a value known to all workers, once."""
    return Shared(value if is_alone() else ray.put(value))


def by_actors(
    blocks: Sequence[pa.Table],
    actor: type,
    arguments: tuple[Any, ...],
    actors: Actors,
    *,
    batch_size: int | None = None,
    then: Work | None = None,
    what: str = "blocks",
) -> Iterator[pa.Table]:
    """What an actor makes of every block.

    Args:
        blocks: rows that are worked together; at least one block.
        actor: a class whose objects take a block and give another; it may set torch's number of threads.
        arguments: what it is made of.
        actors: how many of them.
        batch_size: rows of all blocks but perhaps the last; None where they differ, and must stay whole all the same.
        then: done to what it gives, by tasks of their own.
        what: the answers are, for the line that says that none comes.

    Raises:
        InputError: no block moved for as long as Ray Data was told to wait; see `stall_limit`.
    """
    if is_alone():
        with _threads_kept(), watched(what, in_words) as progress:
            work = actor(*arguments)
            for block in blocks:
                progress()
                answer = work(block)
                yield answer if then is None else then(answer)
        return
    _check_store(blocks)
    most = min(actors.most, len(blocks))
    if batch_size is None:  # Ray Data wants a size where there are GPUs, and would cut and join blocks to it
        blocks, actor, arguments, batch_size = [_packed(block) for block in blocks], _Unpacking, (actor, arguments), 1
    data = ray.data.from_arrow(list(blocks)).map_batches(
        actor,
        fn_constructor_args=arguments,
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=min(actors.least or most, most), max_size=most),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus or None,
        memory=actors.memory or None,
    )
    if then is not None:
        writers = ray.data.TaskPoolStrategy(size=most)  # else one for every block, each a process to start
        data = data.map_batches(then, batch_format="pyarrow", batch_size=None, num_cpus=WRITER_CPUS, compute=writers)
    yield from _answers(data, what)


def _check_store(blocks: Sequence[pa.Table]) -> None:
    """Refuse blocks that Ray could not hold on their way in and out: they would go by the disk, or nowhere."""
    largest = max(blocks, key=lambda block: int(block.nbytes))
    room = min(machine.get("object_store_memory", math.inf) for machine in machines())
    if 2 * largest.nbytes > room:
        raise InputError(
            f"a block of {largest.num_rows} rows takes {largest.nbytes / 1e6:,.0f} MB, in and out twice that, and "
            f"Ray's object store has {room / 1e6:,.0f} MB. Raise --cluster.object_store_mb, or --object-store-memory "
            "of `ray start`; or lower --cluster.label.rows_per_shard."
        )


def _answers(data: ray.data.Dataset, what: str) -> Iterator[pa.Table]:
    with watched(what, in_words) as progress:
        try:
            for block in data.iter_batches(batch_format="pyarrow", batch_size=None):
                progress()
                yield block
        except ExecutionTimeoutError as error:
            raise stalled(what, data.context.execution_no_progress_timeout_s, in_words()) from error


class _Unpacking:
    """An actor around another, which is given blocks that travelled as a row each."""

    def __init__(self, actor: type, arguments: tuple[Any, ...]) -> None:
        self.work: Work = actor(*arguments)

    def __call__(self, packed: pa.Table) -> pa.Table:
        return self.work(pa.ipc.open_stream(packed["block"][0].as_buffer()).read_all())


def _packed(block: pa.Table) -> pa.Table:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, block.schema) as stream:
        stream.write_table(block)
    return pa.table({"block": pa.array([sink.getvalue().to_pybytes()], pa.large_binary())})


def by_tasks(blocks: Sequence[pa.Table], work: Work, what: str = "blocks") -> Iterator[pa.Table]:
    """What a task makes of every block; it may set torch's number of threads.

    Raises:
        InputError: no block moved for as long as Ray Data was told to wait; see `stall_limit`.
    """
    if is_alone():
        with _threads_kept(), watched(what, in_words) as progress:
            for block in blocks:
                progress()
                yield work(block)
        return
    data = ray.data.from_arrow(list(blocks)).map_batches(work, batch_format="pyarrow", batch_size=None)
    yield from _answers(data, what)


def by_one_task(work: Callable[..., Any], arguments: tuple[Any, ...], memory: int, what: str = "answer") -> Any:
    """What a task in a process of its own gives, which ends with it and lets its memory go.

    Args:
        work: a function that workers can import.
        arguments: of it.
        memory: bytes that it takes; 0: not counted.
        what: the answer is, for the line that says that it does not come.

    Raises:
        InputError: it did not come; see `stall_limit`.
    """
    if is_alone():
        with watched(what, in_words):
            return work(*arguments)
    task = ray.remote(max_calls=1, memory=memory or None)(work).remote(*arguments)
    with watched_cluster(what, lambda: ray.cancel(task, force=True)):
        return ray.get(task)


def watched_cluster(what: str, give_up: Callable[[], None]) -> AbstractContextManager[Watch]:
    """Have somebody watch a wait for Ray, and give it up when nothing moves for as long as `stall_limit` says.

    It is given up by another thread. Alone, this process does the work itself, and takes as long as it takes.
    """
    limit_s = ray.data.DataContext.get_current().execution_no_progress_timeout_s
    return watched(what, in_words, end=None if is_alone() else End(limit_s, give_up))


@contextmanager
def stall_limit(seconds: float) -> Iterator[None]:
    """Have waits for Ray end with an error when nothing moves for so long: no block, no trial, no report of a fit."""
    context = ray.data.DataContext.get_current()
    before, context.execution_no_progress_timeout_s = context.execution_no_progress_timeout_s, seconds
    try:
        yield
    finally:
        context.execution_no_progress_timeout_s = before


def in_words() -> str:
    """What there is to be seen of the cluster while nothing moves."""
    if is_alone():
        return "this process works alone"
    try:
        free, there = ray.available_resources().get("CPU", 0.0), ray.cluster_resources().get("CPU", 0.0)
        nodes = ray.nodes()
    except RayError as error:
        return f"Ray does not answer ({first_line(error)})"
    alive = sum(node["Alive"] for node in nodes)
    return f"{free:g} of {there:g} CPUs are free, {alive} of {len(nodes)} machines alive (`ray status` says more)"


def machines() -> list[dict[str, float]]:
    """What there is on every machine, as Ray counts it; alone, a CPU, and memory without end."""
    if is_alone():
        return [{"CPU": 1.0, "memory": float(sys.maxsize)}]
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def rows_of_blocks(blocks: Iterator[pa.Table]) -> Iterator[dict[str, Any]]:
    """The rows of all blocks, as plain values."""
    for block in blocks:
        yield from block.to_pylist()


@contextmanager
def _threads_kept() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
