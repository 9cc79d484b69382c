"""Which pictures of a damaged video can be trusted.

A decoder hides what it cannot decode: after a damaged packet it goes on predicting from wrong pictures, and says
nothing. Here whatever was decoded after damage is unsound until the next keyframe. What nobody notices, such as a
flipped bit that is still valid, cannot be told.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

_MAX_HELD = 17  # no codec reorders more
_ONE_PICTURE_A_PACKET = frozenset({"h264", "hevc"})  # others have packets that show nothing
_REMEMBERED = 32  # keyframes and damages; more than can lie among the pictures that are held


class Decoded(NamedTuple):
    """A picture, and whether nothing that it was predicted from was damaged."""

    frame: Any
    sound: bool


class Damage:
    """Which pictures of a stream were decoded after damage and before the next keyframe.

    Pictures are held until all that were decoded before them have come: one of these may turn out to be damaged.
    """

    def __init__(self, codec: str) -> None:
        """Begin at a keyframe of a stream of this codec."""
        self._complete = codec in _ONE_PICTURE_A_PACKET  # so that one which never comes was lost
        self._num_packets = 0
        self._start: int | None = None  # presentation time of the first keyframe; what leads up to it is not decoded
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
            self._start = packet.pts if self._start is None else self._start
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
        if self._complete and shown is not None:
            self._miss(shown)
        while self._held and not self._waits(self._held[0], shown):
            yield self._judged(self._held.pop(0))

    def end(self) -> Iterator[Decoded]:
        """The pictures that are still held."""
        while self._held:
            yield self._judged(self._held.pop(0))

    def _miss(self, shown: int) -> None:
        """Packets whose pictures should have come by now were lost without a word."""
        held = {frame.pts for frame in self._held}
        for time in [time for time in self._about if time < shown and time not in held]:
            place, _ = self._about.pop(time)
            if self._start is not None and time > self._start:
                self._damaged(place)

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


def has_hole(packet: bytes, length_bytes: int) -> bool:
    """Whether three zero bytes stand where the syntax of H.264 and HEVC has none, as in a lost page of a disk."""
    start = 0
    while length_bytes and start + length_bytes < len(packet):
        end = start + length_bytes + int.from_bytes(packet[start : start + length_bytes], "big")
        if b"\0\0\0" in packet[start + length_bytes : end]:
            return True
        start = end
    return False
