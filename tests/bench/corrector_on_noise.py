"""What the corrector leaves of simulated noise, which corrections its paired test keeps, and lengths from noisy labels.

python tests/bench/corrector_on_noise.py

Gaussian noise of each coordinate on possible poses of a plain hand; eight views, independent of each other, which those
of one network are not. Every figure but the last is a share.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "tests")]

import numpy as np
import torch

from sample_hands import possible_hands_mm, right_hand_mm
from seen_hands import looked_at
from semihand.hand.bones import bone_lengths, crossed_square_lengths, register_to_lengths, unbiased_lengths
from semihand.hand.correction import Hands, correct_to_hands
from semihand.hand.projection import palm_of
from semihand.steps.correct import CorrectConfig, Known, correct_poses

NUM, NUM_TESTED, NUM_LABELS, NUM_REPEATS = 1000, 400, 300, 60
PAIRED = CorrectConfig(method="projection", paired_test=True)


def epe_mm(joints_mm: np.ndarray, truth_mm: np.ndarray) -> float:
    """Mean joint error, mm."""
    return float(np.linalg.norm(joints_mm - truth_mm, axis=-1).mean())


def left_of_the_noise(sigma_mm: float) -> list[float]:
    """EPE over that of the raw pose: of P, of the corrector, and of the corrector with the covariance of the views."""
    truth_mm = possible_hands_mm(NUM, 5)
    raw_mm, covariance, _ = looked_at(truth_mm, sigma_mm, 5)
    hands = Hands(bone_lengths(truth_mm), palm_of(truth_mm))
    made = [
        register_to_lengths(raw_mm, hands.lengths_mm),
        correct_to_hands(raw_mm, hands),
        correct_to_hands(raw_mm, hands, covariance),
    ]
    return [epe_mm(pose_mm, truth_mm) / epe_mm(raw_mm, truth_mm) for pose_mm in made]


def kept(sigma_mm: float, off: float) -> float:
    """Share of projections that the paired test keeps, onto lengths that are each off by up to this share."""
    truth_mm = possible_hands_mm(NUM_TESTED, 4)
    raw_mm, covariance, evidence = looked_at(truth_mm, sigma_mm, 4)
    lengths_mm = bone_lengths(truth_mm) * np.random.default_rng(5).uniform(1 - off, 1 + off, (NUM_TESTED, 20))
    known = Known(palm_mm=palm_of(truth_mm), covariance_mm2=covariance, evidence=evidence)
    made = correct_poses(raw_mm, lengths_mm, PAIRED, known)
    assert made.correction_kept is not None
    return float(made.correction_kept.mean())


def biases_mm(sigma_mm: float) -> dict[str, float]:
    """Largest bias of a bone's length from 300 labels, and how far one measurement of it scatters."""
    bends = np.random.default_rng(0).uniform(0, 50, (NUM_LABELS, 5, 3))
    poses_mm = np.array([right_hand_mm(bend) for bend in bends])
    truth_mm, medians, unbiased = bone_lengths(poses_mm[0]), [], []
    for seed in range(NUM_REPEATS):
        halves = poses_mm + np.random.default_rng(seed).normal(0, sigma_mm * 2**0.5, (2, *poses_mm.shape))
        medians.append(np.median(bone_lengths(halves.mean(0)), axis=0) - truth_mm)
        unbiased.append(unbiased_lengths(crossed_square_lengths(*halves)) - truth_mm)
    return {
        "median": float(np.abs(np.mean(medians, axis=0)).max()),
        "unbiased": float(np.abs(np.mean(unbiased, axis=0)).max()),
        "unbiased, scatter of one": float(np.std(unbiased, axis=0).mean()),
    }


def main() -> None:
    """Print a line for each noise, for each wrong template, and for each estimator of lengths."""
    torch.set_num_threads(1)
    print(f"left of the EPE, {NUM} poses: registration P, corrector, the same with the covariance of 8 views")
    for sigma_mm in (1.0, 3.0, 5.0):
        print(f"  {sigma_mm:.0f} mm: " + ", ".join(f"{share:.2f}" for share in left_of_the_noise(sigma_mm)))
    print(f"kept by the paired test, {NUM_TESTED} poses: true lengths, off by up to 10 %, by up to 25 %")
    for sigma_mm in (3.0, 8.0):
        print(f"  {sigma_mm:.0f} mm: " + ", ".join(f"{kept(sigma_mm, off):.0%}" for off in (0.0, 0.1, 0.25)))
    print(f"lengths from {NUM_LABELS} labels at 5 mm, {NUM_REPEATS} repeats, mm")
    for name, value in biases_mm(5.0).items():
        print(f"  {name}: {value:.2f}")


if __name__ == "__main__":
    main()
