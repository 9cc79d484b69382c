"""Correct a label: put the pose onto its subject's bone lengths."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel

from semihand.hand.bones import bone_lengths, register_to_lengths


class CorrectConfig(BaseModel, frozen=True, extra="forbid"):
    """Which pose training is given."""

    # "midpoint" is the label step of eq. 7, p̂ = (p′ + P(p′)) / 2. P makes a pose feasible but does not denoise it:
    # docs/results.md has the labels' errors raw, corrected and at the midpoint.
    label: Literal["raw", "corrected", "midpoint"] = "midpoint"


class Corrected(NamedTuple):
    """The corrected pose and what it took to get there; row for row."""

    corrected_mm: Float[np.ndarray, "batch 21 3"]
    label_mm: Float[np.ndarray, "batch 21 3"]
    bone_mm: Float[np.ndarray, "batch 20"]
    bone_residual_mm: Float[np.ndarray, "batch 20"]
    moved_mm: Float[np.ndarray, " batch"]


def correct_poses(
    joints_mm: Float[np.ndarray, "batch 21 3"],
    lengths_mm: Float[np.ndarray, "batch 20"],
    config: CorrectConfig,
) -> Corrected:
    """Registration P (SemiHand, eq. 5) of every pose onto its subject's lengths.

    Raises:
        ValueError: a pose has no direction to take for a bone.
    """
    corrected = register_to_lengths(joints_mm, lengths_mm)
    label = {"raw": joints_mm, "corrected": corrected, "midpoint": (joints_mm + corrected) / 2}[config.label]
    bones = bone_lengths(joints_mm)
    moved = np.linalg.norm(corrected - joints_mm, axis=-1).mean(-1)
    return Corrected(corrected, label, bones, bones - lengths_mm, moved)
