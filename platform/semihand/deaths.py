"""Rows that kill whoever works on them: they are found, left out with a reason, and their neighbours are worked.

Ray begins a block again whenever its worker dies, for ever. So a worker makes a small file before it begins and takes
it away when it is done, in a folder that every machine sees: the files that stay are deaths. A block that was died on
too often is worked row by row, and a row that was died on as often while it was alone is given up. Preemption leaves
such files, too, but never three times for one row that is worked alone.
"""

import hashlib
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from semihand.children import end_with_parent
from semihand.tables.rows import take_rows

MOST_DEATHS = 3  # of a block before it is worked row by row, and of a row before it is given up
REASON = "poison"
DETAIL = f"it killed its worker {MOST_DEATHS} times while it was worked alone"

Work = Callable[[pa.Table], pa.Table]


class Guard(NamedTuple):
    """How deaths are counted, and what becomes of rows that are given up."""

    folder: Path  # every machine sees it; it goes when the work is done
    column: str  # names a row
    refuse: Work  # rows that are given up, to what stands in the answer for them


class Guarded:
    """Work on blocks that goes on when some of their rows kill whoever works on them.

    Answers come in no order, and those of a block are what the work makes of all its rows that do not kill, together.
    """

    def __init__(self, make: Callable[[], Work], guard: Guard | None, *, in_children: bool = False) -> None:
        """Open the work.

        Args:
            make: opens it; a function that other processes can import, with its arguments.
            guard: where deaths are counted; None: nowhere, and all blocks are worked as they come.
            in_children: whether nobody would start this process again: a block that was died on goes to another one.
        """
        self._make, self._guard, self._in_children = make, guard, in_children
        self._work = make()

    def __call__(self, block: pa.Table) -> pa.Table:
        """What the work makes of a block, and what is said of the rows that it cannot be done for."""
        if self._guard is None:
            return self._work(block)
        rows = _Rows(block, self._guard)
        if self._in_children and rows.is_suspect():
            return _by_children(self._make, self._guard, block)
        return rows.worked(self._work)


class _Rows:
    """The rows of one block, and who died on them so far."""

    def __init__(self, block: pa.Table, guard: Guard) -> None:
        self.block, self.guard = block, guard
        self.names: list[str] = [str(name) for name in block[guard.column].to_pylist()]
        guard.folder.mkdir(parents=True, exist_ok=True)
        self.deaths = _deaths(guard.folder)
        self.given_up = [row for row, name in enumerate(self.names) if self._died(["row", name]) >= MOST_DEATHS]

    def is_suspect(self) -> bool:
        """Whether anyone died on the block or one of its rows."""
        keys = [_key(["block", *self.names]), *(_key(["row", name]) for name in self.names)]
        return any(self.deaths[key] for key in keys)

    def worked(self, work: Work) -> pa.Table:
        """The answer for all of them."""
        rest = [row for row in range(self.block.num_rows) if row not in set(self.given_up)]
        refused = [self.guard.refuse(take_rows(self.block, self.given_up))] if self.given_up else []
        if not rest:
            return refused[0]
        whole = ["block", *self.names]
        if self._died(whole) >= MOST_DEATHS:
            alone = [self._attempt(work, [row], ["row", self.names[row]]) for row in rest]
            whole = ["rest", *whole]  # all that is left lives alone, so what killed may be gone
            if self._died(whole) >= MOST_DEATHS:
                return pa.concat_tables([*refused, *alone])
        return pa.concat_tables([*refused, self._attempt(work, rest, whole)])

    def _died(self, words: Sequence[str]) -> int:
        return self.deaths[_key(words)]

    def _attempt(self, work: Work, rows: list[int], words: Sequence[str]) -> pa.Table:
        with _noted(self.guard.folder, _key(words)):
            return work(self.block if len(rows) == self.block.num_rows else take_rows(self.block, rows))


def forget_deaths(folder: Path | None) -> None:
    """Take away what was noted, when all the work is done."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _key(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def _deaths(folder: Path) -> Counter[str]:
    """How many attempts at each block or row were begun and not ended."""
    return Counter(path.name.partition(".")[0] for path in folder.iterdir())


@contextmanager
def _noted(folder: Path, key: str) -> Iterator[None]:
    """Leave a file while this goes on; an error ends an attempt as an answer does, a death leaves it there."""
    note = folder / f"{key}.{uuid.uuid4().hex}"
    note.touch(exist_ok=False)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _by_children(make: Callable[[], Work], guard: Guard, block: pa.Table) -> pa.Table:
    """Work a block in processes of their own, until one of them lives to answer.

    Raises:
        BrokenProcessPool: one died before it began.
    """
    while True:
        before = _deaths(guard.folder).total()
        try:
            with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent) as process:
                answer: pa.Table = process.submit(_work, make, guard, block).result()
                return answer
        except BrokenProcessPool:
            if _deaths(guard.folder).total() == before:
                raise


def _work(make: Callable[[], Work], guard: Guard, block: pa.Table) -> pa.Table:
    return Guarded(make, guard)(block)
