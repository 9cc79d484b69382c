"""Hands a second that `fit_hands` fits, and how well: exact joints of the generic hand, and noisy ones.

python tests/bench/bench_mano_fit.py [hands] [threads]
"""

import sys
import time

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic import poses
from semihand.frames.synthetic.domains import read_domain
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.frames.synthetic.people import person
from semihand.hand.mano import hand_layer, pose_hand
from semihand.hand.mano_fit import fit_hands

NUM_PEOPLE, NUM_POSES = 40, 500


def drawn_joints_mm(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints of natural poses of forty people in every orientation, from smplx, and whose each hand is."""
    rng, domain, model = np.random.default_rng(0), read_domain("randomised"), build_generic_hand()
    rest = model.rest_joints_m
    few = [poses.sample_pose(rng, domain.families, domain.pose_spread, rest) for _ in range(NUM_POSES)]
    angles = poses.to_axis_angle(np.array(few)[rng.integers(0, NUM_POSES, num)], rest)
    owner = rng.integers(0, NUM_PEOPLE, num)
    shapes = np.array([person("randomised", int(number)).shape for number in owner])
    turns = Rotation.random(num, random_state=1).as_rotvec()
    places = rng.uniform((-150, -150, 300), (150, 150, 900), (num, 3))
    joints = []
    for rows in np.array_split(np.arange(num), -(-num // 512)):
        given = (torch.from_numpy(values[rows]).float() for values in (turns, angles, shapes, places))
        joints.append(pose_hand(hand_layer(model), *given)[1].numpy().astype(np.float64))
    return np.concatenate(joints), owner


def main(num: int, threads: int) -> None:
    """Print a line for each amount of noise."""
    torch.set_num_threads(threads)
    exact_mm, owner = drawn_joints_mm(num)
    for noise_mm in (0.0, 2.0, 5.0):
        given_mm = exact_mm + np.random.default_rng(1).normal(0, noise_mm, exact_mm.shape)
        wall, used = time.perf_counter(), time.process_time()
        fits = fit_hands(given_mm, owner, build_generic_hand())
        wall, used = time.perf_counter() - wall, time.process_time() - used
        off_mm = np.linalg.norm(fits.joints_mm - exact_mm, axis=-1).mean()
        print(
            f"{num} hands of {NUM_PEOPLE} people, {noise_mm:.0f} mm of noise a coordinate: {num / wall:6.0f} hands/s "
            f"on {threads} threads ({num / used:.0f} a second of CPU), residual mean {fits.residual_mm.mean():.3f} mm, "
            f"greatest {fits.residual_mm.max():.2f} mm, from the truth {off_mm:.3f} mm"
        )


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["4096", "2"][len(sys.argv) - 1 :])))
