"""Rows of FRAMES to pictures: from the row itself, a file or a video, if they still are what was listed."""

from collections.abc import Iterator, Set
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.worker import WorkerEnded, borrowed, each, for_a_file

Picture: TypeAlias = UInt8[np.ndarray, "height width 3"]

_MOST_DEATHS = 3  # of processes at one video, before the rest of its frames is given up


class _Still(NamedTuple):
    """A picture that rows share: two hands in one picture are neighbouring rows."""

    rows: list[int]
    source: str | bytes | None
    digest: str


def read_pictures(frames: pa.Table, limits: Limits = STANDARD) -> Iterator[tuple[int, Picture | BadFrame]]:
    """The upright RGB picture of every row, or why there is none; each row exactly once.

    They are decoded in a process of their own. Stills come in the order of the rows, then videos, frame by frame, so
    that each is decoded forward. Which rows are asked for together changes no picture. Pictures that rows share are
    read-only.

    Args:
        frames: uri, image, content_sha256 and video_frame of FRAMES; other columns are not looked at.
        limits: what a picture may take.

    Yields:
        The index of the row, and its picture or its problem.
    """
    uris: list[str | None] = frames["uri"].to_pylist()
    numbers: list[int | None] = frames["video_frame"].to_pylist()
    digests: list[str] = frames["content_sha256"].to_pylist()
    videos: dict[tuple[str, str], dict[int, list[int]]] = {}
    still_rows = []
    for row, (uri, number, digest) in enumerate(zip(uris, numbers, digests, strict=True)):
        if uri is not None and number is not None:
            videos.setdefault((uri, digest), {}).setdefault(number, []).append(row)
        else:
            still_rows.append(row)
    yield from _read_stills(_stills(frames["image"], still_rows, uris, digests), limits)
    for (uri, digest), rows in videos.items():
        for number, picture in _read_video(uri, digest, sorted(rows), limits):
            yield from _of_rows(rows[number], picture)


def _stills(images: pa.ChunkedArray, rows: list[int], uris: list[str | None], digests: list[str]) -> Iterator[_Still]:
    shared: _Still | None = None
    for row in rows:
        uri, digest = uris[row], digests[row]
        if shared is not None and uri is not None and (shared.source, shared.digest) == (uri, digest):
            shared.rows.append(row)
            continue
        if shared is not None:
            yield shared
        shared = _Still([row], images[row].as_py() if uri is None else uri, digest)
    if shared is not None:
        yield shared


def _read_stills(stills: Iterator[_Still], limits: Limits) -> Iterator[tuple[int, Picture | BadFrame]]:
    asked: list[_Still] = []

    def items() -> Iterator[tuple[str | bytes, str]]:
        for still in stills:
            asked.append(still)
            yield still.source if still.source is not None else b"", still.digest

    for picture in each("picture", items(), limits):
        still = asked.pop(0)
        if still.source is None:
            picture = BadFrame("bad_row", "the row has neither uri nor image")
        yield from _of_rows(still.rows, picture)


def _of_rows(rows: list[int], picture: Picture | BadFrame) -> Iterator[tuple[int, Picture | BadFrame]]:
    if len(rows) > 1 and isinstance(picture, np.ndarray):
        picture.flags.writeable = False
    yield from ((row, picture) for row in rows)


def _read_video(uri: str, digest: str, numbers: list[int], limits: Limits) -> Iterator[tuple[int, Picture | BadFrame]]:
    """Every number once; where a process ends, the frames that are decoded together are lost, and the rest is asked."""
    remaining, deaths = dict.fromkeys(numbers), 0
    while remaining:
        group: list[int] = []
        grouped: set[int] = set()
        with borrowed(limits) as worker:
            try:
                for answer in worker.ask("frames", uri, digest, list(remaining), patience_s=for_a_file(limits)):
                    if isinstance(answer, list):
                        if not _is_group(answer, remaining.keys() - grouped):
                            raise worker.distrusted(f"frames {answer!r:.80} in a group")
                        group = answer
                        grouped.update(group)
                    elif not remaining:
                        raise worker.distrusted("more, when nobody waits")
                    elif isinstance(answer, BadFrame):
                        yield from ((number, answer) for number in remaining)
                        remaining.clear()
                    elif answer[0] not in remaining:
                        raise worker.distrusted(f"frame {answer[0]}, which nobody waits for")
                    else:
                        del remaining[answer[0]]
                        yield answer
                if remaining:
                    raise worker.distrusted(f"{len(remaining)} frames are without an answer")
            except WorkerEnded as end:
                deaths += 1
                lost = [number for number in group if number in remaining]
                lost = list(remaining) if not lost or deaths == _MOST_DEATHS else lost
                for number in lost:
                    del remaining[number]
                    yield number, end.problem


def _is_group(numbers: list[int], waiting: Set[int]) -> bool:
    """Whether frames can be decoded together: each waits for it, once. Groups of others might come for ever."""
    return waiting >= {*numbers} and len(numbers) == len({*numbers}) > 0
