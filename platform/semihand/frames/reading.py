"""Rows of FRAMES to pictures: from the row itself, a file or a video, if they still are what was listed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from semihand.frames.decode import decode_picture
from semihand.frames.errors import BadFrame
from semihand.frames.files import file_sha256, read_file
from semihand.frames.video import decode_frames, index_video
from semihand.tables.identity import content_sha256

Picture = UInt8[np.ndarray, "height width 3"]


def read_pictures(frames: pa.Table) -> Iterator[tuple[int, Picture | BadFrame]]:
    """The upright RGB picture of every row, or why there is none; each row exactly once.

    Stills come in the order of the rows, then videos, frame by frame, so that each is decoded forward. Which
    rows are asked for together changes no picture. Pictures that rows share are read-only.

    Args:
        frames: uri, image, content_sha256 and video_frame of FRAMES; other columns are not looked at.

    Yields:
        The index of the row, and its picture or its problem.
    """
    uris: list[str | None] = frames["uri"].to_pylist()
    numbers: list[int | None] = frames["video_frame"].to_pylist()
    digests: list[str] = frames["content_sha256"].to_pylist()
    videos: dict[tuple[str, str], list[tuple[int, int]]] = {}
    last: tuple[tuple[str, str], Picture | BadFrame] | None = None
    for row, (uri, number, digest) in enumerate(zip(uris, numbers, digests, strict=True)):
        if uri is not None and number is not None:
            videos.setdefault((uri, digest), []).append((row, number))
        elif uri is None:
            yield row, _decode(frames["image"][row].as_py(), digest)
        else:
            # Two hands in one picture are neighbouring rows: decode it once.
            if last is None or last[0] != (uri, digest):
                last = (uri, digest), _read_still(uri, digest)
            yield row, last[1]
    for (uri, digest), wanted in videos.items():
        yield from _read_video(uri, digest, wanted)


def _read_still(uri: str, digest: str) -> Picture | BadFrame:
    try:
        return _decode(read_file(Path(uri)), digest)
    except BadFrame as problem:
        return problem


def _decode(data: bytes | None, digest: str) -> Picture | BadFrame:
    try:
        if data is None:
            raise BadFrame("bad_row", "the row has neither uri nor image")
        _check_digest(content_sha256(data), digest)
        return decode_picture(data)
    except BadFrame as problem:
        return problem


def _read_video(uri: str, digest: str, wanted: list[tuple[int, int]]) -> Iterator[tuple[int, Picture | BadFrame]]:
    rows: dict[int, list[int]] = {}
    for row, number in wanted:
        rows.setdefault(number, []).append(row)
    try:
        _check_digest(file_sha256(Path(uri)), digest)
        video = index_video(Path(uri))
    except BadFrame as problem:
        yield from ((row, problem) for row, _ in wanted)
        return
    for number, picture in decode_frames(video, list(rows)):
        yield from ((row, picture) for row in rows[number])


def _check_digest(found: str, listed: str) -> None:
    if found != listed:
        raise BadFrame("changed", f"the content has sha256 {found}, listed was {listed}; list the frames again")
