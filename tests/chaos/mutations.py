"""What keeps a campaign whole, taken out: the suite must turn red for each, or its green means nothing."""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from semihand.failpoints import reach
from semihand.rounds.ledger import Done, Ledger
from semihand.tables import Store, commits, files
from semihand.tables.commits import Shard


def _without_the_guard() -> None:
    """A commit looks neither whether it was made before nor whether the round has moved since."""
    commits._is_done = lambda table, change, new: False
    commits._check_open = lambda table, change, expected_version: None
    commits._new_shards = lambda table, change: [_as_other_attempt(table.uri, each) for each in change.shards]


def _as_other_attempt(uri: str, shard: Shard) -> Shard:
    """The same rows under the name that another attempt gives them: Delta itself takes a name but once."""
    if not shard.path:
        return shard
    path = f"{shard.path.rsplit('-', 1)[0]}-{uuid.uuid4().hex[:12]}.parquet"
    shutil.copyfile(files.join(uri, shard.path), files.join(uri, path))
    return replace(shard, path=path)


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
    """The ledger says that frames are labelled before they are."""
    in_order = Ledger.once

    def once(self: Ledger, round_number: int, step: str, do: Callable[[], Done]) -> Done:
        if step != "label" or self.finished(round_number, step) is not None:
            return in_order(self, round_number, step, do)
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
