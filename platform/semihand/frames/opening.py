"""A path to the rows that it names: manifest, FRAMES table, folder of pictures and videos, one picture or video."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from polars.exceptions import PolarsError

from semihand.frames.draft import Draft, draft_rows
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.folder import PICTURE_EXTENSIONS, VIDEO_EXTENSIONS, find_files
from semihand.frames.formats import ARCHIVE_EXTENSIONS
from semihand.frames.manifest import JSON_EXTENSIONS, PARQUET_EXTENSIONS, from_frames, read_manifest
from semihand.frames.options import ListOptions
from semihand.tables.log import open_table
from semihand.tables.readers import scan_table
from semihand.tables.schemas import FRAMES, TRUTH_COLUMNS
from semihand.tables.witness import DamagedTable

FRAMES_FILE = "frames.parquet"  # the manifest of a folder that has one


def check_path(path: str | Path) -> None:
    """Hold a path to what tables can keep.

    Raises:
        InputError: it is not UTF-8, or no path at all.
    """
    try:
        os.path.realpath(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise InputError(f"{shown}: the path is not UTF-8, and tables hold paths as UTF-8; rename it") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r}: {error}") from None


def open_path(path: Path, options: ListOptions) -> Draft:
    """The rows of a manifest, a table, a folder or a file.

    Raises:
        InputError: it is missing, of a kind that is not read, or nothing says which hand pictures show.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a manifest, a folder of pictures or a video")
    if path.is_dir():
        return _read_folder(path, options)
    extension = path.suffix.lower()
    if extension in PARQUET_EXTENSIONS | JSON_EXTENSIONS:
        return read_manifest(path, options)
    if extension in PICTURE_EXTENSIONS | VIDEO_EXTENSIONS:
        return _from_files(path.parent, path, [path.name], {}, options)
    if extension in ARCHIVE_EXTENSIONS:
        raise InputError(f"{path}: archives are not opened; unpack it, and give the folder")
    raise InputError(f"{path}: unknown extension {extension!r}; give .parquet, .jsonl, a video or a folder")


def _read_folder(path: Path, options: ListOptions) -> Draft:
    table = table_in(path)
    if table is not None:
        return from_frames(_read_table(table, options), table.resolve(), options)
    if (path / FRAMES_FILE).is_file():
        return read_manifest(path / FRAMES_FILE, options)
    found = find_files(path)
    if not found:
        raise InputError(f"{path}: no picture or video in it; give a folder of .jpg, .png, .webp, .bmp or .mp4")
    problems = {row: file.problem for row, file in enumerate(found) if file.problem}
    return _from_files(path, path, [file.key for file in found], problems, options)


def table_in(folder: Path) -> Path | None:
    """The FRAMES table that a folder is or holds."""
    tables = (folder, folder / "tables" / "frames", folder / "frames")
    return next((table for table in tables if (table / "_delta_log").is_dir()), None)


def _read_table(path: Path, options: ListOptions) -> pa.Table:
    """A FRAMES table of our own, its truth left on the disk unless it was asked for."""
    hidden = [] if options.with_truth else list(TRUTH_COLUMNS)
    try:
        return scan_table(open_table(str(path), None), FRAMES).drop(hidden).collect().to_arrow()
    except (DamagedTable, FileNotFoundError, PolarsError) as error:
        raise InputError(f"{path}: {error}") from error


def _from_files(
    folder: Path, path: Path, keys: list[str], problems: dict[int, BadFrame], options: ListOptions
) -> Draft:
    if options.hand is None and not options.find_hand:
        raise InputError(f"{path}: pictures do not say which hand they show; pass --hand left|right")
    folder = folder.resolve()
    rows = draft_rows(len(keys), {"uri": pa.array(keys, pa.string())})
    root = options.root.resolve() if options.root else folder
    return Draft(rows, folder, root, str(path), np.arange(1, len(keys) + 1), problems)
