"""The rows that finding leaves: FRAMES with a box and a side, or the reason why there is no hand, under one schema."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from semihand.frames.errors import BadFrame
from semihand.frames.listing import quarantine_rows
from semihand.hand.boxes import Box
from semihand.tables.identity import hand_id
from semihand.tables.rows import filter_rows, take_rows
from semihand.tables.schemas import FRAMES

STAGE = "find"
# FRAMES with every column nullable, and what a frame without a hand says instead.
FOUND = pa.schema(
    [
        *(field.with_nullable(True) for field in FRAMES),
        *(pa.field(name, pa.string()) for name in ("failure_reason", "failure_detail")),
    ]
)


class FoundRow(NamedTuple):
    """What becomes of a listed row: one of its hands, or none."""

    listed: int  # the row's number
    hand_number: int = 0  # of the hand among those of the row
    hand: str | None = None  # None: what the row says
    box_px: Box | None = None  # None: the row's own, and its source
    source: str | None = None
    score: float | None = None
    track_id: str | None = None
    problem: BadFrame | None = None


def found_table(frames: pa.Table, found: Sequence[FoundRow]) -> pa.Table:
    """FOUND, a row for each of these, those of a listed row in the order of their hands."""
    found = sorted(found, key=lambda row: (row.listed, row.hand_number))
    rows = take_rows(frames, [each.listed for each in found])
    said = {name: rows[name].to_pylist() for name in ("frame_id", "hand", "bbox_px", "box_source", "box_score")}
    said["track_id"] = rows["track_id"].to_pylist()
    for place, each in enumerate(found):
        said["frame_id"][place] = hand_id(said["frame_id"][place], each.hand_number)
        said["hand"][place] = each.hand or said["hand"][place]
        if each.box_px is not None:
            said["bbox_px"][place], said["box_source"][place] = each.box_px, each.source
        if each.score is not None:
            said["box_score"][place], said["track_id"][place] = each.score, each.track_id
    said["failure_reason"] = [each.problem and each.problem.reason for each in found]
    said["failure_detail"] = [each.problem and each.problem.detail for each in found]
    columns = [
        pa.array(said[field.name], field.type) if field.name in said else rows[field.name].cast(field.type)
        for field in FOUND
    ]
    return pa.Table.from_arrays(columns, schema=FOUND)


def split_found(found: pa.Table) -> tuple[pa.Table, pa.Table]:
    """FOUND rows as FRAMES and QUARANTINE of the listing, round 0."""
    good = filter_rows(found, found["failure_reason"].is_null())
    bad = filter_rows(found, found["failure_reason"].is_valid())
    frames = pa.Table.from_arrays([good[name] for name in FRAMES.names], schema=FRAMES)
    pairs = zip(bad["failure_reason"].to_pylist(), bad["failure_detail"].to_pylist(), strict=True)
    problems = [BadFrame(reason, detail) for reason, detail in pairs]
    ids, uris = bad["frame_id"].to_pylist(), bad["uri"].to_pylist()
    return frames, quarantine_rows(ids, uris, problems, STAGE, 0)
