"""Frames per second of one process: `python tests/bench/bench_synthetic.py [size_px]`."""

import sys
import time

from semihand.frames.synthetic import SyntheticConfig, generate_frames

NUM_FRAMES, REPEATS = 96, 4


def main(size_px: int) -> None:
    """Print the best of a few runs for each domain, all columns and PNGs included."""
    for domain in ("source", "target", "randomised"):
        config = SyntheticConfig(domain=domain, size_px=size_px, num_frames=NUM_FRAMES * REPEATS)
        generate_frames(config, [0])
        best = 0.0
        for repeat in range(REPEATS):
            started = time.perf_counter()
            generate_frames(config, range(repeat * NUM_FRAMES, (repeat + 1) * NUM_FRAMES))
            best = max(best, NUM_FRAMES / (time.perf_counter() - started))
        print(f"{domain:<11} {size_px} px  {best:6.1f} frames/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
