"""Frames of a video by number, the same picture whichever others are asked for.

A frame's number is its place in presentation order, found from the packets' times without decoding. A frame
is always decoded from the last keyframe at or before it, on one thread, so that neither the other frames of a
request nor the machine's cores change a byte of it. Pictures come upright, as the display matrix says.
"""

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

from semihand.frames.errors import BadFrame
from semihand.frames.files import check_regular
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.medium import VideoIndex
from semihand.frames.streams import STREAM_ERRORS, decode_from, open_stream, packets_of
from semihand.frames.video_header import look_at_first

# BITEXACT and ACCURATE_RND keep the colours of every machine the same, at no measurable cost.
_COLOURS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def index_video(path: Path, limits: Limits = STANDARD) -> VideoIndex:
    """Count a video's frames and find their times; once per process while the file stays the same.

    Raises:
        BadFrame: no readable video, or one that is empty, flipped, of oblong pixels or beyond the limits.
    """
    state = check_regular(path)
    return _index_video(path, limits, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _index_video(path: Path, limits: Limits, *state: int) -> VideoIndex:
    try:
        first = look_at_first(path, limits)
        with open_stream(path, limits) as container:
            packets = _packet_times(path, container, limits)
            time_base = container.streams.video[0].time_base or Fraction(1)
        times = sorted(pts for pts, _ in packets if pts is not None)
        keyframe_times = sorted(pts for pts, is_keyframe in packets if is_keyframe and pts is not None)
        usable = len(times) == len(packets) == len(set(times)) and keyframe_times[:1] == times[:1]
        num_frames = len(packets) if usable else _count(path, limits)
    except STREAM_ERRORS as error:
        raise BadFrame("unreadable", f"{path}: {error}") from error
    return VideoIndex(
        path, first.width, first.height, first.quarter_turns, num_frames,
        tuple(times) if usable else (), tuple(keyframe_times) if usable else (), time_base, first.conversions,
    )  # fmt: skip


def _packet_times(path: Path, container: Any, limits: Limits) -> list[tuple[int | None, bool]]:
    """Presentation time of every packet that holds a picture, and whether decoding may start there."""
    found, began = [], time.monotonic()
    for packet in packets_of(container):
        if packet.size and not packet.is_discard:
            found.append((packet.pts, packet.is_keyframe))
        _check_count(path, len(found), limits)
        _check_time(path, began, limits)
    return found


def _count(path: Path, limits: Limits) -> int:
    number, began = 0, time.monotonic()
    for number, _ in enumerate(decode_from(path, None, limits), 1):
        _check_count(path, number, limits)
        _check_time(path, began, limits)
    return number


def _check_count(path: Path, number: int, limits: Limits) -> None:
    if number > limits.max_frames:
        raise BadFrame("too_many_frames", f"{path} has more than {limits.max_frames} frames; cut it into parts")


def _check_time(path: Path, began: float, limits: Limits) -> None:
    if time.monotonic() > began + limits.max_file_s:
        raise BadFrame("too_slow", f"{path}: not done in {limits.max_file_s:g} s; cut it into parts")


def decode_frames(
    video: VideoIndex, numbers: Sequence[int], limits: Limits = STANDARD
) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"] | BadFrame]]:
    """The upright RGB pictures of these frames, each number once, ascending but for late ones.

    Late are frames that do not decode from the keyframe the container names, and are tried from an earlier
    one. A frame that does not decode soundly at all comes as the BadFrame that says so.
    """
    for group in frame_groups(video, numbers):
        yield from decode_group(video, group, limits)


def frame_groups(video: VideoIndex, numbers: Sequence[int]) -> list[list[int]]:
    """The numbers, ascending, in groups that are decoded from one keyframe; first those that no frame has."""
    wanted = sorted(set(numbers))
    absent = [number for number in wanted if not 0 <= number < video.num_frames]
    present = [number for number in wanted if 0 <= number < video.num_frames]
    return [group for group in (absent, *_by_keyframe(video, present).values()) if group]


def decode_group(
    video: VideoIndex, group: list[int], limits: Limits = STANDARD
) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"] | BadFrame]]:
    """As `decode_frames`, for one of `frame_groups`."""
    if not 0 <= group[0] < video.num_frames:
        detail = f"{video.path} has frames 0 to {video.num_frames - 1}, not "
        yield from ((number, BadFrame("video_frame_missing", f"{detail}{number}")) for number in group)
        return
    reformatter = VideoReformatter()
    missing = set(group)
    keyframe = bisect_right(video.keyframe_times, video.times[group[0]]) - 1 if video.times else 0
    try:
        # Where decoding may start is the container's word; from two keyframes earlier it rarely is wrong.
        for start in sorted({keyframe, max(keyframe - 2, 0)}, reverse=True):
            for number, frame in _decode_group(video, start, missing, limits):
                missing.discard(number)
                yield number, _upright(video, frame, reformatter)
            if not missing:
                break
        problem = BadFrame("video_frame_missing", f"{video.path}: does not decode, or follows on what does not")
    except BadFrame as too_slow:
        problem = too_slow
    for number in sorted(missing):
        yield number, BadFrame(problem.reason, f"frame {number} of {problem.detail}")


def _by_keyframe(video: VideoIndex, numbers: list[int]) -> dict[int, list[int]]:
    """Runs of frames by the keyframe that their decoding starts from."""
    groups: dict[int, list[int]] = {}
    for number in numbers:
        keyframe = bisect_right(video.keyframe_times, video.times[number]) - 1 if video.times else 0
        groups.setdefault(keyframe, []).append(number)
    return groups


def _decode_group(video: VideoIndex, keyframe: int, numbers: set[int], limits: Limits) -> Iterator[tuple[int, Any]]:
    """Decode forward from a keyframe until the last of these frames; what is lost or damaged is left out.

    Raises:
        BadFrame: too_slow, the next of them is too far.
    """
    last = max(numbers)
    by_time = {video.times[number]: number for number in numbers} if video.times else {}
    start_time = video.keyframe_times[keyframe] if video.times else None
    remaining, began = set(numbers), time.monotonic()
    try:
        for count, (frame, sound) in enumerate(decode_from(video.path, start_time, limits)):
            number = by_time.get(frame.pts) if video.times else count
            if number in remaining and sound:
                remaining.discard(number)
                yield number, frame
                began = time.monotonic()
            _check_time(video.path, began, limits)
            place, end = (frame.pts, video.times[last]) if video.times else (count, last)
            if place is not None and place >= end:
                return
    except STREAM_ERRORS:
        return  # the caller reports every frame that it did not get


def _upright(video: VideoIndex, frame: Any, reformatter: VideoReformatter) -> np.ndarray | BadFrame:
    try:
        rgb: np.ndarray = reformatter.reformat(frame, format="rgb24", interpolation=_COLOURS, threads=1).to_ndarray()
    except STREAM_ERRORS as error:
        return BadFrame("unreadable", f"{video.path}: {error}")
    if video.quarter_turns:
        rgb = np.ascontiguousarray(np.rot90(rgb, video.quarter_turns))
    if rgb.shape != (video.height, video.width, 3):
        sizes = f"{rgb.shape[1]} x {rgb.shape[0]}, not {video.width} x {video.height} px as its first frame"
        return BadFrame("unsupported_format", f"{video.path}: {sizes}; a video must keep its size")
    return rgb
