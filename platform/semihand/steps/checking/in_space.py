"""Joints in space: their order, unit and axes, which hand's they are, and whether they project onto the picture's.

Each test is made on joints that the tests before it have mended, so that one mistake is named once.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from semihand.hand.axes import axis_signs, depth_signs
from semihand.hand.chirality import DECIDED, side_score
from semihand.hand.proportions import UNITS, misfits, order_fits, same_orders, size_of, unit_of
from semihand.hand.skeleton import reorder_to_semihand
from semihand.steps.checking.findings import Finding, Teller
from semihand.steps.checking.projecting import find_projection
from semihand.steps.checking.truth import Truth, slips_or_error

OURS = "freihand"  # the order of that name is ours
_ROWS_FOR_ORDER = 2000
_LEAST_JOINTS = 20  # of a pose whose order is asked for: in another order other joints would be missing
_CLEARER = 0.02  # a better order is better by this much; over 20 hands off by 5 mm the right one wins by 0.045
_NO_HAND = 0.35  # misfit of a set in its best order; hands off by 10 mm have 0.1 to 0.2
_NO_POSE = 0.5  # misfit of one pose; hands off by 10 mm have up to 0.42
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


class _Ordered(NamedTuple):
    """All of the truth in our order."""

    truth: Truth
    findings: list[Finding]


def find_in_space(teller: Teller, truth: Truth) -> Mended:
    """Findings about joints_mm, and the joints as they should have been."""
    if not truth.in_space.any():
        return Mended(truth.joints_mm, [])
    truth, found = _in_order(teller, truth)
    if not truth.in_space.any():
        return Mended(truth.joints_mm, found)
    scaled = _in_millimetres(teller, truth.joints_mm, truth.in_space)
    turned = _in_axes(teller, scaled.joints_mm, truth)
    mirrored = _mirrored(teller, turned.joints_mm, truth)
    projected = find_projection(teller, turned.joints_mm, truth)
    return Mended(turned.joints_mm, [*found, *scaled.findings, *turned.findings, *mirrored, *projected])


def _in_order(teller: Teller, truth: Truth) -> _Ordered:
    """All joints in the order that fits best, in ours unless another is clearly better; none if they fit no order."""
    whole, num = np.isfinite(truth.joints_mm).all(-1).sum(-1) >= _LEAST_JOINTS, int(truth.in_space.sum())
    if not whole.any():
        return _Ordered(truth, [])
    rows = np.flatnonzero(whole)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ROWS_FOR_ORDER)).astype(int))]
    fits = order_fits(truth.joints_mm[some])
    ours = next(fit for fit in fits if fit.order == OURS)
    if fits[0].misfit + _CLEARER < ours.misfit and fits[0].misfit <= _NO_HAND:
        names = " or ".join(same_orders(fits[0].order))
        better = f"misfit {fits[0].misfit:.2f}, as they are {ours.misfit:.2f}"
        words = (f"bones are those of a hand if joints stand in the order of {names} ({better})",
                 f"reorder them: reorder_to_semihand(joints, {fits[0].order!r})")  # fmt: skip
        found = teller.tell("error", "joint_order", truth.in_space, words, num)
        return _Ordered(_reordered(truth, fits[0].order), found)
    if ours.misfit > _NO_HAND:
        words = (
            f"bones are no hand's in any order we know (misfit {ours.misfit:.2f})",
            "give wrist, thumb, index, middle, ring, little, each base to tip; nothing else can be told before",
        )
        found = teller.tell("error", "joint_order", truth.in_space, words, num)
        return _Ordered(replace(truth, joints_mm=np.full_like(truth.joints_mm, np.nan)), found)
    odd = whole & (np.nan_to_num(misfits(truth.joints_mm)) > _NO_POSE)
    words = ("bones of these poses have no hand's proportions", "look at them, and correct joints or leave them out")
    return _Ordered(truth, teller.tell(slips_or_error(odd, num), "proportions", odd, words, num))


def _reordered(truth: Truth, order: str) -> Truth:
    """Joints in space in our order; those in the picture, too, if then they lie more as these do."""
    joints_mm, uv_px = (reorder_to_semihand(values, order) for values in (truth.joints_mm, truth.uv_px))
    told = [np.abs(axis_signs(joints_mm, each)[:, :2]).sum() for each in (uv_px, truth.uv_px)]
    return replace(truth, joints_mm=joints_mm, uv_px=uv_px if told[0] >= told[1] else truth.uv_px)


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
    signs[depth_only, 1] = _upright_sign(joints_mm[depth_only], truth.is_left[depth_only])
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


def _upright_sign(joints_mm: Joints, is_left: Rows) -> float:
    """Whether y points up, too, where joints lie behind the camera and no picture tells: if that keeps the side."""
    scores = np.where(is_left, -1, 1) * side_score(joints_mm)
    return -1.0 if (scores > DECIDED).sum() >= (scores < -DECIDED).sum() else 1.0


def _mirrored(teller: Teller, joints_mm: Joints, truth: Truth) -> list[Finding]:
    """Hands whose fingers bend the way the other hand's do."""
    scores = np.where(truth.is_left, -1, 1) * side_score(joints_mm)
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
