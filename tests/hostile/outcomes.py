"""What became of inputs on the real reading path: listing, then reading for labelling."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.frames.listing import Listing, list_frames
from semihand.frames.options import ListOptions
from semihand.hand.mano import HandModel, read_hand_model
from semihand.reasons import QUARANTINE_REASONS
from semihand.steps.cropping import read_crops

#: as they are by default, but that a decoder may hang for 5 s
LIMITS = Limits(max_item_s=5.0, max_file_s=30.0)
CROP_PX, MARGIN = 64, 1.2


@dataclass
class Outcome:
    """Counts of rows and inputs, and what was lost."""

    num_inputs: int = 0
    num_read: int = 0
    num_refused: int = 0  # inputs that were refused as a whole, in one line
    reasons: Counter[str] = field(default_factory=Counter)  # of rows in quarantine
    lost: list[str] = field(default_factory=list)

    def __iadd__(self, other: "Outcome") -> "Outcome":
        self.num_inputs += other.num_inputs
        self.num_read += other.num_read
        self.num_refused += other.num_refused
        self.reasons += other.reasons
        self.lost += other.lost
        return self


def read_path(path: str | Path, options: ListOptions, expected: Callable[[], int] | int) -> tuple[Outcome, Listing]:
    """List a path and read every frame of it; rows in must be crops and reasons out.

    Args:
        path: what `--frames` would be given.
        options: with the limits.
        expected: how many rows there are, asked once it has been listed.

    Raises:
        InputError: it is refused as a whole.
    """
    listing = list_frames(path, options)
    found = Outcome()
    frames, quarantine = listing.frames, listing.quarantine
    num = expected() if callable(expected) else expected
    if frames.num_rows + quarantine.num_rows != num:
        found.lost.append(f"{path}: {num} rows in, {frames.num_rows} + {quarantine.num_rows} listed")
    names = frames["frame_id"].to_pylist() + quarantine["frame_id"].to_pylist()
    if len(set(names)) != len(names):
        found.lost.append(f"{path}: frames share an id")
    read = read_crops(frames, CROP_PX, MARGIN, options.limits)
    rows = sorted([*read.rows, *(row for row, _ in read.failures)])
    if rows != list(range(frames.num_rows)) or len(read.pictures) != len(read.rows):
        found.lost.append(f"{path}: {frames.num_rows} frames listed, {len(read.rows)} + {len(read.failures)} read")
    found.num_read = len(read.rows)
    found.reasons.update(quarantine["reason"].to_pylist())
    found.reasons.update(problem.reason for _, problem in read.failures)
    if unknown := set(found.reasons) - set(QUARANTINE_REASONS):
        found.lost.append(f"{path}: reasons {unknown}")
    return found, listing


def counted(num_inputs: int, act: Callable[[], Outcome]) -> Outcome:
    """What became of so many inputs, all refused where the path is refused as a whole."""
    try:
        found = act()
    except InputError as error:
        found = Outcome(num_refused=num_inputs)
        if not str(error) or "\n" in str(error):
            found.lost.append(f"not one line: {str(error)[:200]!r}")
    found.num_inputs = num_inputs
    return found


def read_model(path: Path) -> Outcome:
    """Read a hand model; a model, or a refusal."""
    try:
        model = read_hand_model(path)
    except ValueError:
        return Outcome(num_inputs=1, num_refused=1)
    found = Outcome(num_inputs=1, num_read=1)
    if not is_sound(model):
        found.lost.append(f"{path}: a model that is none")
    return found


def is_sound(model: HandModel) -> bool:
    """Whether a model's numbers are finite and its faces name its vertices."""
    numbers = (model.v_template, model.shapedirs, model.posedirs, model.weights, model.J_regressor, model.hands_mean)
    return all(np.isfinite(part).all() for part in numbers) and int(model.faces.max()) < len(model.v_template)
