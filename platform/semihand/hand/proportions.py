"""Proportions: what an adult's bones measure, and what they tell of a pose: its unit and the order of its joints."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from semihand.hand.skeleton import JOINT_ORDERS, NUM_JOINTS, PARENTS, reorder_to_semihand

#: An adult's bones, thumb to little, each base to tip (Buryanov & Kotiuk, Proportions of hand segments, Int. J.
#: Morphol. 28(3), 2010, with soft tissue at the tips and 27 mm of carpus); those of the generic hand.
ADULT_LENGTHS_MM = np.array(
    [[29.7, 46.2, 31.6, 27.3], [95.0, 39.8, 22.4, 19.7], [91.6, 44.6, 26.3, 21.4], [85.0, 41.4, 25.7, 21.3],
     [80.8, 32.7, 18.1, 19.7]]
).ravel()  # fmt: skip
#: What each unit has to be multiplied by to give millimetres.
UNITS = {"millimetres": 1.0, "centimetres": 10.0, "metres": 1000.0, "micrometres": 0.001}
#: A toddler's hand is half as long as an adult's; the largest hands measured are a third longer than the mean.
SIZES = (0.4, 1.7)

# Beside the bones, what tells a finger from its neighbour: the palm's width, and the thumb on the index finger's side.
_ACROSS = np.array([(2, 5), (2, 17), (5, 9), (9, 13), (13, 17)])
_ACROSS_MM = np.array([52.5, 86.0, 21.6, 20.8, 19.2])  # as adults hold them; the palm's do not move
_BONES = np.stack([np.array(PARENTS[1:]), np.arange(1, NUM_JOINTS)], axis=-1)
_PAIRS = np.concatenate([_BONES, _ACROSS])
_PAIRS_MM = np.concatenate([ADULT_LENGTHS_MM, _ACROSS_MM])


class OrderFit(NamedTuple):
    """How well the joints of a set are a hand's in an order.

    Attributes:
        order: a key of `JOINT_ORDERS`.
        misfit: mean deviation of the log distances between joints from an adult's; 0.05 to 0.2 for hands.
    """

    order: str
    misfit: float


def size_of(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch"]:
    """The median ratio of a pose's bones to an adult's: 1 for an adult in millimetres, in our order; any frame.

    NaN where less than half of the bones are known.
    """
    ratios = _distances(joints_mm, _BONES) / ADULT_LENGTHS_MM
    enough = np.isfinite(ratios).mean(-1) >= 0.5
    size: np.ndarray = np.where(enough, _middle(ratios)[..., 0], np.nan)
    return size


def unit_of(size: float) -> str | None:
    """The unit of poses of this `size_of`; None where it is no hand's in any unit."""
    fitting = (name for name, factor in UNITS.items() if SIZES[0] <= size * factor <= SIZES[1])
    return next(fitting, None)


def order_fits(joints_mm: Float[np.ndarray, "batch 21 3"]) -> list[OrderFit]:
    """Every known order with its misfit, the best first; `freihand` stands for all that list joints as we do.

    Poses are taken out by the median over the rows, sizes and units by the median over the distances.

    Args:
        joints_mm: poses that are all in one order, any frame and unit; NaN where not known.
    """
    fits = [OrderFit(name, _misfit(reorder_to_semihand(joints_mm, name))) for name in _orders()]
    return sorted(fits, key=lambda fit: np.inf if np.isnan(fit.misfit) else fit.misfit)


def misfits(joints_mm: Float[np.ndarray, "batch 21 3"]) -> Float[np.ndarray, " batch"]:
    """How far each pose by itself is from a hand in our order; up to 0.3 with joints off by 5 mm; NaN: not known."""
    logs = _centred_logs(joints_mm)
    known = np.isfinite(logs)
    total = np.where(known, np.abs(logs), 0.0).sum(-1)
    mean: np.ndarray = np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan)
    return mean


def same_orders(name: str) -> list[str]:
    """All names under which the order stands in `JOINT_ORDERS`."""
    index = JOINT_ORDERS[name].source_index
    return [other for other, order in JOINT_ORDERS.items() if order.is_complete and order.source_index == index]


@lru_cache(maxsize=1)
def _orders() -> tuple[str, ...]:
    """Complete orders, each once."""
    distinct: dict[tuple[int, ...], str] = {}
    for name, order in JOINT_ORDERS.items():
        if order.is_complete:
            distinct.setdefault(order.source_index, name)
    return tuple(distinct.values())


def _misfit(joints_mm: np.ndarray) -> float:
    pooled = _middle(np.moveaxis(_centred_logs(joints_mm), 0, -1))[..., 0]
    known = np.isfinite(pooled)
    return float(np.abs(pooled[known]).mean()) if known.any() else float("nan")


def _centred_logs(joints_mm: np.ndarray) -> np.ndarray:
    """Log ratios of the distances to an adult's, their median taken out."""
    with np.errstate(divide="ignore"):
        logs = np.log(_distances(joints_mm, _PAIRS) / _PAIRS_MM)
    logs[np.isneginf(logs)] = np.log(1e-6)  # joints that coincide: as unlike a hand as it gets
    centred: np.ndarray = logs - _middle(logs)
    return centred


def _distances(joints_mm: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    near, far = joints_mm[..., pairs[:, 0], :], joints_mm[..., pairs[:, 1], :]
    distances: np.ndarray = np.linalg.norm(far.astype(np.float64) - near, axis=-1)
    return distances


def _middle(values: np.ndarray) -> np.ndarray:
    """The median of what is known along the last axis, kept as an axis; NaN where nothing is."""
    some = np.isfinite(values).any(-1, keepdims=True)
    middle: np.ndarray = np.where(some, np.nanmedian(np.where(some, values, 0.0), axis=-1, keepdims=True), np.nan)
    return middle
