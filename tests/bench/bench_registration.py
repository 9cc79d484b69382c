"""Poses a second on one core: bone lengths, registration P and the lift, in batches of 10,000."""

import time
from collections.abc import Callable

import numpy as np

from semihand.hand.bones import bone_lengths, register_to_lengths, scale_to_lengths
from semihand.hand.camera import intrinsics_matrix, lift, project, relative_depth, root_depth_from_scale, scale_mm

NUM = 10_000


def rate(what: Callable[[], object]) -> float:
    """The best of five runs, in poses a second."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - started)
    return NUM / min(seconds)


def main() -> None:
    """Print a line per function."""
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
    for name, value in found.items():
        print(f"{name:>26} {value:12,.0f} poses/s")


if __name__ == "__main__":
    main()
