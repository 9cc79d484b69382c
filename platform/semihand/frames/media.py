"""The pictures and videos that rows point to: are they there, what do they hold, how large are they."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semihand.frames.decode import picture_size
from semihand.frames.draft import Draft
from semihand.frames.errors import BadFrame
from semihand.frames.files import file_sha256, read_file, resolve_inside
from semihand.frames.folder import is_video
from semihand.frames.video import VideoIndex, index_video
from semihand.tables.identity import content_sha256

NUM_THREADS = 8  # hashing and reading let other threads run, and network disks answer many at once


@dataclass(frozen=True)
class Medium:
    """A picture or video that was found.

    Attributes:
        path: its real path, None where the bytes lie in the row.
        key: its path relative to the data set's folder, or its content where it has no path.
        width: of the upright picture, px; `height` likewise.
        video: None for a picture.
    """

    path: str | None
    key: str
    content_sha256: str
    width: int
    height: int
    video: VideoIndex | None = None


def inspect_media(draft: Draft) -> list[Medium | BadFrame]:
    """What each row points to; a file that many rows point to is opened once."""
    uris = draft.rows["uri"].to_pylist()
    numbers = draft.rows["video_frame"].to_pylist()
    images = draft.rows["image"]
    has_image = images.is_valid().to_pylist()
    keys = [
        (uri, is_video(uri) or number is not None) if uri is not None and not inline else None
        for uri, number, inline in zip(uris, numbers, has_image, strict=True)
    ]
    unique = sorted({key for key in keys if key is not None})
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        looked = threads.map(lambda key: _attempt(partial(_inspect_file, draft, *key)), unique)
        found = dict(zip(unique, looked, strict=True))
    return [
        found[key] if key is not None else _attempt(partial(_inspect_bytes, draft, row, uris[row]))
        for row, key in enumerate(keys)
    ]


def _attempt(inspect: Callable[[], Medium]) -> Medium | BadFrame:
    try:
        return inspect()
    except BadFrame as problem:
        return problem


def _inspect_file(draft: Draft, uri: str, as_video: bool) -> Medium:
    path = resolve_inside(uri, draft.folder, draft.root)
    key = _key(uri, draft.folder, path)
    if as_video:
        video = index_video(path)
        return Medium(str(path), key, file_sha256(path), video.width, video.height, video)
    data = read_file(path)
    return Medium(str(path), key, content_sha256(data), *_located_size(path, data))


def _located_size(path: Path, data: bytes) -> tuple[int, int]:
    try:
        return picture_size(data)
    except BadFrame as problem:
        raise BadFrame(problem.reason, f"{path}: {problem.detail}") from problem


def _inspect_bytes(draft: Draft, row: int, uri: str | None) -> Medium:
    data = draft.rows["image"][row].as_py()
    if data is None:
        raise BadFrame("bad_row", "neither uri nor image is given; give one of them")
    if uri is not None:
        raise BadFrame("bad_row", f"both image and uri ({uri}) are given; give one of them")
    digest = content_sha256(data)
    return Medium(None, f"sha256/{digest}", digest, *picture_size(data))


def _key(uri: str, folder: Path, path: Path) -> str:
    """Where a file stands in its data set: as it was named, unless it was named by an absolute path."""
    if not os.path.isabs(uri):
        return Path(os.path.normpath(uri)).as_posix()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix().lstrip("/")
