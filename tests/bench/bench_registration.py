"""Poses a second on one core: bone lengths, registration P, the lift and the corrector, in batches of 10,000."""

import time
from collections.abc import Callable

import numpy as np
import torch

from semihand.hand.bones import bone_lengths, register_to_lengths, scale_to_lengths
from semihand.hand.camera import intrinsics_matrix, lift, project, relative_depth, root_depth_from_scale, scale_mm
from semihand.hand.correction import Hands, correct_to_hands
from semihand.hand.crops import crop_affine, square_box
from semihand.hand.projection import palm_of
from semihand.steps.correct import CorrectConfig, Known, correct_poses
from semihand.steps.cropping import Cameras
from semihand.steps.lifting import Halves
from semihand.steps.paired_test import Evidence, mask_agrees

NUM = 10_000
NUM_MASKS = 32  # what a pass holds at most: masks of 55 circles fill the memory


def rate(what: Callable[[], object], num: int = NUM) -> float:
    """The best of five runs, in poses a second of this process' own time."""
    seconds = []
    for _ in range(5):
        started = time.process_time()
        what()
        seconds.append(time.process_time() - started)
    return num / min(seconds)


def main() -> None:
    """Print a line per function."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    joints_mm = generator.normal(0, 40, (NUM, 21, 3)) + np.array([0, 0, 500.0])
    lengths_mm = bone_lengths(joints_mm)
    noisy_mm = joints_mm + generator.normal(0, 3, joints_mm.shape)
    camera = intrinsics_matrix(500.0, 500.0, 320.0, 240.0)
    uv_px, depth, scale = project(joints_mm, camera), relative_depth(joints_mm), scale_mm(joints_mm)
    root_mm = joints_mm[:, 9, 2]
    found = {
        "bone_lengths": rate(lambda: bone_lengths(joints_mm)),
        "register_to_lengths (P)": rate(lambda: register_to_lengths(noisy_mm, lengths_mm)),
        "scale_to_lengths": rate(lambda: scale_to_lengths(noisy_mm, lengths_mm)),
        "root_depth_from_scale": rate(lambda: root_depth_from_scale(uv_px, depth, camera, scale)),
        "lift": rate(lambda: lift(uv_px, depth, camera, scale, root_mm)),
    }
    for name, value in (found | corrector_rates(generator)).items():
        print(f"{name:>32} {value:12,.0f} poses/s")


def corrector_rates(generator: np.random.Generator) -> dict[str, float]:
    """The projection with covariance and limits, and both halves of the paired test."""
    truth_mm = generator.normal(0, 40, (NUM, 21, 3)) + np.array([0, 0, 500.0])
    noisy_mm = truth_mm + generator.normal(0, 3, truth_mm.shape)
    root = generator.normal(0, 3, (NUM, 21, 3, 3))
    covariance = root @ root.swapaxes(-1, -2)
    hands = Hands(bone_lengths(truth_mm), palm_of(truth_mm))
    camera = np.broadcast_to(intrinsics_matrix(500.0, 500.0, 320.0, 240.0), (NUM, 3, 3))
    uv_px = project(truth_mm, camera)
    box_px = np.concatenate([uv_px.min(1), np.ptp(uv_px, axis=1)], axis=1)
    cameras = Cameras(camera, np.zeros((NUM, 8)), crop_affine(square_box(box_px, 1.2), 64))
    some = slice(0, NUM_MASKS)
    masks = generator.uniform(0, 1, (NUM_MASKS, 32, 32))
    evidence = Evidence(Halves(noisy_mm[some], covariance[some], truth_mm[some]), masks,
                        Cameras(*(column[some] for column in cameras)))  # fmt: skip
    known = Known(hands.palm_mm[some], None, covariance[some], None, evidence)
    tested = CorrectConfig(method="projection", paired_test=True)
    lengths_mm = hands.lengths_mm[some]
    return {
        "full corrector": rate(lambda: correct_to_hands(noisy_mm, hands, covariance)),
        "mask test": rate(lambda: mask_agrees(noisy_mm[some], truth_mm[some], lengths_mm, evidence), NUM_MASKS),
        "corrector with paired test": rate(lambda: correct_poses(noisy_mm[some], lengths_mm, tested, known), NUM_MASKS),
    }


if __name__ == "__main__":
    main()
