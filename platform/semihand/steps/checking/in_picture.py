"""Joints in the picture: are they inside it, in pixels, and in their box."""

import numpy as np
from jaxtyping import Bool

from semihand.steps.checking.findings import Finding, Severity, Teller
from semihand.steps.checking.truth import Truth

# Pixels of a hand span dozens; what lies within this of the origin is a share of the picture.
_NORMALISED = 2.0
_OFTEN = 0.1  # so many frames with joints beyond the border are worth a look


def find_in_picture(teller: Teller, truth: Truth) -> list[Finding]:
    """Findings about joints_uv_px, pictures and boxes."""
    checked = truth.in_picture & (truth.sizes_px[:, 0] > 0)
    num = int(checked.sum())
    if not num:
        return []
    known = np.isfinite(truth.uv_px).all(-1)
    with np.errstate(invalid="ignore"):
        out = known & ((truth.uv_px < -0.5) | (truth.uv_px > truth.sizes_px[:, None] - 0.5)).any(-1)
        near_origin = (~known | (np.abs(truth.uv_px) <= _NORMALISED).all(-1)).all(-1)
    normalised = checked & near_origin
    all_out = checked & ~normalised & (out | ~known).all(-1)
    some_out = checked & ~normalised & ~all_out & out.any(-1)
    severity: Severity = "warning" if some_out.sum() > _OFTEN * num else "note"
    return [
        *teller.tell("error", "normalised_joints", normalised,
                     ("joints_uv_px look like shares of the picture", "multiply them by its width and height"), num),
        *teller.tell("error", "hand_outside", all_out,
                     ("no joint lies in the picture", "give joints_uv_px in px of this picture, upright: is it "
                      "another picture's annotation, or of another resolution?"), num),
        *teller.tell(severity, "joints_outside", some_out,
                     (f"{_mean_share(out, some_out):.0%} of their joints lie outside the picture",
                      "if the hand is not cut off there, the joints are of another resolution or crop"), num),
        *_beside_box(teller, truth, checked & ~normalised & ~all_out),
    ]  # fmt: skip


def _mean_share(out: Bool[np.ndarray, "rows 21"], rows: Bool[np.ndarray, " rows"]) -> float:
    return float(out[rows].mean()) if rows.any() else 0.0


def _beside_box(teller: Teller, truth: Truth, checked: Bool[np.ndarray, " rows"]) -> list[Finding]:
    """Crops are cut by the box: with most joints beside it, the crop shows something else."""
    checked = checked & np.isfinite(truth.boxes_px).all(-1)
    low, size = truth.boxes_px[:, None, :2], truth.boxes_px[:, None, 2:]
    with np.errstate(invalid="ignore"):
        inside = ((truth.uv_px >= low - 0.5) & (truth.uv_px <= low + size + 0.5)).all(-1)
    known = np.isfinite(truth.uv_px).all(-1)
    beside = checked & (inside.sum(-1) < known.sum(-1) / 2)
    words = ("most joints lie beside bbox_px", "give x, y, width and height (not two corners) in px of the picture")
    return teller.tell("warning", "box", beside, words, int(checked.sum()))
