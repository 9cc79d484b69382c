"""What a caller may say about frames that do not say it themselves."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt, model_validator

from semihand.frames.limits import STANDARD, Limits

Hand = Literal["left", "right"]
Box = tuple[float, float, PositiveFloat, PositiveFloat]
Intrinsics = tuple[PositiveFloat, PositiveFloat, float, float]

_OF_JOBS = ("hand", "box", "intrinsics", "subject_id", "frame_step", "limits")  # what users say on command lines


class ListOptions(BaseModel, frozen=True, extra="forbid"):
    """How frames are listed; each value fills a gap and never overrides what a manifest says."""

    dataset: Annotated[str, Field(min_length=1)] | None = None  # None: the name of the folder or file
    hand: Hand | None = None  # pictures do not say it, and a wrong guess would mirror every label
    box: Box | None = None  # x, y, width, height in px of the upright picture; None: all of it
    intrinsics: Intrinsics | None = None  # fx, fy, cx, cy in px; None: assumed, f = 1.2 x the longer side
    subject_id: str | None = None  # None: unknown, so bone lengths cannot be measured per person
    frame_step: PositiveInt = 1  # every n-th frame of a video; neighbours at 30 Hz differ little
    root: Path | None = None  # files outside it are refused; None: the manifest's or listed folder
    limits: Limits = STANDARD  # what a picture, video or manifest may take
    with_truth: bool = False  # labelled sets only: an unlabelled pool must never see its own truth
    find_box: bool = False  # leave a box that nothing says null, for a localiser to find
    find_hand: bool = False  # likewise the side
    any_size: bool = False  # take truth that is no hand's size, for a caller that says so itself

    @classmethod
    def said_by(cls, job: BaseModel) -> "ListOptions":
        """What the options of a job say that are called as ours are."""
        return cls(**{name: getattr(job, name) for name in _OF_JOBS if hasattr(job, name)})

    @model_validator(mode="after")
    def _numbers_are_finite(self) -> "ListOptions":
        for name, value in (("box", self.box), ("intrinsics", self.intrinsics)):
            if value is not None and not all(math.isfinite(number) for number in value):
                raise ValueError(f"{name} is {value}, but all its numbers must be finite")
        return self
