"""The pictures of a video stream in presentation order, and which of them can be trusted.

A decoder hides what it cannot decode: after a damaged packet it goes on predicting from wrong pictures, and says
nothing. Here whatever was decoded after damage is unsound until the next keyframe. What no decoder notices, such as
a flipped bit that is still valid, cannot be told.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av

from semihand.frames import alarm
from semihand.frames.errors import BadFrame
from semihand.frames.limits import Limits

STREAM_ERRORS = (av.FFmpegError, UnicodeDecodeError, ValueError, IndexError, MemoryError)
_MAX_HELD = 17  # no codec reorders more
_REMEMBERED = 32  # keyframes and damages; more than can lie among the pictures that are held
# Playlists and pictures would open as well, and playlists open other files and addresses.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,mp4,3gp,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf",
    "protocol_whitelist": "file",
    "threads": "1",
}


class Decoded(NamedTuple):
    """A picture, and whether nothing that it was predicted from was damaged."""

    frame: Any
    sound: bool


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
        damage, ended = _Damage(), False
        for place, packet in enumerate(packets_of(container, start_time)):
            if place == 0 and start_time is not None and (packet.pts is None or packet.pts > start_time):
                break  # the container sought too far
            ended = not packet.size  # the last one is empty and asks the decoder for what it still holds
            frames, whole = _decode(packet)
            damage.feed(packet, whole or ended)
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


class _Damage:
    """Which pictures of a stream were decoded after damage and before the next keyframe.

    Pictures are held until all that were decoded before them have come: one of these may turn out to be damaged.
    """

    def __init__(self) -> None:
        self._num_packets = 0
        self._about: dict[
            int, tuple[int, int]
        ] = {}  # by presentation time: place in decoding order, latest time so far
        self._latest: int | None = None
        self._keyframes: list[tuple[int, int]] = []  # place, presentation time
        self._damages: list[tuple[int, int | None]] = []  # place, presentation time of the keyframe that mends it
        self._held: list[Any] = []

    def feed(self, packet: Any, whole: bool) -> None:
        """A packet went into the decoder."""
        place = self._num_packets
        self._num_packets += 1
        if packet.pts is not None:
            self._latest = packet.pts if self._latest is None else max(self._latest, packet.pts)
            self._about[packet.pts] = place, self._latest
            if packet.is_keyframe:
                self._keyframes = [*self._keyframes[1 - _REMEMBERED :], (place, packet.pts)]
                self._damages = [(since, packet.pts if until is None else until) for since, until in self._damages]
        if not whole:
            self._damaged(place)

    def judge(self, frames: list[Any]) -> Iterator[Decoded]:
        """The pictures that can be judged now, given those that came out of the decoder."""
        for frame in frames:
            if frame.is_corrupt:
                self._damaged(self._place_of(frame))
            self._held.append(frame)
        shown = max((frame.pts for frame in self._held if frame.pts is not None), default=None)
        while self._held and not self._waits(self._held[0], shown):
            yield self._judged(self._held.pop(0))

    def end(self) -> Iterator[Decoded]:
        """The pictures that are still held."""
        while self._held:
            yield self._judged(self._held.pop(0))

    def _waits(self, frame: Any, shown: int | None) -> bool:
        if frame.pts not in self._about or shown is None or len(self._held) > _MAX_HELD:
            return False
        return self._about[frame.pts][1] > shown

    def _damaged(self, place: int) -> None:
        if self._damages and self._damages[-1][1] is None and self._damages[-1][0] <= place:
            return
        until = next((time for keyframe, time in self._keyframes if keyframe > place), None)
        self._damages = [*self._damages[1 - _REMEMBERED :], (place, until)]

    def _judged(self, frame: Any) -> Decoded:
        place = self._place_of(frame)
        self._about.pop(frame.pts, None)
        unsound = any(
            place >= since and (until is None or frame.pts is None or frame.pts < until)
            for since, until in self._damages
        )
        return Decoded(frame, not unsound)

    def _place_of(self, frame: Any) -> int:
        return self._about.get(frame.pts, (self._num_packets - 1, 0))[0]
