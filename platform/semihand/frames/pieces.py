"""A path to FRAMES piece by piece, for what looks at every frame and keeps no picture."""

from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from semihand.frames.errors import InputError
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.listing import Listing, list_draft, list_frames, list_parts
from semihand.frames.manifest import PARQUET_EXTENSIONS, column_names, from_frames, from_rows, read_pieces
from semihand.frames.opening import FRAMES_FILE, table_in
from semihand.frames.options import ListOptions
from semihand.frames.sets.named import is_named, open_set, parts_of
from semihand.tables.identity import content_sha256
from semihand.tables.log import open_table
from semihand.tables.readers import scan_table
from semihand.tables.schemas import FRAMES, PICTURES_OF_TRUTH, TRUTH_COLUMNS
from semihand.tables.witness import DamagedTable

ROWS_PER_PIECE = 1000


def listed_in_pieces(path: str | Path, options: ListOptions) -> Iterator[Listing]:
    """What `list_frames` lists, without masks, depths and parts, at most about a thousand pictures at a time.

    Sets by name come by their parts, tables and manifests that hold their pictures by rows; all else holds none, and
    comes at once. Ids that come back in another piece are the caller's to find. A piece of several may hold no usable
    frame: what is wrong in all of its rows is wrong in each of them, where `list_frames` would refuse a whole set.

    Raises:
        InputError: as `list_frames`, as soon as it shows.
    """
    if is_named(path):
        yield from list_parts(path, options)
        return
    path = Path(path)
    held = _held(path, options.limits)
    if held is None:
        yield list_frames(path, options)
        return
    names = [name for name in _names(held, options.limits) if name not in _hidden(options)]
    pieces = _rows(held, names, options.limits)
    piece, following = next(pieces, None), next(pieces, None)
    if piece is None:
        yield list_frames(path, options)  # which says what is wrong with a set of no rows
    is_part = following is not None
    place, drafted = (held, from_rows) if held.is_file() else (held.resolve(), from_frames)
    while piece is not None:
        start, rows = piece
        yield list_draft(drafted(rows, place, options, start, is_part), options, is_part=is_part)
        piece, following = following, next(pieces, None)


def held_pictures(path: str | Path, digests: Collection[str], limits: Limits = STANDARD) -> dict[str, bytes]:
    """Encoded pictures that are no files of their own, by the sha256 of their content.

    Tables and manifests hold them, and readers of some public data sets make them.
    """
    found: dict[str, bytes] = {}
    wanted = set(digests)
    for data in _embedded(path, limits) if wanted else ():
        if (digest := content_sha256(data)) in wanted:
            found[digest] = data
        if len(found) == len(wanted):
            break
    return found


def _embedded(path: str | Path, limits: Limits) -> Iterator[bytes]:
    if is_named(path):
        reader = open_set(path, limits)
        for part in parts_of(reader):
            yield from (row["image"] for row in reader.rows(part, with_truth=False) if row.get("image") is not None)
        return
    held = _held(Path(path), limits)
    for _, rows in _rows(held, ["image"], limits) if held is not None else ():
        yield from rows["image"].drop_null().to_pylist()


def _held(path: Path, limits: Limits) -> Path | None:
    """The table or Parquet file, if its rows hold pictures themselves."""
    table = table_in(path) if path.is_dir() else None
    if table is None and (path / FRAMES_FILE).is_file():
        path = path / FRAMES_FILE
    if table is None and path.is_file() and path.suffix.lower() in PARQUET_EXTENSIONS:
        table = path
    return table if table is not None and "image" in _names(table, limits) else None


def _names(held: Path, limits: Limits) -> list[str]:
    if held.is_dir():
        return list(FRAMES.names)
    try:
        return column_names(held, limits)
    except InputError:
        return []  # listing it says what is wrong


def _hidden(options: ListOptions) -> frozenset[str]:
    return frozenset(PICTURES_OF_TRUTH) if options.with_truth else frozenset(TRUTH_COLUMNS)


def _rows(held: Path, names: list[str], limits: Limits) -> Iterator[tuple[int, pa.Table]]:
    """Rows, and how many come before them."""
    try:
        if held.is_dir():
            yield from _sliced(scan_table(open_table(str(held), None), FRAMES).select(names))
        else:
            start = 0
            for piece in read_pieces(held, names, ROWS_PER_PIECE, limits):
                yield start, piece
                start += piece.num_rows
    except (DamagedTable, FileNotFoundError, PolarsError, pa.ArrowException, OSError) as error:
        raise InputError(f"{held}: {error}") from error


def _sliced(rows: pl.LazyFrame) -> Iterator[tuple[int, pa.Table]]:
    num_rows = rows.select(pl.len()).collect().item()
    for at in range(0, num_rows, ROWS_PER_PIECE):
        yield at, rows.slice(at, ROWS_PER_PIECE).collect().to_arrow()
