"""Projection: does the truth in space fall on the truth in the picture, through the camera that was given."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from semihand.hand.axes import depth_signs
from semihand.hand.camera import intrinsics_matrix, project
from semihand.steps.checking.findings import Finding, Teller
from semihand.steps.checking.truth import Truth, slips_or_error

_LEAST_PX = 3.0
_SHARE_OF_HAND = 0.05  # of the hand's span in the picture: half a finger's width
_SAME_SCALE = 0.02

Pixels = Float[np.ndarray, "rows 21 2"]


def find_projection(teller: Teller, joints_mm: Float[np.ndarray, "rows 21 3"], truth: Truth) -> list[Finding]:
    """Rows whose joints, once on the right axes, fall beside those in the picture.

    Only cameras that were measured are asked; an assumed one is off by its nature.
    """
    given = np.array([source == "given" for source in teller.table["intrinsics_source"].to_pylist()], bool)
    rows = np.flatnonzero(given & truth.in_picture & (depth_signs(joints_mm) > 0))
    if not len(rows):
        return []
    seen_px, uv_px = projected(teller.table, joints_mm, rows), truth.uv_px[rows]
    off_px, limit_px = _median_px(seen_px - uv_px), _limit_px(uv_px)
    with np.errstate(invalid="ignore"):
        beside = off_px > limit_px
    wrong = np.zeros(len(joints_mm), bool)
    wrong[rows[beside]] = True
    if not beside.any():
        return []
    found = f"joints_mm project {np.median(off_px[beside]):.1f} px beside joints_uv_px (the median joint)"
    way_out = _explanation(seen_px[beside], uv_px[beside], limit_px[beside])
    return teller.tell(slips_or_error(wrong, len(rows)), "projection", wrong, (found, way_out), len(rows))


def projected(table: pa.Table, joints_mm: Float[np.ndarray, "all 21 3"], rows: Int[np.ndarray, " rows"]) -> Pixels:
    """Where these rows' own cameras, with the distortion of their lenses, see joints in mm."""
    K = intrinsics_matrix(*(table[name].to_numpy()[rows] for name in ("fx", "fy", "cx", "cy")))
    lenses = table["distortion"].to_pylist()
    numbers = np.array([len(lenses[row] or ()) for row in rows])
    seen_px: np.ndarray = np.full((len(rows), 21, 2), np.nan)
    for number in np.unique(numbers):
        same = np.flatnonzero(numbers == number)
        lens = np.array([lenses[rows[place]] for place in same]) if number else None
        seen_px[same] = project(joints_mm[rows[same]], K[same], lens)
    return seen_px


def _explanation(seen_px: Pixels, uv_px: Pixels, limit_px: Float[np.ndarray, " rows"]) -> str:
    """Whether a scale and a shift bring both together, as when the camera is of another resolution or crop."""
    both = np.isfinite(seen_px + uv_px)
    ours, theirs = (_centred(values, both) for values in (seen_px, uv_px))
    scales = (ours * theirs).sum((1, 2)) / np.maximum((ours**2).sum((1, 2)), 1e-9)
    scale = float(np.median(scales))
    left_px = _median_px(np.where(both, ours * scales[:, None, None] - theirs, np.nan))
    alike = np.median(np.abs(scales - scale)) <= _SAME_SCALE * abs(scale)
    if alike and np.mean(left_px <= limit_px) > 0.5:
        what = "shifted" if abs(scale - 1) <= _SAME_SCALE else f"scaled by {scale:.3g} and shifted"
        return f"they agree once {what}: give fx, fy, cx, cy of this picture, not of another resolution or crop"
    return "give the camera, distortion and joints of this picture, in the camera's own frame"


def _centred(values: Pixels, both: Bool[np.ndarray, "rows 21 2"]) -> Pixels:
    count = np.maximum(both.sum(1, keepdims=True), 1)
    mean = np.where(both, values, 0.0).sum(1, keepdims=True) / count
    return np.where(both, values - mean, 0.0)


def _median_px(offsets_px: Pixels) -> Float[np.ndarray, " rows"]:
    lengths = np.linalg.norm(offsets_px, axis=-1)
    some = np.isfinite(lengths).any(-1)
    median: np.ndarray = np.where(some, np.nanmedian(np.where(some[:, None], lengths, 0.0), axis=-1), np.nan)
    return median


def _limit_px(uv_px: Pixels) -> Float[np.ndarray, " rows"]:
    some = np.isfinite(uv_px).any((1, 2))[:, None, None]
    filled = np.where(some, uv_px, 0.0)
    span_px = (np.nanmax(filled, axis=1) - np.nanmin(filled, axis=1)).max(-1)
    limit: np.ndarray = np.maximum(_LEAST_PX, _SHARE_OF_HAND * span_px)
    return limit
