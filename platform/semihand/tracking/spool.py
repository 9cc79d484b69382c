"""What waits for the tracking server: entries of one JSON line each, appended and synced as they come."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

RunKey = int | str  # a round's number, or the name of a run that is no round


@dataclass(frozen=True)
class Entry:
    """One thing to tell MLflow, in JSON's own types, so that it is the same now and after a restart.

    Attributes:
        kind: which door of :mod:`semihand.tracking.delivery` takes it.
        round: the round or name whose run it belongs to; None for the campaign.
        values: the arguments; metrics carry their time, so that sent twice they are logged once.
    """

    kind: str
    round: RunKey | None
    values: dict[str, Any]


class Spool:
    """A file of entries that could not be delivered; there is no file when nothing waits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __bool__(self) -> bool:
        return self.path.exists()

    def append(self, entry: Entry, reason: str = "") -> None:
        """Keep an entry, on disk before this returns."""
        line = json.dumps({**asdict(entry), **({"reason": reason} if reason else {})})
        with self.path.open("ab+") as file:
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")  # a crash cut the last entry short: it must not swallow this one
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Entry]:
        """The entries in the order they came; a line cut short by a crash is left out."""
        if not self.path.exists():
            return []
        entries = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                fields = json.loads(line)
            except json.JSONDecodeError:
                continue
            entries.append(Entry(fields["kind"], fields["round"], fields["values"]))
        return entries

    def keep(self, entries: Sequence[Entry]) -> None:
        """Let only these entries wait, in one step: a crash leaves the old file or the new one."""
        if not entries:
            self.path.unlink(missing_ok=True)
            return
        fresh = self.path.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        for entry in entries:
            Spool(fresh).append(entry)
        fresh.replace(self.path)


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
