"""The truth of a set as arrays, and everything that is asked of it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from semihand.steps.checking.findings import Finding, Severity, Teller
from semihand.tables import as_numpy

# One frame in fifty may be an annotator's slip; more are a mistake of whoever wrote the set.
SLIPS = 0.02


@dataclass(frozen=True)
class Truth:
    """What a set says of its hands, row by row; NaN where it does not.

    Attributes:
        joints_mm: as the set has them, in whatever unit, order and axes.
        uv_px: where it sees them.
        sizes_px: width and height of the pictures, 0 where they do not decode.
        is_left: the side it says.
        boxes_px: boxes that were given, NaN where they were drawn from the joints.
    """

    joints_mm: Float[np.ndarray, "rows 21 3"]
    uv_px: Float[np.ndarray, "rows 21 2"]
    sizes_px: Int[np.ndarray, "rows 2"]
    is_left: Bool[np.ndarray, " rows"]
    boxes_px: Float[np.ndarray, "rows 4"]

    @property
    def in_space(self) -> Bool[np.ndarray, " rows"]:
        """Rows with any joint in space."""
        known: np.ndarray = np.isfinite(self.joints_mm).all(-1).any(-1)
        return known

    @property
    def in_picture(self) -> Bool[np.ndarray, " rows"]:
        """Rows with any joint in the picture."""
        known: np.ndarray = np.isfinite(self.uv_px).all(-1).any(-1)
        return known


def truth_of(rows: pa.Table, sizes_px: Int[np.ndarray, "rows 2"]) -> Truth:
    """The truth of these rows of FRAMES."""
    num = rows.num_rows
    valid = _array(rows, "joints_valid", (num, 21), 1.0) > 0
    shapes = {"joints_mm": (num, 21, 3), "joints_uv_px": (num, 21, 2)}
    joints_mm, uv_px = (
        np.where(valid[..., None], _array(rows, name, shape, np.nan), np.nan) for name, shape in shapes.items()
    )
    drawn = np.array([source == "truth" for source in rows["box_source"].to_pylist()], bool)
    boxes_px = np.where(drawn[:, None], np.nan, _array(rows, "bbox_px", (num, 4), np.nan))
    is_left = np.array([hand == "left" for hand in rows["hand"].to_pylist()], bool)
    return Truth(joints_mm, uv_px, sizes_px, is_left, boxes_px)


def slips_or_error(wrong: Bool[np.ndarray, " rows"], num_checked: int) -> Severity:
    """A few frames are a warning, more an error."""
    return "error" if wrong.sum() > SLIPS * num_checked else "warning"


def no_truth(teller: Teller, truth: Truth) -> list[Finding]:
    """Said of a set without any truth, of which nothing but the pictures can be checked."""
    nothing = ~(truth.in_space | truth.in_picture)
    if not nothing.all():
        return []
    words = ("no truth in any frame: units, joint order, sides and camera cannot be checked",
             "if it has some, give joints and say so by supervision 2d, 3d or mano")  # fmt: skip
    return teller.tell("note", "no_truth", nothing, words, len(nothing))


def _array(rows: pa.Table, name: str, shape: tuple[int, ...], missing: float) -> Float[np.ndarray, "..."]:
    if rows[name].null_count == len(rows[name]):
        return np.full(shape, missing)
    return as_numpy(rows[name], missing).astype(np.float64)
