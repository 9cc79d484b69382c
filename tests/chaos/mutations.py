"""What keeps a campaign whole, taken out: the suite must turn red for each, or its green means nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from semihand.failpoints import reach
from semihand.rounds.ledger import Done, Ledger
from semihand.tables import Store, commits, files


def _without_the_guard() -> None:
    """A commit does not look whether it was made before."""
    commits._is_done = lambda table, change, new: False
    commits._new_shards = lambda table, change: list(change.shards)


def _without_the_rename() -> None:
    """Files are written under the names that others read."""

    def write_in_place(uri: str, data: bytes, kind: str) -> None:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        with open(uri, "wb") as stream:
            stream.write(data[: len(data) // 2])
            stream.flush()
            reach(f"file.{kind}.half")
            stream.write(data[len(data) // 2 :])

    files.write_whole = write_in_place


def _with_the_mark_first() -> None:
    """The ledger says that a step is done before it is."""

    def once(self: Ledger, round_number: int, step: str, do: Callable[[], Done]) -> Done:
        found = self.finished(round_number, step)
        if found is not None:
            return found
        self._write(round_number, step, datetime.now(UTC), Done())
        return do()

    Ledger.once = once


def _without_the_anti_join() -> None:
    """A round that goes on does not look which frames have their labels."""
    Store.done_ids = lambda self, round, labeller: set()


MUTATIONS = {
    "without the guard": _without_the_guard,
    "without the rename": _without_the_rename,
    "with the mark first": _with_the_mark_first,
    "without the anti-join": _without_the_anti_join,
}
