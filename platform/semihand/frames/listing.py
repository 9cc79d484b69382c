"""A path to FRAMES: every frame that can be used as one row, every other one as its reason.

`--frames PATH` may be a manifest, a folder of pictures and videos, one video or picture, a FRAMES table, or a public
data set by name.
Nothing but headers is decoded here; what only decoding shows comes up when the frame is read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from semihand.frames.checks import fill_boxes, fill_cameras
from semihand.frames.draft import Draft
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.identify import fill_identity
from semihand.frames.media import inspect_media
from semihand.frames.medium import Medium
from semihand.frames.opening import check_path, open_path
from semihand.frames.options import ListOptions
from semihand.frames.sets.drafts import draft_of
from semihand.frames.sets.named import is_named, open_set, parts_of
from semihand.frames.sets.reader import Part, SetReader
from semihand.frames.truth import check_truth, open_truth, without_truth
from semihand.redaction import redact
from semihand.tables.arrays import rows_of
from semihand.tables.identity import frame_id
from semihand.tables.rows import filter_rows, take_rows
from semihand.tables.schemas import FRAMES, QUARANTINE
from semihand.words import counted

STAGE = "ingest"


@dataclass(frozen=True)
class Listing:
    """Every frame of a path, in exactly one of two tables.

    Attributes:
        frames: FRAMES; the truth only where the options asked for it and the row's supervision opens it.
        quarantine: QUARANTINE, stage `ingest`; its frame_ids are none of those in `frames`.
        conversions: how many pictures that can be used are brought to upright 8-bit RGB by each of
            `semihand.reasons.CONVERSIONS` that occurs.
    """

    frames: pa.Table
    quarantine: pa.Table
    conversions: Counter[str] = field(default_factory=Counter)

    def ids(self) -> list[str]:
        """The frame_id of every row of both tables."""
        return [*self.frames["frame_id"].to_pylist(), *self.quarantine["frame_id"].to_pylist()]

    def __str__(self) -> str:
        """What was found, in one line."""
        return count_in_words(self.frames.num_rows, Counter(self.quarantine["reason"].to_pylist()), self.conversions)


def count_in_words(num_frames: int, refused: Counter[str], conversions: Counter[str]) -> str:
    """How many frames there are, how many are quarantined and how many converted, and why."""
    parts = [counted(num_frames, "frame")]
    if refused:
        parts.append(f"{refused.total()} quarantined ({_counted(refused)})")
    if conversions:
        parts.append(f"converted: {_counted(conversions)}")
    return ", ".join(parts)


def list_frames(path: str | Path, options: ListOptions, round_index: int = 0) -> Listing:
    """List the frames of a manifest, folder, video, picture or FRAMES table.

    Args:
        path: what `--frames` was given.
        options: what the frames do not say themselves.
        round_index: the round that quarantined rows are booked on.

    Raises:
        InputError: the path is missing or holds no usable frame, a manifest has unknown columns, no `hand`
            or a focal length of 0 or below, or nothing says which hand pictures show.
    """
    return joined(list_parts(path, options, round_index), path)


def list_parts(path: str | Path, options: ListOptions, round_index: int = 0) -> Iterator[Listing]:
    """As `list_frames`, but one part of a public data set after the other; all else is one part.

    Raises:
        InputError: as `list_frames`, unless only no frame is usable.
    """
    check_path(path)
    if not is_named(path):
        yield list_draft(open_path(Path(path), options), options, round_index)
        return
    reader, seen = open_set(path, options.limits), set[str]()
    for part in parts_of(reader):
        listing = list_part(reader, part, options, round_index, seen)
        seen.update(listing.ids())
        yield listing


def list_part(
    reader: SetReader, part: Part, options: ListOptions, round_index: int = 0, seen: Set[str] = frozenset()
) -> Listing:
    """List one part of a data set; it may hold no usable frame.

    Args:
        reader: the data set.
        part: one of its parts.
        options: what the frames do not say themselves.
        round_index: the round that quarantined rows are booked on.
        seen: the ids of earlier parts, which are none of this one's.

    Raises:
        InputError: what describes the part as a whole cannot be read.
    """
    draft = draft_of(reader, part, options)
    return _without_repeats(list_draft(draft, options, round_index, is_part=True), seen, part, round_index)


def joined(listings: Iterable[Listing], path: str | Path) -> Listing:
    """The parts of a path as one listing.

    Raises:
        InputError: there is no usable frame in it.
    """
    found = list(listings)
    listing = Listing(
        pa.concat_tables([each.frames for each in found]),
        pa.concat_tables([each.quarantine for each in found]),
        sum((each.conversions for each in found), Counter()),
    )
    _check_usable(listing, str(path))
    return listing


def _without_repeats(listing: Listing, seen: Set[str], part: Part, round_index: int) -> Listing:
    """Frames that an earlier part has too are quarantined here; no row in quarantine keeps an id that is taken."""
    again = np.array([name in seen for name in listing.frames["frame_id"].to_pylist()], bool)
    rows = filter_rows(listing.frames.select(["frame_id", "dataset", "uri"]), again).to_pylist()
    problems = [BadFrame("duplicate", f"{part.name}: {row['uri']} is in an earlier part, too") for row in rows]
    ids = [_own_id(row["frame_id"], part) for row in rows]
    repeats = quarantine_rows(ids, [row["uri"] for row in rows], problems, STAGE, round_index)
    refused = listing.quarantine["frame_id"].to_pylist()
    named = pa.array([_own_id(name, part) if name in seen else name for name in refused], pa.string())
    renamed = listing.quarantine.set_column(0, QUARANTINE.field("frame_id"), named)
    return Listing(filter_rows(listing.frames, ~again), pa.concat_tables([renamed, repeats]), listing.conversions)


def _own_id(name: str, part: Part) -> str:
    return frame_id("repeats", f"{name}/{part.name}")


def list_draft(draft: Draft, options: ListOptions, round_index: int = 0, is_part: bool = False) -> Listing:
    """List what a source, or a part of one, says; there may be no usable frame in it."""
    media = inspect_media(draft, options.limits)
    draft, media = _expand_videos(draft, media, options)
    for row, medium in enumerate(media):
        if isinstance(medium, BadFrame):
            draft.note(row, medium)
    found = [None if isinstance(medium, BadFrame) else medium for medium in media]
    sizes = [(medium.width, medium.height) if medium else (0, 0) for medium in found]
    sizes_px = np.array(sizes, np.int64).reshape(-1, 2)
    draft = fill_identity(draft, found, options)
    draft = fill_cameras(fill_boxes(draft, sizes_px, options), sizes_px, options)
    listing = _split(draft, options, round_index, is_part)
    kept = (medium for row, medium in enumerate(found) if medium and row not in draft.problems)
    return replace(listing, conversions=Counter(code for medium in kept for code in medium.conversions))


def _expand_videos(
    draft: Draft, media: list[Medium | BadFrame], options: ListOptions
) -> tuple[Draft, list[Medium | BadFrame]]:
    """One row per wanted frame for every row that names a whole video."""
    numbers: list[int | None] = draft.rows["video_frame"].to_pylist()
    rows: list[int] = []
    frames: list[int | None] = []
    for row, (medium, number) in enumerate(zip(media, numbers, strict=True)):
        video = medium.video if isinstance(medium, Medium) and number is None else None
        if video is not None and draft.rows["frame_id"][row].is_valid:
            detail = "frame_id names one frame, the row a whole video; give video_frame, or leave out frame_id"
            draft.note(row, BadFrame("bad_row", detail))
        whole = video is not None and row not in draft.problems
        wanted = range(0, video.num_frames, options.frame_step) if video and whole else [number]
        rows.extend([row] * len(wanted))
        frames.extend(wanted)
    if frames == numbers:
        return draft, media
    expanded = draft.take(np.array(rows, np.int64)).with_columns(video_frame=pa.array(frames, pa.int64()))
    return expanded, [media[row] for row in rows]


def _split(draft: Draft, options: ListOptions, round_index: int, is_part: bool) -> Listing:
    """The good rows as FRAMES, the others as QUARANTINE."""
    if options.with_truth:
        for row, problem in check_truth(draft.rows, is_part, options.any_size).items():
            draft.note(row, problem)
    good = np.array([row not in draft.problems for row in range(draft.rows.num_rows)], bool)
    kept = draft.rows if good.all() else filter_rows(draft.rows, good)
    frames = pa.Table.from_arrays([kept[name] for name in FRAMES.names], schema=FRAMES)
    bad = np.flatnonzero(~good)
    rows = take_rows(draft.rows.select(["frame_id", "uri"]), bad)
    problems = [draft.problems[int(row)] for row in bad]
    quarantine = quarantine_rows(rows["frame_id"].to_pylist(), rows["uri"].to_pylist(), problems, STAGE, round_index)
    return Listing(open_truth(frames) if options.with_truth else without_truth(frames), quarantine)


def _check_usable(listing: Listing, source: str) -> None:
    if listing.frames.num_rows:
        return
    problems = listing.quarantine.select(["reason", "detail"]).to_pylist()
    if not problems:
        raise InputError(f"{source}: no frame in it; is the data set complete?")
    counts = _counted(Counter(problem["reason"] for problem in problems))
    raise InputError(f"{source}: no usable frame ({counts}); the first: {problems[0]['detail']}")


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"{count} {code}" for code, count in codes.most_common())


def quarantine_rows(
    frame_ids: list[str], uris: list[str | None], problems: list[BadFrame], stage: str, round_index: int
) -> pa.Table:
    """QUARANTINE rows, one per problem, for any step that met BadFrames."""
    columns = {
        "frame_id": frame_ids,
        "uri": [None if uri is None else redact(uri) for uri in uris],  # nothing remote is read: no row needs it whole
        "round": [round_index] * len(problems),
        "stage": [stage] * len(problems),
        "reason": [problem.reason for problem in problems],
        "detail": [problem.detail for problem in problems],
    }
    return rows_of(QUARANTINE, columns)
