"""Findings: what a check has to say of a set, how bad it is, where it shows and what mends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
NUM_SHOWN = 5  # frames named in a finding


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: an error would be learned or leaves frames out; a warning deserves a look; a note is said only.
        code: what kind of finding, for machines.
        set: which set, or both of them.
        count: frames it was found in, of `num_checked`.
        detail: what was found.
        way_out: what mends it.
        frames: the first of these frames, as `where_of` names them.
        rows: their numbers in the set, for the page.
    """

    severity: Severity
    code: str
    set: str
    count: int
    num_checked: int
    detail: str
    way_out: str
    frames: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

    def line(self) -> str:
        """The finding in a line; where it is of all frames, none is named."""
        named = self.frames if self.count < self.num_checked else ()
        shown = f" [{', '.join(named)}{', …' if self.count > len(named) else ''}]" if named else ""
        where = f", {self.count} of {self.num_checked}" if self.num_checked else ""
        return f"{self.severity}: {self.set}: {self.code}{where}: {self.detail}; {self.way_out}{shown}"


@dataclass(frozen=True)
class Teller:
    """Says findings of one set's rows.

    Attributes:
        set: its name.
        table: its rows, for the names of frames.
    """

    set: str
    table: pa.Table

    def tell(
        self, severity: Severity, code: str, wrong: Bool[np.ndarray, " rows"], words: tuple[str, str], num_checked: int
    ) -> list[Finding]:
        """One finding if any row is wrong; `words` are what was found and what mends it."""
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return []
        shown = tuple(int(row) for row in rows[:NUM_SHOWN])
        frames = tuple(where_of(self.table, shown))
        return [Finding(severity, code, self.set, len(rows), num_checked, *words, frames, shown)]


def where_of(table: pa.Table, rows: Sequence[int]) -> list[str]:
    """What frames are called in a finding: their file, and the frame of a video; their id where they have no file."""
    columns = (table[name] for name in ("uri", "video_frame", "frame_id"))
    cells = zip(*([column[row].as_py() for row in rows] for column in columns), strict=True)
    return [
        f"frame {frame_id}" if uri is None else (uri if number is None else f"{uri}#{number}")
        for uri, number, frame_id in cells
    ]


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; otherwise as they were found."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
