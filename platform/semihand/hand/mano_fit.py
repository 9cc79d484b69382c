"""A hand model fitted to joints: pose and place of every hand, one shape for all hands of a person."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from semihand.hand.hand_search import HandSearch
from semihand.hand.mano import SEMIHAND_FROM_MANO, HandModel, mirrored

_HANDS_AT_ONCE = 1024  # 30 MB of derivatives
_SHAPE_HANDS = 64  # more of them hardly change a person's shape


class HandFits(NamedTuple):
    """Parameters of smplx's MANO layer, zeros the flat hand, and how far its joints are from those given.

    Attributes:
        pose: axis-angle about the wrist, then of the 15 finger joints in MANO's order; the mean pose in it.
        shape: coefficients; the same for all hands of a person.
        translation_mm: added after everything else, frame of the joints.
        joints_mm: the model's 21 joints in semihand's order.
        residual_mm: mean distance of these from the joints given.
    """

    pose: Float[np.ndarray, "hands 48"]
    shape: Float[np.ndarray, "hands 10"]
    translation_mm: Float[np.ndarray, "hands 3"]
    joints_mm: Float[np.ndarray, "hands 21 3"]
    residual_mm: Float[np.ndarray, " hands"]


def fit_hands(
    joints_mm: Float[np.ndarray, "hands 21 3"],
    person: Int[np.ndarray, " hands"],
    model: HandModel,
    device: str = "cpu",
) -> HandFits:
    """Fit a hand model to joints by least squares, angles softly inside their limits.

    A person's shape is found from at most 64 of its hands, evenly over the rows; then every hand is fitted with it by
    itself, so that it does not depend on its neighbours.

    Args:
        joints_mm: joints of hands of the model's side, any right-handed frame.
        person: a number from 0 for each hand; hands of one number share a shape.
        model: the hand.
        device: where to search.

    Raises:
        ValueError: a joint is not finite.
    """
    finite = np.isfinite(joints_mm).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(f"joints_mm[{int(np.argmin(finite))}] is not finite; leave out hands with unknown joints")
    right = model if model.side == "right" else mirrored(model)
    mirror = np.array([1.0 if model.side == "right" else -1.0, 1.0, 1.0])
    centre_mm = joints_mm.mean(axis=1, keepdims=True)
    targets = np.empty((len(person), 21, 3), np.float32)
    targets[:, SEMIHAND_FROM_MANO] = (joints_mm - centre_mm) * mirror
    search, known = HandSearch(right, device), torch.from_numpy(targets).to(device)
    shapes = _shapes(search, known, person)
    parts = [_fitted(search, known[start : start + _HANDS_AT_ONCE], shapes[person[start : start + _HANDS_AT_ONCE]])
             for start in range(0, len(person), _HANDS_AT_ONCE)]  # fmt: skip
    rotvec, place, points = (
        np.concatenate([np.zeros((0, *size)), *(part[index].cpu().numpy() for part in parts)])
        for index, size in enumerate(((16, 3), (3,), (21, 3)))
    )
    fitted = points[:, SEMIHAND_FROM_MANO] * mirror + centre_mm
    return HandFits(
        (_shortest(rotvec) * [1.0, mirror[0], mirror[0]]).reshape(-1, 48),
        shapes.cpu().numpy().astype(np.float64)[person],
        place * mirror + centre_mm[:, 0],
        fitted,
        np.linalg.norm(fitted - joints_mm, axis=-1).mean(-1),
    )


def _fitted(
    search: HandSearch, targets: Float32[torch.Tensor, "B 21 3"], shapes: Float32[torch.Tensor, "B 10"]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Angles, place and joints of hands of known shapes."""
    each = torch.arange(len(targets), device=targets.device)
    hands = search.run(search.start(targets, shapes, each), targets, free_shape=False)
    return hands.rotvec, hands.place, search.posed(hands)


def _shapes(
    search: HandSearch, targets: Float32[torch.Tensor, "B 21 3"], person: Int[np.ndarray, " B"]
) -> Float32[torch.Tensor, "persons 10"]:
    """Every person's shape, from some of its hands."""
    num = int(person.max(initial=-1)) + 1
    shapes = torch.zeros(num, 10, device=targets.device)
    order = np.argsort(person, kind="stable")
    own = np.split(order, np.searchsorted(person[order], np.arange(1, num)))[:num]
    few = [rows[np.linspace(0, len(rows) - 1, min(len(rows), _SHAPE_HANDS)).astype(int)] for rows in own]
    batch = np.cumsum([len(rows) for rows in few]) // _HANDS_AT_ONCE
    for number in np.unique(batch):
        who = np.flatnonzero(batch == number)
        rows = np.concatenate([few[one] for one in who])
        group = np.repeat(np.arange(len(who)), [len(few[one]) for one in who])
        start = search.start(targets[rows], shapes[who], torch.from_numpy(group).to(targets.device))
        shapes[who] = search.run(start, targets[rows], free_shape=True).shape
    return shapes


def _shortest(rotvec: Float[np.ndarray, "B 16 3"]) -> Float[np.ndarray, "B 16 3"]:
    """The same rotations by half a turn at most."""
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    shortest: np.ndarray = rotvec * (1 - 2 * np.pi * np.round(angle / (2 * np.pi)) / angle.clip(min=1e-9))
    return shortest
