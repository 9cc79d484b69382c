"""MANO parameters of data sets: brought to FRAMES' convention by the licensed model that the user has."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import smplx
import torch
from jaxtyping import Float

from semihand.frames.errors import InputError
from semihand.hand.mano import HandModel, Side, hand_layer, pose_hand, read_hand_model


@lru_cache(maxsize=2)
def mano_model(path: Path) -> HandModel:
    """A user's MANO file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return read_hand_model(path)
    except ValueError as error:
        raise InputError(f"mano={path}: {error}") from error


def mano_of_side(path: Path, side: Side) -> HandModel:
    """A user's MANO file, which must be of this hand.

    Raises:
        InputError: it cannot be read, or is of the other hand.
    """
    model = mano_model(path)
    if model.side != side:
        raise InputError(f"mano file {path} is of the {model.side} hand, the {side} one is needed; give MANO's other")
    return model


def with_mean(pose: Float[np.ndarray, " 48"], model: HandModel) -> Float[np.ndarray, " 48"]:
    """Angles that were given without the mean pose, with it."""
    return np.concatenate([pose[:3], pose[3:] + model.hands_mean])


def posed_joints_mm(
    pose: Float[np.ndarray, " 48"], shape: Float[np.ndarray, " 10"], path: Path
) -> Float[np.ndarray, "21 3"]:
    """The joints of a pose, the mean pose in it, before any translation; our order, mm."""
    tensors = (torch.from_numpy(part[None]).float() for part in (pose[:3], pose[3:], shape, np.zeros(3)))
    with torch.inference_mode():
        joints: np.ndarray = pose_hand(_layer(path), *tensors)[1][0].numpy().astype(np.float64)
    return joints


@lru_cache(maxsize=2)
def _layer(path: Path) -> smplx.MANO:
    return hand_layer(mano_model(path))
