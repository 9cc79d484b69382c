"""Whoever opens what strangers wrote asks a process of its own, which can be ended and replaced.

A picture that hangs its decoder, crashes it or fills the memory costs its own row: the process ends, by the kernel's
timer if by nothing else, the row is quarantined as too_slow or crashed, and another process goes on with the next.
The process works ahead while its answer is being used, so that on two cores decoding costs next to nothing. What a
whole file took of its addresses never comes back, so that one which has read a manifest ends with it.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import semihand
from semihand.frames.answers import FILE_TASKS, check_message, most_bytes
from semihand.frames.errors import BadFrame, first_line
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.line import Line, copies, new_memory
from semihand.frames.messages import read, written
from semihand.redaction import without_secrets

_MODULE = "semihand.frames.worker_process"
_ITEMS_PER_REQUEST = 32
_REQUEST_BYTES = 2**26  # beyond which no further item joins a request: embedded pictures are up to 256 MB each
_MOST_ANSWER_BYTES = 2**22  # of text and small buffers: a manifest's names at most, and what JSON makes of them
_START_S = 300.0  # what a process may take to start, on a machine that is busy with others
_GRACE_S = 10.0  # beyond the process's own limit: it cannot be ended while the kernel waits for a disk
_idle: dict[tuple[int, Limits, bool], list["Worker"]] = {}


class WorkerEnded(Exception):  # noqa: N818  (it is not an error of the program's)
    """The process ended before it answered.

    Attributes:
        problem: what this means for the item that it was at.
    """

    def __init__(self, problem: BadFrame) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Worker:
    """One decoding process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.at_rest = True  # whether all that was asked is answered
        self.used_up = False  # whether it holds memory that the next item would lack
        self._started = False
        self._memory_fd = new_memory()
        ours, theirs = socket.socketpair()
        self._line = Line(ours, _MOST_ANSWER_BYTES)
        with theirs:
            self._process = _start(theirs.fileno(), self._memory_fd, limits)

    def lives(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def ask(self, task: str, *arguments: Any, patience_s: float) -> Iterator[Any]:
        """The answers of a task of `semihand.frames.tasks`.

        Args:
            task: its name.
            arguments: what it is given.
            patience_s: after it without an answer the process is taken for lost, whatever it waits for.

        Raises:
            WorkerEnded: the process ended, or was ended since it answers nonsense; it cannot be asked again.
            RuntimeError: it did not even start, which is not the fault of what it was to open.
        """
        self.at_rest = False
        self.used_up |= task in FILE_TASKS and task != "parquet_names"  # after which it can still read the file
        self._wait_until_started()
        text, buffers = written((task, arguments))
        try:
            self._line.send(text, buffers, patience_s=patience_s)
            while answer := self._receive(task, patience_s):
                yield answer[0]
        except TimeoutError:
            self.end()
            raise WorkerEnded(BadFrame("too_slow", f"no answer in {patience_s:g} s")) from None
        except (EOFError, ConnectionError) as error:
            raise WorkerEnded(self._what_happened()) from error
        self.at_rest = True

    def _wait_until_started(self) -> None:
        if self._started:
            return
        with contextlib.suppress(EOFError, ConnectionError, TimeoutError):
            self._started = bool(self._line.receive(_START_S))
        if not self._started:
            raise RuntimeError(
                f"{sys.executable} -m {_MODULE} does not start (exit code {self.end()}); its own message stands above, "
                "on stderr. Pictures are opened in that process alone."
            )

    def _receive(self, task: str, patience_s: float) -> tuple[Any, ...]:
        """An answer, or the empty tuple at the end."""
        try:
            packet = self._line.receive(patience_s)
            buffers = packet.buffers
            if buffers is None:
                buffers = copies(self._memory_fd, packet.sizes, most_bytes(task, self.limits))
                with contextlib.suppress(ConnectionError):  # it may have died since, which the next answer will show
                    self._line.send("copied", patience_s=patience_s)
            message: tuple[Any, ...] = read(packet.text, buffers)
            check_message(message, task, self.limits)
        except ValueError as error:
            raise self.distrusted(first_line(error)) from error
        return message

    def distrusted(self, why: str) -> WorkerEnded:
        """End the process, whose answers are nonsense, and say what this means for the item that it was at."""
        self.end()
        return WorkerEnded(BadFrame("crashed", f"the process that opened it answers nonsense: {why}"))

    def _what_happened(self) -> BadFrame:
        code = self.end()
        if code == -signal.SIGALRM:
            return BadFrame("too_slow", f"not done in {self.limits.max_item_s:g} s; see --limits.max_item_s")
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return BadFrame("crashed", f"it ended the process that opened it ({how})")

    def end(self) -> int | None:
        """End the process, if it has not, and say how it did; None where it cannot even be ended."""
        self.at_rest = False
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)  # one that has ended by itself should say how
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        if self._memory_fd >= 0:
            os.close(self._memory_fd)
            self._memory_fd = -1
        return self._process.returncode


def _start(line_fd: int, memory_fd: int, limits: Limits) -> "subprocess.Popen[bytes]":
    search = os.pathsep.join(filter(None, (str(Path(semihand.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    # -P: a picture folder that is the working directory must not bring its own modules.
    command = [sys.executable, "-P", "-W", "ignore", "-m", _MODULE, str(line_fd), str(memory_fd)]
    return subprocess.Popen(
        [*command, limits.model_dump_json()],
        env=without_secrets(os.environ) | one_thread | {"PYTHONPATH": search},
        pass_fds=(line_fd, memory_fd),
        stdin=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def borrowed(limits: Limits, for_files: bool = False) -> Iterator[Worker]:
    """A decoding process of these limits: one that rests, or a new one.

    It is kept unless it was left in the middle or has read a file. What is asked about files is not asked for pictures.
    """
    resting = _idle.setdefault((os.getpid(), limits, for_files), [])
    worker = None
    while worker is None:
        try:
            found = resting.pop()
            worker = found if found.lives() else None
        except IndexError:
            worker = Worker(limits)
    try:
        yield worker
    finally:
        if worker.at_rest and not worker.used_up:
            resting.append(worker)
        else:
            worker.end()


def each(
    task: str, items: Iterable[tuple[Any, ...]], limits: Limits = STANDARD, patience_s: float | None = None
) -> Iterator[Any]:
    """One answer per item, in order; a BadFrame for an item that ends the process.

    Args:
        task: of those in `semihand.frames.tasks` that answer item by item.
        items: the arguments for each.
        limits: what an item may take.
        patience_s: see `Worker.ask`; None: a little more than an item may take.
    """
    patience_s = patience_s or limits.max_item_s + _GRACE_S
    items = iter(items)
    waiting: list[tuple[Any, ...]] = []
    while _fill(waiting, items):
        with borrowed(limits, task in FILE_TASKS) as worker:
            try:
                for answer in worker.ask(task, waiting, patience_s=patience_s):
                    if not waiting:
                        break  # nobody asked for it; the process is left in the middle, and so ended
                    del waiting[0]
                    yield answer
                if waiting:
                    raise worker.distrusted(f"{len(waiting)} items are without an answer")
            except WorkerEnded as end:
                if waiting:  # or it ended once all was answered
                    del waiting[0]
                    yield end.problem


def _fill(waiting: list[tuple[Any, ...]], items: Iterator[tuple[Any, ...]]) -> bool:
    """Add items up to what a request holds; whether there is any."""
    while len(waiting) < _ITEMS_PER_REQUEST and sum(map(_bytes_in, waiting)) < _REQUEST_BYTES:
        if (item := next(items, None)) is None:
            break
        waiting.append(item)
    return bool(waiting)


def _bytes_in(item: tuple[Any, ...]) -> int:
    return sum(len(part) for part in item if isinstance(part, bytes))


def one(task: str, *item: Any, limits: Limits = STANDARD, patience_s: float | None = None) -> Any:
    """The answer for one item.

    Raises:
        BadFrame: the item cannot be used.
    """
    (answer,) = each(task, [item], limits, patience_s)
    if isinstance(answer, Exception):
        raise answer
    return answer


def for_a_file(limits: Limits) -> float:
    """How long to wait for an answer that is about a whole file of frames."""
    return 2 * limits.max_file_s + limits.max_item_s + _GRACE_S  # it is hashed as well


def dismiss(keep: int = 0) -> None:
    """End the processes that rest, but for so many of each kind."""
    for (owner, *_), resting in list(_idle.items()):
        while owner == os.getpid() and len(resting) > keep:
            resting.pop().end()


atexit.register(dismiss)
