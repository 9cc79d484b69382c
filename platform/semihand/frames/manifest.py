"""Manifests: FRAMES columns in Parquet or JSON lines, or a FRAMES table that was written before.

A manifest has one row per hand in a picture, or per video whose frames are all wanted. Any column of FRAMES
may be given, `hand` must be unless the caller says it, and `uri` or `image` must be. Paths are relative to
the manifest's folder; boxes, joints and cameras are those of the upright picture. What cannot be read as a
whole is an InputError, what is wrong in one row is that row's problem.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semihand.frames.cells import Source, as_type
from semihand.frames.draft import Draft, draft_rows
from semihand.frames.errors import BadFrame, InputError, first_line, shown
from semihand.frames.files import check_input
from semihand.frames.limits import Limits
from semihand.frames.options import ListOptions
from semihand.frames.strict_json import parse_json
from semihand.frames.worker import WorkerEnded, borrowed, each, for_a_file, one
from semihand.tables.schemas import FRAMES, PICTURE_COLUMNS, TRUTH_COLUMNS

PARQUET_EXTENSIONS = frozenset({".parquet", ".pq"})
JSON_EXTENSIONS = frozenset({".jsonl", ".ndjson", ".json"})
MAX_LINE_BYTES = 2**20  # a row of FRAMES with all its truth is 10 kB
_GROWTH_OF_JSON = 4  # from text to Python's numbers, at least


def read_manifest(path: Path, options: ListOptions) -> Draft:
    """The rows of a Parquet or JSON-lines manifest.

    Raises:
        InputError: it cannot be read, is empty, has unknown columns, or lacks `hand`.
    """
    parquet = path.suffix.lower() in PARQUET_EXTENSIONS
    check_input(path, options.limits.max_manifest_bytes // (1 if parquet else _GROWTH_OF_JSON))
    columns, problems = _read_parquet(path, options) if parquet else _read_json_lines(path, options)
    num_rows = max((len(values) for values in columns.values()), default=0)
    if num_rows == 0:
        raise InputError(f"{path}: no row in it; give one row per hand, with hand and uri")
    draft = _typed(Source(path, np.arange(1, num_rows + 1), problems), columns, options)
    for name in PICTURE_COLUMNS:
        if name in columns and name in TRUTH_COLUMNS:
            _note_pictures(draft, name, options)
    return draft


def _note_pictures(draft: Draft, name: str, options: ListOptions) -> None:
    """Masks and the like are decoded by who learns from them, without the care that strangers' pictures need."""
    rows = np.flatnonzero(draft.rows[name].is_valid().to_numpy())
    pictures = ((draft.rows[name][int(row)].as_py(),) for row in rows)
    for row, problem in zip(rows, each("decodes", pictures, options.limits), strict=True):
        if problem is not None:
            draft.note(int(row), BadFrame("bad_truth", f"{name}: {problem}"))


def from_rows(table: pa.Table, path: Path, options: ListOptions, start: int = 0, is_part: bool = False) -> Draft:
    """Rows of a Parquet manifest that was opened elsewhere; paths are relative to the manifest's folder.

    Args:
        table: the rows.
        path: the manifest.
        options: what the frames do not say themselves.
        start: how many rows come before them.
        is_part: whether these are not all rows, and all of them may be wrong by themselves.

    Raises:
        InputError: there are none, or they have columns that FRAMES has not, or no `hand`.
    """
    _check_names(path, table.column_names, options)
    if table.num_rows == 0:
        raise InputError(f"{path}: the table is empty; write frames to it first")
    kept = {name: table[name] for name in table.column_names if _wanted(name, options)}
    return _typed(Source(path, np.arange(start + 1, start + table.num_rows + 1), {}, is_part), kept, options)


def from_frames(table: pa.Table, path: Path, options: ListOptions, start: int = 0, is_part: bool = False) -> Draft:
    """As `from_rows`, the rows of a FRAMES table that our own store wrote; its paths may lead anywhere.

    Raises:
        InputError: it is empty, or has columns that FRAMES has not.
    """
    draft = from_rows(table, path, options, start, is_part)
    return Draft(draft.rows, path, options.root, str(path), draft.numbers, draft.problems)


def _wanted(name: str, options: ListOptions) -> bool:
    """The truth of an unlabelled pool is not even read."""
    return options.with_truth or name not in TRUTH_COLUMNS


def column_names(path: Path, limits: Limits) -> list[str]:
    """The columns of a Parquet manifest.

    Raises:
        InputError: it cannot be read, or holds more than the limits allow.
    """
    check_input(path, limits.max_manifest_bytes)
    names: list[str] = _asked("parquet_names", path, limits)
    return names


def read_pieces(path: Path, names: list[str], num_rows: int, limits: Limits) -> Iterator[pa.Table]:
    """Columns of a Parquet manifest, so many rows at a time.

    Raises:
        InputError: as `column_names`, once it shows.
    """
    left = limits.max_manifest_rows
    try:
        with borrowed(limits, for_files=True) as worker:
            for answer in worker.ask("parquet_pieces", path, names, num_rows, patience_s=for_a_file(limits)):
                table = _table(path, answer, names)
                left -= table.num_rows
                if not 0 < table.num_rows <= num_rows:
                    raise worker.distrusted(f"{table.num_rows} rows instead of {num_rows}")
                if left < 0:
                    raise worker.distrusted(f"more than {limits.max_manifest_rows} rows")
                yield table
    except WorkerEnded as end:
        raise _not_readable(path, end.problem) from end


def _read_parquet(path: Path, options: ListOptions) -> tuple[dict[str, Any], dict[int, BadFrame]]:
    names = column_names(path, options.limits)
    _check_names(path, names, options)
    wanted = [name for name in names if _wanted(name, options)]
    table = _table(path, _asked("parquet", path, options.limits, wanted), wanted)
    return {name: table[name] for name in wanted}, {}


def _asked(task: str, path: Path, limits: Limits, *more: Any) -> Any:
    """What the decoding process, which can do without its memory and its life, says of a file."""
    try:
        return one(task, path, *more, limits=limits, patience_s=for_a_file(limits))
    except BadFrame as problem:
        raise _not_readable(path, problem) from problem


def _table(path: Path, answer: Any, names: list[str]) -> pa.Table:
    """The columns that were asked for, looked through as a stranger's: who read them may have been taken over."""
    if isinstance(answer, InputError):
        raise answer
    try:
        table = pa.ipc.open_stream(answer).read_all()
        table.validate(full=True)
    except (pa.ArrowException, ValueError, TypeError, OSError) as error:
        raise _not_readable(path, BadFrame("crashed", f"nonsense was read from it: {first_line(error)}")) from error
    if table.column_names != names:
        raise _not_readable(path, BadFrame("crashed", f"columns {table.column_names} were read from it"))
    return table


def _not_readable(path: Path, problem: BadFrame) -> InputError:
    return InputError(f"{path}: not readable as Parquet ({problem}); write it again")


def _read_json_lines(path: Path, options: ListOptions) -> tuple[dict[str, Any], dict[int, BadFrame]]:
    rows: list[dict[str, Any]] = []
    problems: dict[int, BadFrame] = {}
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    raise InputError(f"{path}: row {len(rows) + 1} is longer than {MAX_LINE_BYTES} bytes; "
                                     "write one JSON object per line")  # fmt: skip
                if line.strip(b"\xef\xbb\xbf \t\r\n"):
                    rows.append(_parse_line(line, len(rows), problems))
                if len(rows) > options.limits.max_manifest_rows:
                    limit = f"the limit is {options.limits.max_manifest_rows}"
                    raise InputError(f"{path}: too many rows, {limit}; cut it into parts")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a readable file") from error
    if not rows:
        return {}, {}
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(problems) == len(rows):
        raise InputError(f"{path}: no line of it is a JSON object ({problems[0].detail}); write one per line")
    _check_names(path, names, options)
    if binary := sorted(set(names) & {*PICTURE_COLUMNS}):
        raise InputError(f"{path}: column {binary[0]!r} holds bytes, JSON cannot; write Parquet, or give uri")
    return {name: [row.get(name) for row in rows] for name in names if _wanted(name, options)}, problems


def _parse_line(line: bytes, row: int, problems: dict[int, BadFrame]) -> dict[str, Any]:
    try:
        parsed = parse_json(line.decode("utf-8-sig"), finite=True)
        if not isinstance(parsed, dict):
            raise ValueError(f"it is {type(parsed).__name__}, not an object")
    except (ValueError, RecursionError) as error:
        problems[row] = BadFrame("bad_row", f"row {row + 1}: {first_line(error)}")
        return {}
    return parsed


def _check_names(path: Path, names: list[str], options: ListOptions) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: column {repeated[0]!r} stands there more than once; keep one")
    if unknown := [name for name in names if name not in FRAMES.names]:
        near = difflib.get_close_matches(unknown[0], FRAMES.names, 1)
        hint = f"did you mean {near[0]!r}?" if near else "FRAMES has no such column:"
        listed = ", ".join(shown(name) for name in unknown[:5]) + (" …" if len(unknown) > 5 else "")
        raise InputError(f"{path}: unknown column {listed}; {hint} "
                         "rename or drop it (schemas/frames.v1.json lists all)")  # fmt: skip
    if "hand" not in names and options.hand is None and not options.find_hand:
        raise InputError(f"{path}: no column 'hand'; add it with left or right, or pass --hand left|right")
    if "uri" not in names and "image" not in names:
        raise InputError(f"{path}: no column 'uri' or 'image'; add the path of each picture")


def _typed(source: Source, columns: dict[str, Any], options: ListOptions) -> Draft:
    typed = {name: as_type(source, name, values) for name, values in columns.items()}
    folder = source.path.resolve().parent
    root = options.root.resolve() if options.root else folder
    rows = draft_rows(len(source.numbers), typed)
    return Draft(rows, folder, root, str(source.path), source.numbers, source.problems)
