"""Frames of a video by number, the same picture whichever others are asked for.

A frame's number is its place in presentation order, found from the packets' times without decoding. A frame
is always decoded from the last keyframe at or before it, on one thread, so that neither the other frames of a
request nor the machine's cores change a byte of it. Pictures come upright, as the display matrix says.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

from semihand.frames.decode import check_size
from semihand.frames.errors import BadFrame
from semihand.frames.files import check_regular

# BITEXACT and ACCURATE_RND keep the colours of every machine the same, at no measurable cost.
_COLOURS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_QUARTER_TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
# Playlists and pictures would open as well, and playlists open other files and addresses.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,mp4,3gp,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf",
    "protocol_whitelist": "file",
}
_VIDEO_ERRORS = (av.FFmpegError, UnicodeDecodeError, IndexError, MemoryError)


@dataclass(frozen=True)
class VideoIndex:
    """What is known of a video without decoding it, except its first frame.

    Attributes:
        width: of the upright picture, px; `height` likewise.
        quarter_turns: counter-clockwise turns that set the stored picture upright.
        times: presentation times in units of `time_base`, ascending; () where the container gives no
            usable ones, and frames are counted by decoding.
        keyframe_times: the times among them at which decoding may start.
    """

    path: Path
    width: int
    height: int
    quarter_turns: int
    num_frames: int
    times: tuple[int, ...]
    keyframe_times: tuple[int, ...]
    time_base: Fraction

    def timestamp_s(self, number: int) -> float | None:
        """Presentation time of a frame in seconds, None where the container gives none."""
        return float(self.times[number] * self.time_base) if self.times else None


def index_video(path: Path) -> VideoIndex:
    """Count a video's frames and find their times; once per process while the file stays the same.

    Raises:
        BadFrame: no readable video, or one that is empty, too large, flipped or of oblong pixels.
    """
    state = check_regular(path)
    return _index_video(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _index_video(path: Path, *state: int) -> VideoIndex:
    try:
        width, height, quarter_turns = _first_frame(path)
        with _open(path) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
            times = sorted(packet.pts for packet in packets if packet.pts is not None)
            keyframe_times = sorted(p.pts for p in packets if p.is_keyframe and p.pts is not None)
            time_base = stream.time_base or Fraction(1)
        usable = len(times) == len(packets) == len(set(times)) and keyframe_times[:1] == times[:1]
        num_frames = len(packets) if usable else sum(1 for _ in _decode_from(path, None))
    except _VIDEO_ERRORS as error:
        raise BadFrame("unreadable", f"{path}: {error}") from error
    return VideoIndex(
        path, width, height, quarter_turns, num_frames,
        tuple(times) if usable else (), tuple(keyframe_times) if usable else (), time_base,
    )  # fmt: skip


def decode_frames(
    video: VideoIndex, numbers: Sequence[int]
) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"] | BadFrame]]:
    """The upright RGB pictures of these frames, each number once, ascending but for late ones.

    Late are frames that do not decode from the keyframe the container names, and are tried from an earlier
    one. A frame that does not decode at all comes as the BadFrame that says so.
    """
    wanted = sorted(set(numbers))
    for number in wanted:
        if not 0 <= number < video.num_frames:
            detail = f"{video.path} has frames 0 to {video.num_frames - 1}, not {number}"
            yield number, BadFrame("video_frame_missing", detail)
    reformatter = VideoReformatter()
    for keyframe, group in _by_keyframe(video, [n for n in wanted if 0 <= n < video.num_frames]).items():
        missing = set(group)
        # Where decoding may start is the container's word; from two keyframes earlier it rarely is wrong.
        for start in (keyframe, max(keyframe - 2, 0)):
            for number, frame in _decode_group(video, start, missing):
                missing.discard(number)
                yield number, _upright(video, frame, reformatter)
            if not missing:
                break
        for number in sorted(missing):
            yield number, BadFrame("video_frame_missing", f"{video.path}: frame {number} does not decode")


def _by_keyframe(video: VideoIndex, numbers: list[int]) -> dict[int, list[int]]:
    """Runs of frames by the keyframe that their decoding starts from."""
    groups: dict[int, list[int]] = {}
    for number in numbers:
        keyframe = bisect_right(video.keyframe_times, video.times[number]) - 1 if video.times else 0
        groups.setdefault(keyframe, []).append(number)
    return groups


def _decode_group(video: VideoIndex, keyframe: int, numbers: set[int]) -> Iterator[tuple[int, Any]]:
    """Decode forward from a keyframe until the last of these frames; what is lost or damaged is left out."""
    last = max(numbers)
    by_time = {video.times[number]: number for number in numbers} if video.times else {}
    start_time = video.keyframe_times[keyframe] if video.times else None
    remaining = set(numbers)
    try:
        for count, frame in enumerate(_decode_from(video.path, start_time)):
            number = by_time.get(frame.pts) if video.times else count
            if number in remaining and not frame.is_corrupt:
                remaining.discard(number)
                yield number, frame
            place, end = (frame.pts, video.times[last]) if video.times else (count, last)
            if place is not None and place >= end:
                return
    except _VIDEO_ERRORS:
        return  # the caller reports every frame that it did not get


def _decode_from(path: Path, start_time: int | None) -> Iterator[Any]:
    """Decoded frames in presentation order, from a keyframe or from the beginning."""
    with _open(path) as container:
        stream = container.streams.video[0]
        if start_time is not None:
            container.seek(start_time, stream=stream, backward=True)
        for place, packet in enumerate(container.demux(stream)):
            if place == 0 and start_time is not None and (packet.pts is None or packet.pts > start_time):
                break  # the container sought too far
            yield from _decode_packet(packet)
        else:
            return
    yield from _decode_from(path, None)


def _decode_packet(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except av.FFmpegError:
        return []  # one damaged packet; its frame is missed by time, and later ones may be whole


def _open(path: Path) -> Any:
    container = av.open(str(path), options=_OPEN_OPTIONS, metadata_errors="replace")
    if not container.streams.video:
        container.close()
        raise BadFrame("not_a_picture", f"{path} holds no video stream")
    context = container.streams.video[0].codec_context
    if context is None:
        container.close()
        raise BadFrame("unsupported_format", f"{path}: no decoder for its video; re-encode it as H.264")
    context.thread_count = 1
    return container


def _first_frame(path: Path) -> tuple[int, int, int]:
    """Upright width and height, and the counter-clockwise quarter turns that lead there."""
    frame = next(_decode_from(path, None), None)
    if frame is None:
        raise BadFrame("video_frame_missing", f"{path} holds no frame that decodes")
    check_size(frame.width, frame.height)
    with _open(path) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
    if aspect not in (None, 0, 1):
        raise BadFrame("unsupported_format", f"{path}: pixels of shape {aspect}, not square; re-encode it")
    turns = _quarter_turns(frame)
    if turns is None:
        detail = f"{path}: turned by {frame.rotation} degrees or flipped; re-encode it"
        raise BadFrame("unsupported_format", detail)
    size = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
    return *size, turns


def _quarter_turns(frame: Any) -> int | None:
    """Counter-clockwise turns that the display matrix asks for; None where it asks for something else."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0
    a, b, _, c, d = (number / 65536 for number in struct.unpack("=5i", bytes(matrix)[:20]))
    near = (turns for turns, turn in enumerate(_QUARTER_TURNS) if np.allclose(turn, (a, b, c, d), atol=1e-3))
    return next(near, None)


def _upright(video: VideoIndex, frame: Any, reformatter: VideoReformatter) -> np.ndarray | BadFrame:
    rgb: np.ndarray = reformatter.reformat(frame, format="rgb24", interpolation=_COLOURS, threads=1).to_ndarray()
    if video.quarter_turns:
        rgb = np.ascontiguousarray(np.rot90(rgb, video.quarter_turns))
    if rgb.shape != (video.height, video.width, 3):
        sizes = f"{rgb.shape[1]} x {rgb.shape[0]}, not {video.width} x {video.height} px as its first frame"
        return BadFrame("unsupported_format", f"{video.path}: {sizes}; a video must keep its size")
    return rgb
