"""Joints in space: their order, unit and axes, which hand's they are, and whether they project onto the picture's.

Each test is made on joints that the tests before it have mended, so that one mistake is named once.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from semihand.hand.axes import axis_signs, depth_signs
from semihand.hand.chirality import DECIDED, side_score
from semihand.hand.proportions import UNITS, size_of, unit_of
from semihand.steps.checking.findings import Finding, Teller
from semihand.steps.checking.ordering import find_order
from semihand.steps.checking.projecting import find_projection
from semihand.steps.checking.truth import Truth, slips_or_error

_AXES = "xyz"
_KNOWN_AXES: dict[tuple[int, ...], str] = {
    (1, -1, -1): "y points up and z backwards, as in OpenGL and HO-3D",
    (1, 1, -1): "z points backwards",
    (1, -1, 1): "y points up",
    (-1, 1, 1): "x points to the left",
    (-1, -1, 1): "the camera stands on its head",
}

Joints = Float[np.ndarray, "rows 21 3"]
Rows = Bool[np.ndarray, " rows"]


class Mended(NamedTuple):
    """Joints in our order, millimetres and axes, as far as the tests could tell; and what they found."""

    joints_mm: Joints
    findings: list[Finding]


def find_in_space(teller: Teller, truth: Truth) -> Mended:
    """Findings about joints_mm, and the joints as they should have been."""
    if not truth.in_space.any():
        return Mended(truth.joints_mm, [])
    truth, found = find_order(teller, truth)
    if not truth.in_space.any():
        return Mended(truth.joints_mm, found)
    scaled = _in_millimetres(teller, truth.joints_mm, truth.in_space)
    turned = _in_axes(teller, scaled.joints_mm, truth)
    mirrored = _mirrored(teller, turned.joints_mm, truth)
    projected = find_projection(teller, turned.joints_mm, truth)
    return Mended(turned.joints_mm, [*found, *scaled.findings, *turned.findings, *mirrored, *projected])


def _in_millimetres(teller: Teller, joints_mm: Joints, checked: Rows) -> Mended:
    """All joints in millimetres, each pose by its own unit."""
    sizes = size_of(joints_mm)
    units = [unit_of(size) if np.isfinite(size) else "millimetres" for size in sizes]
    factors = np.array([1.0 if unit is None else UNITS[unit] for unit in units])
    num, findings = int(checked.sum()), []
    for unit, factor in UNITS.items():
        wrong = checked & np.array([each == unit for each in units]) & (factor != 1)
        if wrong.any():
            words = (f"bones are {np.median(sizes[wrong]):.3g} times an adult's: joints_mm are in {unit}",
                     f"multiply them by {factor:g}")  # fmt: skip
            findings += teller.tell("error", "units", wrong, words, num)
    lost = checked & np.array([unit is None for unit in units])
    if lost.any():
        size = np.median(sizes[lost])
        words = (f"bones are {size:.3g} times an adult's, which is no hand's in mm, cm or m",
                 f"give millimetres; were they {1 / size:.3g} times as long, they were an adult's")  # fmt: skip
        findings += teller.tell("error", "units", lost, words, num)
    return Mended(joints_mm * factors[:, None, None], findings)


def _in_axes(teller: Teller, joints_mm: Joints, truth: Truth) -> Mended:
    """All joints on axes x right, y down, z forward, each pose by its own."""
    signs, num = axis_signs(joints_mm, truth.uv_px), int(truth.in_space.sum())
    depth_only = truth.in_space & ~truth.in_picture & (signs[:, 2] < 0)
    signs[depth_only, 1] = _upright_sign(_side_scores(teller, joints_mm, truth)[depth_only])
    about = truth.in_space & (depth_signs(joints_mm) == 0)
    words = ("joints lie on both sides of the camera: they are relative to a root, not to the camera",
             "add the root's place in the camera's frame")  # fmt: skip
    findings = teller.tell("error", "root_relative", about, words, num)
    factors = np.where(signs == 0, 1.0, signs)
    for vector in np.unique(factors[truth.in_space & (factors < 0).any(-1)], axis=0):
        wrong = truth.in_space & (factors == vector).all(-1)
        turned = [axis for axis, sign in zip(_AXES, vector, strict=True) if sign < 0]
        meaning = _KNOWN_AXES.get(tuple(int(sign) for sign in vector), f"{' and '.join(turned)} point the other way")
        words = (f"{meaning}; the camera's frame is x right, y down, z forward", f"negate {' and '.join(turned)}")
        findings += teller.tell(slips_or_error(wrong, num), "camera_sign", wrong, words, num)
    return Mended(joints_mm * factors[:, None], findings)


def _side_scores(teller: Teller, joints_mm: Joints, truth: Truth) -> Float[np.ndarray, " rows"]:
    """How much hands look like the ones they are said to be, below zero like the others; NaN where nothing is said."""
    scores = np.where(truth.is_left, -1, 1) * side_score(joints_mm)
    known: np.ndarray = np.where(teller.table["hand"].is_valid().to_numpy(), scores, np.nan)
    return known


def _upright_sign(scores: Float[np.ndarray, " rows"]) -> float:
    """Whether y points up, too, where joints lie behind the camera and no picture tells: if that keeps the side."""
    return -1.0 if (scores > DECIDED).sum() >= (scores < -DECIDED).sum() else 1.0


def _mirrored(teller: Teller, joints_mm: Joints, truth: Truth) -> list[Finding]:
    """Hands whose fingers bend the way the other hand's do."""
    scores = _side_scores(teller, joints_mm, truth)
    with np.errstate(invalid="ignore"):
        wrong, decided = scores < -DECIDED, np.abs(scores) > DECIDED
    num = int(decided.sum())
    if not wrong.any():
        return []
    said = "left" if truth.is_left[wrong].mean() > 0.5 else "right"
    other = "right" if said == "left" else "left"
    words = (f"fingers bend and thumbs stand as on the other hand: most are said to be {said} and are {other}",
             "correct `hand`, or undo the mirroring of joints and pictures")  # fmt: skip
    return teller.tell(slips_or_error(wrong, num), "mirrored", wrong, words, num)
