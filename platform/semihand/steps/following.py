"""Follow hands through the pictures of a video: from the joints of one to the box in the next, and anew where lost."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from pydantic import BaseModel, Field, PositiveInt

from semihand.frames.sets.columns import box_around
from semihand.hand.boxes import Box, is_inside, overlap
from semihand.methods.localiser.finding import Finding

Picture = UInt8[np.ndarray, "_ _ 3"]
#: where the joints of a hand in a box are, in px of the picture; the flag says that it is a left one
Tracker = Callable[[Picture, Box, bool], Float[np.ndarray, "21 2"]]
Share = Annotated[float, Field(ge=0, le=1)]


@runtime_checkable
class Finder(Protocol):
    """What `HandFinder` does; nothing else is asked of it."""

    def find(self, pictures: Sequence[Picture]) -> list[list[Finding]]:
        """The hands of every picture, best first."""

    def look_again(self, picture: Picture, box_px: Box) -> Finding | None:
        """What is inside about this box; None: no hand."""


class FindConfig(BaseModel, frozen=True, extra="forbid"):
    """How hands are found where frames have no box."""

    min_score: Share | None = Field(
        default=None, description="what scores no more than this is no hand; None: the localiser's own threshold"
    )
    # Frames of a video count as its time does: of every tenth, each is looked at as a whole.
    find_every: PositiveInt = Field(
        default=10,
        description="frames of a video, listed or not, between looks at all of its picture for further hands",
    )
    min_overlap: Share = Field(
        default=0.4, description="boxes that overlap by less (intersection over union) are not of one hand"
    )
    patience: PositiveInt = Field(
        default=10,
        description="most frames between two sights of a hand that is followed; raise it together with frame_step",
    )
    # So that a video spreads over actors.
    frames_per_segment: PositiveInt = Field(
        default=600,
        description="listed frames of a video that are worked by themselves; no hand is followed beyond them",
    )


class Seen(NamedTuple):
    """A hand in one picture."""

    box_px: Box  # about its joints, or the finder's
    found_px: Box  # the finder's
    score: float
    right: float
    source: str  # one of `semihand.tables.schemas.BOX_SOURCES`


@dataclass(eq=False)
class Track:
    """One hand, in the pictures that it was seen in; it has one side."""

    seen: dict[int, Seen] = field(default_factory=dict)  # by the picture's number
    next_box_px: Box = (0.0, 0.0, 0.0, 0.0)  # where to look for it in the next picture

    @property
    def right(self) -> float:
        """How sure it is that this is a right hand: the mean over its pictures, those counting more that show it."""
        weights = [each.score for each in self.seen.values()]
        sides = [each.right for each in self.seen.values()]
        return float(np.average(sides, weights=weights)) if sum(weights) > 0 else float(np.mean(sides))

    @property
    def hand(self) -> str:
        """Its side."""
        return "right" if self.right >= 0.5 else "left"

    def evidence(self, hand: str | None = None) -> float:
        """How much speaks for this hand, or for its being a left or a right one."""
        certainty = {None: 1.0, "right": self.right, "left": 1 - self.right}[hand]
        return certainty * sum(each.score for each in self.seen.values())

    def see(self, number: int, hand: Seen) -> None:
        """Note where it is in a picture."""
        self.seen[number], self.next_box_px = hand, hand.found_px


def follow_hands(
    pictures: Iterable[tuple[int, Picture]], finder: Finder, tracker: Tracker, config: FindConfig
) -> list[Track]:
    """The hands of a video, in the order in which they come into it.

    Args:
        pictures: by their numbers in the video, ascending; one that comes late is looked at by itself.
        finder: finds hands in whole pictures, and says whether one is where it is thought to be.
        tracker: the pose model.
        config: when to look where.
    """
    following = _Following(finder, tracker, config)
    for number, picture in pictures:
        following.look(number, picture)
    return following.tracks + following.alone


class _Following:
    """The hands so far; those that the last picture showed are live."""

    def __init__(self, finder: Finder, tracker: Tracker, config: FindConfig) -> None:
        self.finder, self.tracker, self.config = finder, tracker, config
        self.tracks: list[Track] = []
        self.live: list[Track] = []
        self.alone: list[Track] = []  # of pictures that came late, each in that picture only
        self.last: int | None = None  # the number of the last picture that did not
        self.looked: int | None = None  # the number of the last picture that was looked at as a whole

    def look(self, number: int, picture: Picture) -> None:
        """Follow the live hands into the next picture; look for others where one is lost, and now and then."""
        if self.last is not None and number < self.last:
            self.alone += [Track({number: _as_found(found)}) for found in self.finder.find([picture])[0]]
            return
        if self.last is not None and number - self.last > self.config.patience:
            self.live = []
        self._follow(number, picture)
        due = self.looked is None or number - self.looked >= self.config.find_every
        if due or not self.live or self._lost(number):
            self._find(number, picture)
        self.last, self.picture = number, picture

    def _follow(self, number: int, picture: Picture) -> None:
        height_px, width_px = picture.shape[:2]
        before, self.live = self.live, []
        for track in before:
            self._predict_box(track)
            seen = self._seen_again(picture, track) if is_inside(track.next_box_px, width_px, height_px) else None
            if seen is not None and not self._is_taken(seen.found_px, number):
                track.see(number, seen)
                self.live.append(track)

    def _predict_box(self, track: Track) -> None:
        """The box about the joints in the last picture; joints that do not span the hand's box are not believed."""
        joints_px = self.tracker(self.picture, track.next_box_px, track.hand == "left")
        if np.isfinite(joints_px).all():
            x, y, width, height = box_around(joints_px)
            if overlap((x, y, width, height), track.next_box_px) >= self.config.min_overlap:
                track.next_box_px = (x, y, width, height)

    def _seen_again(self, picture: Picture, track: Track) -> Seen | None:
        found = self.finder.look_again(picture, track.next_box_px)
        if found is None:
            return None
        if overlap(found.box_px, track.next_box_px) >= self.config.min_overlap:
            return Seen(track.next_box_px, found.box_px, found.score, found.right, "tracked")
        return _as_found(found)

    def _find(self, number: int, picture: Picture) -> None:
        self.looked = number
        others = [found for found in self.finder.find([picture])[0] if not self._is_taken(found.box_px, number)]
        for found in others:
            track = self._lost_here(number, found.box_px) or Track()
            if not track.seen:
                self.tracks.append(track)
            track.see(number, _as_found(found))
            self.live.append(track)

    def _is_taken(self, box_px: Box, number: int) -> bool:
        """Whether a hand that was seen earlier in this picture is the one in this box."""
        return any(overlap(box_px, track.seen[number].found_px) >= self.config.min_overlap for track in self.live)

    def _lost(self, number: int) -> list[Track]:
        """The hands that were lost not long ago."""
        gone = [track for track in self.tracks if track not in self.live]
        return [track for track in gone if number - max(track.seen) <= self.config.patience]

    def _lost_here(self, number: int, box_px: Box) -> Track | None:
        """The hand that was lost not long ago where now one is found."""
        nearest = max(self._lost(number), key=lambda track: overlap(box_px, track.next_box_px), default=None)
        return nearest if nearest is not None and overlap(box_px, nearest.next_box_px) > 0 else None


def _as_found(found: Finding) -> Seen:
    return Seen(found.box_px, found.box_px, found.score, found.right, "localiser")
