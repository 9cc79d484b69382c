"""The pictures and videos that rows point to: are they there, what do they hold, how large are they."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from semihand.frames.draft import Draft
from semihand.frames.errors import BadFrame
from semihand.frames.folder import is_video
from semihand.frames.limits import Limits
from semihand.frames.medium import Medium
from semihand.frames.worker import dismiss, each, for_a_file

_MAX_PROCESSES = 8  # network disks answer many at once
_FILES_PER_PROCESS = 500  # fewer are looked at before another process has started

_Item: TypeAlias = tuple[str, Path, Path | None, bool]


def inspect_media(draft: Draft, limits: Limits) -> list[Medium | BadFrame]:
    """What each row points to; a file that many rows point to is opened once."""
    uris = draft.rows["uri"].to_pylist()
    numbers = draft.rows["video_frame"].to_pylist()
    inline = draft.rows["image"].is_valid().to_pylist()
    keys = [
        (uri, is_video(uri) or number is not None) if uri is not None and not embedded else None
        for uri, number, embedded in zip(uris, numbers, inline, strict=True)
    ]
    unique = sorted({key for key in keys if key is not None})
    found = dict(zip(unique, _inspect_files(draft, unique, limits), strict=True))
    rows = [row for row, embedded in enumerate(inline) if embedded and uris[row] is None]
    images = ((draft.rows["image"][row].as_py(),) for row in rows)
    of_bytes = dict(zip(rows, each("inspect_bytes", images, limits), strict=True))
    return [
        found[key] if key is not None else of_bytes[row] if row in of_bytes else _misnamed(uris[row])
        for row, key in enumerate(keys)
    ]


def _inspect_files(draft: Draft, files: list[tuple[str, bool]], limits: Limits) -> list[Medium | BadFrame]:
    if not files:
        return []
    items: list[_Item] = [(uri, draft.folder, draft.root, as_video) for uri, as_video in files]
    num = min(_MAX_PROCESSES, 1 + len(items) // _FILES_PER_PROCESS)
    per_process = -(-len(items) // num)
    parts = [items[start : start + per_process] for start in range(0, len(items), per_process)]

    def look(part: list[_Item]) -> list[Medium | BadFrame]:
        patience_s = for_a_file(limits) if any(as_video for _, _, _, as_video in part) else None
        return list(each("inspect_file", part, limits, patience_s))

    with ThreadPoolExecutor(len(parts)) as threads:
        answers = list(chain.from_iterable(threads.map(look, parts)))
    dismiss(keep=1)
    return answers


def _misnamed(uri: str | None) -> BadFrame:
    if uri is None:
        return BadFrame("bad_row", "neither uri nor image is given; give one of them")
    return BadFrame("bad_row", f"both image and uri ({uri}) are given; give one of them")
