"""Find the hands of frames that have no box: a row for each hand, or the reason why there is none."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float

from semihand.frames.crop import crop_hand
from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.frames.sets.named import is_named
from semihand.hand.boxes import Box, overlap
from semihand.hand.crops import crop_affine, square_box
from semihand.methods.semihand.network import GRID_PX
from semihand.methods.semihand.predictor import Predictor
from semihand.steps.following import FindConfig, Finder, Picture, Seen, Track, Tracker, follow_hands
from semihand.steps.found_rows import FoundRow, found_table
from semihand.steps.shots import Shot, segments, shots_of
from semihand.tables.identity import hand_id
from semihand.tables.rows import take_rows


class PoseTracker:
    """The joints of a hand in a picture by a pose model, one picture at a time: a box has no neighbours."""

    def __init__(self, model: Path, device: str = "cpu") -> None:
        self._predictor = Predictor(model, device)

    def __call__(self, picture: Picture, box_px: Box, left: bool) -> Float[np.ndarray, "21 2"]:
        """Joints in px of the picture."""
        card, box = self._predictor.card, np.array(box_px, np.float64)
        crop, _ = crop_hand(picture, box, card.network.input_px, left, card.crop_margin)
        affine = crop_affine(square_box(box, card.crop_margin), int(GRID_PX), left)
        joints_px: np.ndarray = self._predictor.in_pictures(crop[None], affine[None])[0]
        return joints_px


def unsaid(frames: pa.Table) -> Bool[np.ndarray, " rows"]:
    """The rows whose box or side nothing has said yet."""
    flags: np.ndarray = pc.or_(frames["box_source"].is_null(), frames["hand"].is_null()).to_numpy()
    return flags


def no_joints(picture: Picture, box_px: Box, left: bool) -> Float[np.ndarray, "21 2"]:
    """A tracker where there is no pose model: a hand is expected where it was seen last."""
    nothing: np.ndarray = np.full((21, 2), np.nan)
    return nothing


def to_be_found(options: ListOptions, path: str | Path) -> ListOptions:
    """With a localiser, what nothing says is left for it to find; public data sets say which hand they show."""
    return options.model_copy(update={"find_box": True, "find_hand": not is_named(path)})


class _Asked(NamedTuple):
    """What listed frames say of themselves, row by row."""

    ids: list[str]
    sides: list[str | None]
    boxes: list[Any]  # four numbers, or None


class FrameFinder:
    """One localiser and one pose model, opened once; a video is followed, a still looked at by itself."""

    def __init__(self, finder: Finder, tracker: Tracker, config: FindConfig, limits: Limits = STANDARD) -> None:
        self.finder, self.tracker, self.config, self.limits = finder, tracker, config, limits

    def __call__(self, frames: pa.Table, settled: Collection[str] = ()) -> pa.Table:
        """Listed frames to FOUND; which rows come together changes none, but for those of one picture or video.

        Rows that have box and side stay as they are. A row with a box is asked for its side alone. A row without one
        becomes the hand that is most likely the one whose side it says; if it says none, a row for each hand that is in
        no box of the picture's other rows.

        Args:
            frames: what was listed.
            settled: the ids of those that nothing is to be said of.
        """
        to_find, boxed = unsaid(frames), frames["box_source"].is_valid().to_numpy()
        found = [FoundRow(int(row)) for row in np.flatnonzero(~to_find)]
        found += self._sides(frames, np.flatnonzero(to_find & boxed))
        asked = _Asked(*(frames[name].to_pylist() for name in ("frame_id", "hand", "bbox_px")))
        shots = shots_of(frames)
        stills = [shot for shot in shots if shot.video is None]
        for place, picture in self._read(frames, stills):
            found += self._hands(asked, [stills[place]], [(0, picture)])
        for segment in segments(shots, self.config.frames_per_segment):
            pictures = self._read(frames, segment)
            found += self._hands(asked, segment, ((segment[place].number, picture) for place, picture in pictures))
        return found_table(frames, [each for each in found if asked.ids[each.listed] not in settled])

    def _sides(self, frames: pa.Table, rows: np.ndarray) -> Iterator[FoundRow]:
        """Which hand is in the boxes that rows have."""
        asked = take_rows(frames, rows)
        boxes = asked["bbox_px"].to_pylist()
        for place, picture in read_pictures(asked, self.limits):
            row = int(rows[place])
            if isinstance(picture, BadFrame):
                yield FoundRow(row, problem=picture)
                continue
            found = self.finder.look_again(picture, tuple(boxes[place]))
            if found is None:
                detail = "nothing says which hand it shows, and none is seen in its box"
                yield FoundRow(row, problem=BadFrame("no_hand", detail))
            else:
                yield FoundRow(row, hand="right" if found.right >= 0.5 else "left", score=found.score)

    def _read(self, frames: pa.Table, shots: Sequence[Shot]) -> Iterator[tuple[int, Picture | BadFrame]]:
        return read_pictures(take_rows(frames, [shot.rows[0] for shot in shots]), self.limits)

    def _hands(
        self, asked: _Asked, shots: Sequence[Shot], pictures: Iterable[tuple[int, Picture | BadFrame]]
    ) -> list[FoundRow]:
        """The hands of a piece of a video, or of one still; its pictures by their numbers in the video."""
        problems: dict[int, BadFrame] = {}

        def readable() -> Iterator[tuple[int, Picture]]:
            for number, picture in pictures:
                if isinstance(picture, BadFrame):
                    problems[number] = picture
                else:
                    yield number, picture

        tracks = follow_hands(readable(), self.finder, self.tracker, self.config)
        found, names = [], dict[Track, str]()
        for shot in shots:
            here = [track for track in tracks if shot.number in track.seen]
            boxes = [tuple(asked.boxes[row]) for row in shot.boxed]
            others = [track for track in here if not self._is_in_one(track.seen[shot.number], boxes)]
            for row, hands in zip(shot.rows, share_out([asked.sides[row] for row in shot.rows], others), strict=True):
                if not hands:
                    found.append(FoundRow(row, problem=problems.get(shot.number) or _no_hand(len(here))))
                for number, track in enumerate(hands):
                    seen, name = track.seen[shot.number], names.setdefault(track, hand_id(asked.ids[row], number))
                    where = FoundRow(row, number, asked.sides[row] or track.hand, seen.box_px, seen.source, seen.score)
                    found.append(where._replace(track_id=name if shot.video else None))
        return found

    def _is_in_one(self, seen: Seen, boxes: Sequence[Box]) -> bool:
        """Whether a hand is the one in a box that another row of its picture has."""
        pairs = ((each, box) for each in (seen.box_px, seen.found_px) for box in boxes)
        return any(overlap(each, box) >= self.config.min_overlap for each, box in pairs)


class FindJob(NamedTuple):
    """Everything that a process which finds hands has to know."""

    config: FindConfig
    localiser: Path
    teacher: Path | None  # the pose model whose joints a box follows through a video; None: nothing says where they are
    limits: Limits
    finder: Callable[[Path, str, float | None], Finder]  # opens a localiser on a device, with a threshold or its own

    def open(self) -> FrameFinder:
        """Load the models.

        Raises:
            ValueError: a folder holds no such model.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        finder = self.finder(self.localiser, device, self.config.min_score)
        tracker = no_joints if self.teacher is None else PoseTracker(self.teacher, device)
        return FrameFinder(finder, tracker, self.config, self.limits)


def share_out(sides: Sequence[str | None], hands: Sequence[Track]) -> list[list[Track]]:
    """The hands of a picture among the rows that show it, each to one of them, most evidence first.

    Args:
        sides: what each row says; one that says a side gets one hand at most, the first that says none all the rest.
        hands: what was found in the picture.
    """
    shares: list[list[Track]] = [[] for _ in sides]
    left = sorted(hands, key=lambda track: -track.evidence())
    wanting = {row: side for row, side in enumerate(sides) if side is not None}
    while wanting and left:
        row, track = max(
            ((row, track) for row in wanting for track in left), key=lambda pair: pair[1].evidence(wanting[pair[0]])
        )
        shares[row].append(track)
        left.remove(track)
        del wanting[row]
    if None in sides:
        shares[sides.index(None)] += left
    return shares


def _no_hand(num_others: int) -> BadFrame:
    others = "the hands found in the picture are those of its other rows"
    return BadFrame("no_hand", others if num_others else "no hand is found in the picture")
