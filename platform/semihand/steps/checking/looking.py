"""One look at a set: all its rows, without their pictures, and what the pictures showed; each is decoded once."""

import os
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int, UInt8

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import Limits
from semihand.frames.listing import Listing
from semihand.frames.options import ListOptions
from semihand.frames.pieces import held_pictures, listed_in_pieces
from semihand.frames.reading import read_pictures
from semihand.steps.checking.alignment import SIDE
from semihand.steps.checking.likeness import thumbnail
from semihand.tables.rows import filter_rows, take_rows
from semihand.tables.schemas import FRAMES, PICTURE_COLUMNS

UNUSABLE = "unusable"  # a set as a whole, or all of its truth

_ROWS_PER_THREAD = 128  # of a video: each stretch is decoded from the keyframe before it
_MAX_THREADS = 8
_READ = ["uri", "image", "content_sha256", "video_frame"]
_KEPT = [name for name in FRAMES.names if name not in PICTURE_COLUMNS]


class Refused(NamedTuple):
    """A frame that was not listed, or that was and whose picture does not decode."""

    where: str
    reason: str
    detail: str
    is_listed: bool = False


@dataclass(frozen=True)
class Looked:
    """What is kept of a set.

    Attributes:
        rows: FRAMES without pictures, masks, depths and parts; of all frames that were listed.
        sizes_px: width and height of each picture, 0 where it does not decode.
        thumbs: each picture as the likeness of pictures is judged by, black where it does not decode.
        refused: frames that are not listed, and listed ones that do not decode.
    """

    rows: pa.Table
    sizes_px: Int[np.ndarray, "rows 2"]
    thumbs: UInt8[np.ndarray, "rows 32 32"]
    refused: tuple[Refused, ...]


def nothing() -> Looked:
    """What is kept of a set that cannot be listed."""
    rows = FRAMES.empty_table().select(_KEPT)
    return Looked(rows, np.empty((0, 2), np.int64), np.empty((0, SIDE, SIDE), np.uint8), ())


def look_at_pool(path: str | Path, options: ListOptions) -> tuple[Looked, list[Refused]]:
    """Look at every frame that a round labels: with its truth, or without it where that cannot be used.

    Args:
        path: what `--frames` was given.
        options: as `look_at`, with the truth.

    Returns:
        What is kept of the frames, and what is wrong with the truth of those that were looked at without it.

    Raises:
        InputError: the path as a whole cannot be listed even without truth.
    """
    unlabelled = options.model_copy(update={"with_truth": False})
    try:
        known = look_at(path, options)
    except InputError as error:
        return look_at(path, unlabelled), [Refused(str(path), UNUSABLE, str(error))]
    if all(each.is_listed for each in known.refused):
        return known, []
    try:
        bare = look_at(path, unlabelled, but=frozenset(known.rows["frame_id"].to_pylist()))
    except InputError:  # boxes drawn from the truth: a finding of its own
        return known, []
    missing = {each.where for each in bare.refused}
    lost = [each for each in known.refused if not each.is_listed and each.where not in missing]
    refused = (*bare.refused, *(each for each in known.refused if each.is_listed))
    rows = pa.concat_tables([known.rows, bare.rows])
    sizes_px, thumbs = (np.concatenate(pair) for pair in ((known.sizes_px, bare.sizes_px), (known.thumbs, bare.thumbs)))
    return Looked(rows, sizes_px, thumbs, refused), lost if bare.rows.num_rows else []


def look_at(path: str | Path, options: ListOptions, but: Set[str] = frozenset()) -> Looked:
    """Look at every frame of a path.

    Args:
        path: what `--frames` was given.
        options: what the frames do not say themselves; `any_size`, or truth in other units counts as refused.
        but: ids of frames that are left out.

    Raises:
        InputError: the path as a whole cannot be listed.
    """
    empty, refused = nothing(), list[Refused]()
    rows, sizes_px, thumbs = [empty.rows], [empty.sizes_px], [empty.thumbs]
    look = partial(_look, limits=options.limits)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        for listing in listed_in_pieces(path, options):
            ids = listing.frames["frame_id"].to_pylist()
            frames = filter_rows(listing.frames, np.array([each not in but for each in ids], bool))
            rows.append(frames.select(_KEPT))
            refused += _not_listed(listing)
            slices = (frames.slice(start, _ROWS_PER_THREAD) for start in range(0, frames.num_rows, _ROWS_PER_THREAD))
            for sizes, small, problems in threads.map(look, (part.select(_READ) for part in slices)):
                sizes_px.append(sizes)
                thumbs.append(small)
                refused += problems
    return Looked(pa.concat_tables(rows), np.concatenate(sizes_px), np.concatenate(thumbs), tuple(refused))


def with_pictures(looked: Looked, rows: Sequence[int] | Int[np.ndarray, " _"], path: str, limits: Limits) -> pa.Table:
    """Some rows of FRAMES with the pictures that tables and manifests hold; masks, depths and parts are null."""
    chosen = take_rows(looked.rows, rows)
    digests, uris = chosen["content_sha256"].to_pylist(), chosen["uri"].to_pylist()
    held = held_pictures(path, {digest for digest, uri in zip(digests, uris, strict=True) if uri is None}, limits)
    columns = {name: pa.nulls(len(chosen), FRAMES.field(name).type) for name in PICTURE_COLUMNS}
    columns["image"] = pa.array([held.get(digest) for digest in digests], FRAMES.field("image").type)
    arrays = [columns[name] if name in columns else chosen[name] for name in FRAMES.names]
    return pa.Table.from_arrays(arrays, schema=FRAMES)


def _not_listed(listing: Listing) -> Iterator[Refused]:
    for row in listing.quarantine.select(["frame_id", "uri", "reason", "detail"]).to_pylist():
        yield Refused(row["uri"] or f"frame {row['frame_id']}", row["reason"], row["detail"])


def _look(frames: pa.Table, limits: Limits) -> tuple[np.ndarray, np.ndarray, list[Refused]]:
    sizes_px = np.zeros((frames.num_rows, 2), np.int64)
    thumbs = np.zeros((frames.num_rows, SIDE, SIDE), np.uint8)
    problems = []
    for row, picture in read_pictures(frames, limits):
        if isinstance(picture, BadFrame):
            uri = frames["uri"][row].as_py()
            problems.append(Refused(uri or "a picture in the table", picture.reason, picture.detail, True))
        else:
            sizes_px[row] = picture.shape[1], picture.shape[0]
            thumbs[row] = thumbnail(picture)
    return sizes_px, thumbs, problems
