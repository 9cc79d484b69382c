"""The pictures of a video stream in presentation order, from a keyframe on, each with a word on its soundness."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from semihand.frames import alarm
from semihand.frames.damage import Damage, Decoded, has_hole
from semihand.frames.errors import BadFrame
from semihand.frames.limits import Limits

STREAM_ERRORS = (av.FFmpegError, ValueError, IndexError, MemoryError)
# Playlists and pictures would open as well, and playlists open other files and addresses.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,mp4,3gp,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf",
    "protocol_whitelist": "file",
    "threads": "1",
}


def open_stream(path: Path, limits: Limits) -> Any:
    """A container with a video stream that can be decoded; close it.

    Raises:
        BadFrame: not_a_picture or unsupported_format.
    """
    pixels = {"max_pixels": str(limits.max_pixels)}  # judged by FFmpeg before it reserves a picture
    container = av.open(str(path), options=_OPEN_OPTIONS | pixels, metadata_errors="replace")
    if not container.streams.video:
        container.close()
        raise BadFrame("not_a_picture", f"{path} holds no video stream")
    context = container.streams.video[0].codec_context
    if context is None:
        container.close()
        raise BadFrame("unsupported_format", f"{path}: no decoder for its video; re-encode it as H.264")
    context.thread_count = 1
    context.options = pixels
    return container


def packets_of(container: Any, start_time: int | None = None) -> Iterator[Any]:
    """The packets of the video stream, from a keyframe or from the beginning; a damaged container ends early."""
    stream = container.streams.video[0]
    if start_time is not None:
        container.seek(start_time, stream=stream, backward=True)
    packets = container.demux(stream)
    while True:
        alarm.again()
        try:
            yield next(packets)
        except (StopIteration, av.FFmpegError):
            return


def decode_from(path: Path, start_time: int | None, limits: Limits) -> Iterator[Decoded]:
    """Decoded pictures in presentation order, from a keyframe or from the beginning."""
    with open_stream(path, limits) as container:
        context = container.streams.video[0].codec_context
        damage, ended = Damage(context.name), False
        length_bytes = _length_bytes(context.name, context.extradata)
        for place, packet in enumerate(packets_of(container, start_time)):
            if place == 0 and start_time is not None and (packet.pts is None or packet.pts > start_time):
                break  # the container sought too far
            ended = not packet.size  # the last one is empty and asks the decoder for what it still holds
            frames, whole = _decode(packet)
            damage.feed(packet, ended or (whole and not has_hole(bytes(packet), length_bytes)))
            yield from damage.judge(frames)
        else:
            yield from damage.judge([] if ended else _rest(container))
            yield from damage.end()
            return
    yield from decode_from(path, None, limits)


def _decode(packet: Any) -> tuple[list[Any], bool]:
    """The pictures that a packet completes, and whether it was whole."""
    try:
        return list(packet.decode()), not packet.is_corrupt
    except STREAM_ERRORS:
        return [], False


def _rest(container: Any) -> list[Any]:
    try:
        return list(container.streams.video[0].codec_context.decode(None))
    except STREAM_ERRORS:
        return []


def _length_bytes(codec: str, extradata: bytes | None) -> int:
    """How many bytes say the length of each unit in a packet of H.264 or HEVC; 0 where start codes part them."""
    place = {"h264": 4, "hevc": 21}.get(codec)
    if place is None or extradata is None or len(extradata) <= place or extradata[0] != 1:
        return 0
    return (extradata[place] & 3) + 1
