"""Fit hand models to labels: a shape for each subject's left and right hand, a pose for each label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from semihand.frames.errors import InputError
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.hand.mano import HandModel, Side, mirrored, read_hand_model
from semihand.hand.mano_fit import HandFits, fit_hands


def fit_labels(
    joints_mm: Float[np.ndarray, "labels 21 3"],
    hands: Sequence[Side],
    subjects: Sequence[str | None],
    models: Mapping[Side, HandModel],
    device: str,
) -> HandFits:
    """The fits of labels, row for row.

    Args:
        joints_mm: camera frame.
        hands: the side of every label.
        subjects: whose hand it is; labels that name nobody are taken for one person's, as labelling does.
        models: a hand for each side that there is.
        device: where to search.
    """
    fits = HandFits(*(np.zeros((len(hands), *shape)) for shape in ((48,), (10,), (3,), (21, 3), ())))
    sides, names = np.array(hands), np.array([subject or "" for subject in subjects])
    for side, model in models.items():
        rows = np.flatnonzero(sides == side)
        _, person = np.unique(names[rows], return_inverse=True)
        for whole, part in zip(fits, fit_hands(joints_mm[rows], person, model, device), strict=True):
            whole[rows] = part
    return fits


def hand_models(paths: Sequence[Path]) -> dict[Side, HandModel]:
    """A model for each side: the user's own, the mirror image of the one that was given, or the hand made by code.

    Raises:
        InputError: a file cannot be read, or two are of one side.
    """
    models: dict[Side, HandModel] = {}
    for path in paths:
        try:
            model = read_hand_model(path)
        except ValueError as error:
            raise InputError(f"--mano {path}: {error}") from error
        if model.side in models:
            raise InputError(f"--mano {path}: a {model.side} hand, as the one before it; give one of each side")
        models[model.side] = model
    if not models:
        models["right"] = build_generic_hand()
    for side in ("right", "left"):
        if side not in models:
            models[side] = mirrored(next(iter(models.values())))
    return models
