"""Joint order: whether the joints of a set stand in ours, in another one that we know, or make no hand in any."""

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from semihand.hand.axes import axis_signs
from semihand.hand.proportions import OrderFit, misfits, order_fits, same_orders
from semihand.hand.skeleton import reorder_to_semihand
from semihand.steps.checking.findings import Finding, Teller
from semihand.steps.checking.truth import Truth, slips_or_error

OURS = "freihand"  # the order of that name is ours
_ROWS_FOR_ORDER = 2000
_LEAST_JOINTS = 20  # of a pose whose order is asked for: in another order other joints would be missing
# Misfits of sets in the best order: 20 hands off by 10 mm have up to 0.25, one off by 5 mm up to 0.3. Labels of models
# that hardly learned have 0.31 to 0.43 in ours, which theirs is, and sometimes less in another.
_NO_HAND = 0.3
_ANOTHER = 0.27  # in another order that is told
_CLEARER = 0.05  # so much better than ours; over 20 hands off by 10 mm the right order wins by 0.08
_MIXED_UP = 0.45  # in ours; 19 of 20 sets of hands have more whose joints stand in any order at all
_NO_POSE = 0.5  # misfit of one pose; hands off by 10 mm have up to 0.42

Kind = Literal["ours", "another", "implausible", "mixed up"]


class Verdict(NamedTuple):
    """What is held of a set's order, the order that fits best, and how ours does."""

    kind: Kind
    best: OrderFit
    ours: OrderFit


class Ordered(NamedTuple):
    """All of the truth in our order."""

    truth: Truth
    findings: list[Finding]


def judge_order(joints_mm: Float[np.ndarray, "rows 21 3"]) -> Verdict:
    """Which order poses of one set are in: another one only where that makes them hands, and clearly better ones."""
    fits = order_fits(joints_mm)
    best, ours = fits[0], next(fit for fit in fits if fit.order == OURS)
    if best.misfit + _CLEARER < ours.misfit and best.misfit <= _ANOTHER:
        return Verdict("another", best, ours)
    if ours.misfit <= _NO_HAND:
        return Verdict("ours", best, ours)
    return Verdict("mixed up" if ours.misfit > _MIXED_UP else "implausible", best, ours)


def find_order(teller: Teller, truth: Truth) -> Ordered:
    """All joints in the order that they are judged to be in; none where they are no hands."""
    whole, num = np.isfinite(truth.joints_mm).all(-1).sum(-1) >= _LEAST_JOINTS, int(truth.in_space.sum())
    if not whole.any():
        return Ordered(truth, [])
    rows = np.flatnonzero(whole)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ROWS_FOR_ORDER)).astype(int))]
    kind, best, ours = judge_order(truth.joints_mm[some])
    if kind == "another":
        names = " or ".join(same_orders(best.order))
        better = f"misfit {best.misfit:.2f}, as they are {ours.misfit:.2f}"
        words = (f"bones are those of a hand if joints stand in the order of {names} ({better})",
                 f"reorder them: reorder_to_semihand(joints, {best.order!r})")  # fmt: skip
        return Ordered(_reordered(truth, best.order), teller.tell("error", "joint_order", truth.in_space, words, num))
    if kind == "ours":
        odd = whole & (np.nan_to_num(misfits(truth.joints_mm)) > _NO_POSE)
        words = ("bones of these poses have no hand's proportions",
                 "look at them, and correct joints or leave them out")  # fmt: skip
        return Ordered(truth, teller.tell(slips_or_error(odd, num), "proportions", odd, words, num))
    nothing = replace(truth, joints_mm=np.full_like(truth.joints_mm, np.nan))
    return Ordered(nothing, _no_hands(teller, truth, kind, ours))


def _no_hands(teller: Teller, truth: Truth, kind: Kind, ours: OrderFit) -> list[Finding]:
    """Said of poses that are no hands: in a wrong order, if they are as unlike one as joints at random."""
    num, misfit = int(truth.in_space.sum()), f"misfit {ours.misfit:.2f}, of hands below {_NO_HAND:g}"
    if kind == "mixed up":
        words = (f"bones are no hand's in any order we know ({misfit})",
                 "give wrist, thumb, index, middle, ring, little, each base to tip, or joints that somebody checked; "
                 "nothing else can be told before")  # fmt: skip
        return teller.tell("error", "joint_order", truth.in_space, words, num)
    words = (
        f"skeletons are hardly a hand's and no other order mends them ({misfit}), as labels are of a model that has "
        "learned little, or a few noisy joints",
        "look at them, and train the model longer or correct the joints; nothing else can be told before",
    )
    return teller.tell("warning", "proportions", truth.in_space, words, num)


def _reordered(truth: Truth, order: str) -> Truth:
    """Joints in space in our order; those in the picture, too, if then they lie more as these do."""
    joints_mm, uv_px = (reorder_to_semihand(values, order) for values in (truth.joints_mm, truth.uv_px))
    told = [np.abs(axis_signs(joints_mm, each)[:, :2]).sum() for each in (uv_px, truth.uv_px)]
    return replace(truth, joints_mm=joints_mm, uv_px=uv_px if told[0] >= told[1] else truth.uv_px)
