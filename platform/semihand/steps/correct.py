"""Correct a label: put the pose onto its subject's hand, and keep that where independent evidence agrees."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from pydantic import BaseModel, Field

from semihand.hand.bones import bone_lengths, register_to_lengths
from semihand.hand.correction import Hands, correct_to_hands
from semihand.steps.paired_test import Evidence, closer_to, mask_agrees


class CorrectConfig(BaseModel, frozen=True, extra="forbid"):
    """How a pose is corrected, and which pose training is given."""

    # "projection" moves every joint a little instead of walking from the wrist, under the views' covariance.
    method: Literal["registration", "projection"] = Field(
        default="registration",
        description="registration: bone lengths alone (the paper); projection: a rigid palm too, of models with one",
    )
    # Lengths alone can make a pose worse.
    limits: bool = Field(default=True, description="of projection: keep joint angles within their limits, too")
    paired_test: bool = Field(
        default=False,
        description="keep a correction only where other views and the mask agree with it at least as well",
    )
    # P makes a pose feasible but does not denoise it: docs/results.md has the labels' errors raw, corrected and at the
    # midpoint.
    label: Literal["raw", "corrected", "midpoint"] = Field(
        default="midpoint", description="the pose to learn from: as it was, corrected, or halfway (eq. 7)"
    )


class Corrected(NamedTuple):
    """The corrected pose and what it took to get there; row for row."""

    corrected_mm: Float[np.ndarray, "batch 21 3"]
    label_mm: Float[np.ndarray, "batch 21 3"]
    bone_mm: Float[np.ndarray, "batch 20"]
    bone_residual_mm: Float[np.ndarray, "batch 20"]
    moved_mm: Float[np.ndarray, " batch"]
    feasibility_mm: Float[np.ndarray, " batch"]  # from p̂ to its correction; moved_mm unless p̂ was carried
    correction_kept: Bool[np.ndarray, " batch"] | None  # None: not tested
    is_carried: Bool[np.ndarray, " batch"]  # whose label is the midpoint to the last correction


class Known(NamedTuple):
    """What a correction may go by beside the bone lengths; row for row, None where there is none.

    Attributes:
        palm_mm: of right hands, see `Hands`; "projection" needs it.
        left: which are left hands.
        covariance_mm2: of the joints over the test-time views.
        carried_mm: corrected poses of the round before; NaN in rows that have none.
        evidence: for the paired test.
    """

    palm_mm: Float[np.ndarray, "batch 6 3"] | None = None
    left: Bool[np.ndarray, " batch"] | None = None
    covariance_mm2: Float[np.ndarray, "batch 21 3 3"] | None = None
    carried_mm: Float[np.ndarray, "batch 21 3"] | None = None
    evidence: Evidence | None = None


NOTHING = Known()


def correct_poses(
    joints_mm: Float[np.ndarray, "batch 21 3"],
    lengths_mm: Float[np.ndarray, "batch 20"],
    config: CorrectConfig,
    known: Known = NOTHING,
) -> Corrected:
    """r = P(p̂) of SemiHand's eq. 5, or the projection in its place, and the label made of both.

    A frame with a corrected pose r′ of the round before has the label p̂ = (p′ + r′) / 2 (eq. 7 and Algorithm 1),
    which is then corrected in turn. A correction that fails the paired test leaves the raw pose as label.

    Raises:
        ValueError: a pose has no direction to take for a bone, the method lacks a palm, or the test its evidence.
    """
    proposed, is_carried = _midpoints(joints_mm, known)
    corrected = _corrected(proposed, lengths_mm, config, known)
    label = {"raw": joints_mm, "corrected": corrected, "midpoint": (joints_mm + corrected) / 2}[config.label]
    label = np.where(is_carried[:, None, None], proposed, label)
    kept = None
    if config.paired_test:
        kept = _kept(joints_mm, corrected, lengths_mm, config, known)
        label = np.where(kept[:, None, None], label, joints_mm)
        is_carried &= kept
    bones = bone_lengths(joints_mm)
    moved, feasibility = (np.linalg.norm(corrected - pose, axis=-1).mean(-1) for pose in (joints_mm, proposed))
    return Corrected(corrected, label, bones, bones - lengths_mm, moved, feasibility, kept, is_carried)


def _midpoints(joints_mm: np.ndarray, known: Known) -> tuple[np.ndarray, np.ndarray]:
    """What is corrected, and in which rows that is the midpoint to the last round's correction.

    A midpoint behind the camera cannot be held against the views, so nothing is carried there.
    """
    if known.carried_mm is None:
        return joints_mm, np.zeros(len(joints_mm), bool)
    middle = (joints_mm + known.carried_mm) / 2
    is_carried = np.isfinite(middle).all((1, 2)) & (middle[..., 2] > 0).all(1)
    return np.where(is_carried[:, None, None], middle, joints_mm), is_carried


def _corrected(joints_mm: np.ndarray, lengths_mm: np.ndarray, config: CorrectConfig, known: Known) -> np.ndarray:
    if config.method == "registration":
        return register_to_lengths(joints_mm, lengths_mm)
    if known.palm_mm is None:
        raise ValueError(
            "label.correct.method is 'projection', but the subjects have no palm_mm: name a teacher whose card has "
            "one (models pre-trained by this version do), or use method 'registration'"
        )
    hands = Hands(lengths_mm, known.palm_mm, known.left)
    return correct_to_hands(joints_mm, hands, known.covariance_mm2, config.limits)


def _kept(
    joints_mm: np.ndarray, corrected_mm: np.ndarray, lengths_mm: np.ndarray, config: CorrectConfig, known: Known
) -> np.ndarray:
    """The same correction of the even views' consensus comes closer to the odd ones', and the mask does not object."""
    if known.evidence is None:
        raise ValueError("label.correct.paired_test needs evidence: two sets of views and masks; give known.evidence")
    even_mm, covariance, odd_mm = known.evidence.halves
    seen = known._replace(covariance_mm2=covariance)
    of_even_mm = _corrected(_midpoints(even_mm, seen)[0], lengths_mm, config, seen)
    closer = closer_to(odd_mm, even_mm, of_even_mm)
    kept: np.ndarray = closer & mask_agrees(joints_mm, corrected_mm, lengths_mm, known.evidence)
    return kept
