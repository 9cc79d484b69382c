"""The pictures that frames show, each once: stills by themselves, videos in pieces that are worked in order."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa


class Shot(NamedTuple):
    """A picture, and the rows that show it."""

    rows: list[int]
    video: tuple[str, str] | None  # the video, and the view of it
    number: int  # of the frame in the video; 0 of a still


def shots_of(frames: pa.Table, rows: Sequence[int]) -> list[Shot]:
    """The pictures of some rows: stills in the rows' order, then videos, frame by frame."""
    columns = ["uri", "content_sha256", "view_id", "video_frame"]
    of_row = zip(*(frames[name].to_pylist() for name in columns), strict=True)
    about = list(of_row)
    stills: dict[tuple[str, str], list[int]] = {}
    videos: dict[tuple[str, str, int], list[int]] = {}
    for row in rows:
        uri, digest, view, number = about[row]
        if uri is None or number is None:
            stills.setdefault((uri or "", digest), []).append(row)
        else:
            videos.setdefault((uri, view or "", number), []).append(row)
    of_videos = [Shot(videos[uri, view, number], (uri, view), number) for uri, view, number in sorted(videos)]
    return [Shot(shared, None, 0) for shared in stills.values()] + of_videos


def segments(shots: Sequence[Shot], size: int) -> list[list[Shot]]:
    """The pieces of videos that are worked by themselves, none of more than so many pictures; stills are left out.

    Which pieces there are depends on a video's own pictures alone, not on what else is listed.
    """
    pieces = []
    for _, of_video in groupby((shot for shot in shots if shot.video), key=lambda shot: shot.video):
        ordered = list(of_video)
        pieces += [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return pieces
