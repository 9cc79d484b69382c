"""What is known of a picture or video before its frames are read.

The decoding process says it, and is not taken at its word: every field is held to its type.
"""

from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from semihand.reasons import CONVERSIONS

_AS_DECLARED = ConfigDict(strict=True, extra="forbid")
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Key = Annotated[str, Field(pattern=r"^[^/\\]")]  # relative, or `semihand.tables.identity` takes it for no key


@dataclass(frozen=True, config=_AS_DECLARED)
class VideoIndex:
    """What is known of a video without decoding it, except its first frame.

    Attributes:
        width: of the upright picture, px; `height` likewise.
        quarter_turns: counter-clockwise turns that set the stored picture upright.
        times: presentation times in units of `time_base`, ascending; () where the container gives no
            usable ones, and frames are counted by decoding.
        keyframe_times: the times among them at which decoding may start.
        conversions: what brings its pictures to upright 8-bit RGB, of `semihand.reasons.CONVERSIONS`.
    """

    path: Path
    width: int
    height: int
    quarter_turns: int
    num_frames: int
    times: tuple[int, ...]
    keyframe_times: tuple[int, ...]
    time_base: Fraction
    conversions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_all_times_or_none(self) -> "VideoIndex":
        if len(self.times) not in (0, self.num_frames):
            raise ValueError(f"{len(self.times)} times of {self.num_frames} frames")
        return self

    def timestamp_s(self, number: int) -> float | None:
        """Presentation time of a frame in seconds, None where the container gives none."""
        return float(self.times[number] * self.time_base) if self.times else None


@dataclass(frozen=True, config=_AS_DECLARED)
class Medium:
    """A picture or video that was found.

    Attributes:
        path: its real path, None where the bytes lie in the row.
        key: its path relative to the data set's folder, or its content where it has no path.
        width: of the upright picture, px; `height` likewise.
        conversions: what brings it to upright 8-bit RGB, of `semihand.reasons.CONVERSIONS`.
        video: None for a picture.
    """

    path: str | None
    key: _Key
    content_sha256: _Digest
    width: int
    height: int
    conversions: tuple[str, ...]
    video: VideoIndex | None = None

    @model_validator(mode="after")
    def _names_known_conversions(self) -> "Medium":
        if not CONVERSIONS.keys() >= {*self.conversions}:
            raise ValueError(f"conversions {self.conversions} are not all of {', '.join(CONVERSIONS)}")
        return self
