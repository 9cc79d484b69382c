"""The pictures that frames show, each once: stills by themselves, videos in pieces that are worked in order."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa


class Shot(NamedTuple):
    """A picture, and the rows that show it."""

    rows: list[int]  # that have no box
    boxed: list[int]  # that have one
    video: tuple[str, str] | None  # the video, and the view of it
    number: int  # of the frame in the video; 0 of a still

    @property
    def all_rows(self) -> list[int]:
        """Those without a box first."""
        return self.rows + self.boxed


def shots_of(frames: pa.Table) -> list[Shot]:
    """The pictures of the rows that have no box: stills in the rows' order, then videos, frame by frame."""
    columns = ["uri", "content_sha256", "view_id", "video_frame"]
    keys = list(map(_key, *(frames[name].to_pylist() for name in columns)))
    has_box = frames["box_source"].is_valid().to_pylist()
    shots: dict[_Key, Shot] = {}
    for row, (key, boxed) in enumerate(zip(keys, has_box, strict=True)):
        if not boxed:
            video, number = (None, 0) if key.number is None else (key.picture, key.number)
            shots.setdefault(key, Shot([], [], video, number)).rows.append(row)
    for row, (key, boxed) in enumerate(zip(keys, has_box, strict=True)):
        if boxed and key in shots:
            shots[key].boxed.append(row)
    of_videos = sorted(key for key in shots if key.number is not None)
    return [shot for shot in shots.values() if shot.video is None] + [shots[key] for key in of_videos]


class _Key(NamedTuple):
    """What says that two rows show one picture."""

    picture: tuple[str, str]  # a still, and its content; or a video, and the view of it
    number: int | None  # of the frame in the video


def _key(uri: str | None, digest: str, view: str | None, number: int | None) -> _Key:
    return _Key((uri or "", digest), None) if uri is None or number is None else _Key((uri, view or ""), number)


def segments(shots: Sequence[Shot], size: int) -> list[list[Shot]]:
    """The pieces of videos that are worked by themselves, none of more than so many pictures; stills are left out.

    Which pieces there are depends on a video's own pictures alone, not on what else is listed.
    """
    pieces = []
    for _, of_video in groupby((shot for shot in shots if shot.video), key=lambda shot: shot.video):
        ordered = list(of_video)
        pieces += [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return pieces
