"""How often the tests of `jobs/check_frames.py` are wrong: sides, joint orders, near duplicates.

    python tests/bench/check_rates.py                   # synthetic hands; a minute on one core
    python tests/bench/check_rates.py --real ../shared/data
    python tests/bench/check_rates.py --real ../shared/data --times     # how long near duplicates take, instead

Hands are posed and seen as the synthetic domains have them, joints then moved by noise. Copies of pictures are coded
anew, resized and cropped at random; "found" is a copy that is reported with any picture, "false" a pair of two pictures
of which none is a copy.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.frames.video import decode_frames, index_video
from semihand.hand.chirality import DECIDED, side_score
from semihand.hand.proportions import same_orders
from semihand.hand.skeleton import JOINT_ORDERS, reorder_from_semihand
from semihand.steps.checking.likeness import like_pairs, thumbnail
from semihand.steps.checking.ordering import judge_order
from semihand.tables import as_numpy

NOISES_MM = (0.0, 3.0, 5.0, 10.0)
ORDER_NOISES_MM = (*NOISES_MM, 20.0, 30.0)
SET_SIZES = (1, 3, 20)
SETS_OF_EACH = 20


def report_sides(hands: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """False alarms of right hands; a mirror negates the score, so that these are the misses of mirrored ones, too."""
    print(f"{'side':24} {'noise mm':>8} {'hands':>6} {'false alarms':>13} {'undecided':>10}")
    for name, joints_mm in hands.items():
        for noise_mm in NOISES_MM:
            score = side_score(joints_mm + rng.normal(0, noise_mm, joints_mm.shape))
            alarms, undecided = (score < -DECIDED).mean(), (np.abs(score) <= DECIDED).mean()
            print(f"{name:24} {noise_mm:8.0f} {len(score):6} {alarms:13.2%} {undecided:10.2%}")


def report_orders(hands: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Sets of hands in each known order: how many are told another one, and how many that they are no hands."""
    orders = sorted({order.source_index: name for name, order in JOINT_ORDERS.items() if order.is_complete}.values())
    print(f"\n{'wrong / no hands':24} {'noise mm':>8} " + " ".join(f"{f'of {size}':>17}" for size in SET_SIZES))
    for name, joints_mm in hands.items():
        for noise_mm in ORDER_NOISES_MM:
            noisy, shares = joints_mm + rng.normal(0, noise_mm, joints_mm.shape), []
            for size in SET_SIZES:
                told = [_told(noisy, size, order, rng) for order in orders for _ in range(SETS_OF_EACH)]
                shares.append(f"{told.count('wrong') / len(told):7.2%} / {told.count('none') / len(told):7.2%}")
            print(f"{name:24} {noise_mm:8.0f} " + " ".join(shares))


def _told(joints_mm: np.ndarray, size: int, order: str, rng: np.random.Generator) -> str:
    some = joints_mm[rng.choice(len(joints_mm), size, replace=False)]
    kind, best, ours = judge_order(reorder_from_semihand(some, order))
    if kind not in ("ours", "another"):
        return "none"
    return "right" if order in same_orders((ours if kind == "ours" else best).order) else "wrong"


def report_copies(pictures: dict[str, list[np.ndarray]], rng: np.random.Generator) -> None:
    """Copies found, and pairs of other pictures that are not told apart."""
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "JPEG 80": lambda pixels: _copy(pixels, 80, 1.0, 0.0, rng),
        "JPEG 30": lambda pixels: _copy(pixels, 30, 1.0, 0.0, rng),
        "half size": lambda pixels: _copy(pixels, 95, 0.5, 0.0, rng),
        "double size": lambda pixels: _copy(pixels, 95, 2.0, 0.0, rng),
        "4 % cut off": lambda pixels: _copy(pixels, 95, 1.0, 0.04, rng),
        "8 % cut off": lambda pixels: _copy(pixels, 95, 1.0, 0.08, rng),
        "6 %, x 0.7, JPEG 50": lambda pixels: _copy(pixels, 50, 0.7, 0.06, rng),
    }
    print(f"\n{'copies':20} {'num':>5} {'false':>6} " + " ".join(f"{name:>20}" for name in changes))
    for name, originals in pictures.items():
        thumbs, num = np.stack([thumbnail(pixels) for pixels in originals]), len(originals)
        false = like_pairs(thumbs, np.arange(0, num, 2), np.arange(1, num, 2))
        found = []
        for change in changes.values():
            copies = np.stack([thumbnail(change(pixels)) for pixels in originals])
            pairs = like_pairs(np.concatenate([thumbs, copies]), np.arange(num), np.arange(num, 2 * num))
            found.append(len({pair.second for pair in pairs}) / num)
        print(f"{name:20} {num:5} {len(false):6} " + " ".join(f"{share:20.1%}" for share in found))


def _copy(pixels: np.ndarray, quality: int, scale: float, cut: float, rng: np.random.Generator) -> np.ndarray:
    """A copy, of which a share of each side was cut off, anywhere."""
    image = Image.fromarray(pixels)
    size = np.array(image.size)
    low = np.rint(rng.uniform(0, 1, 2) * cut * size)
    image = image.crop(tuple(int(at) for at in (*low, *np.rint(low + (1 - cut) * size))))
    image = image.resize(tuple(max(16, round(side * scale)) for side in image.size), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def report_times(real: Path, rng: np.random.Generator) -> None:
    """CPU time of looking for near duplicates among pictures of which none are alike, and among those of one scene."""
    video = index_video(real / "hand_video" / "human_hand_video.mp4")
    frames = decode_frames(video, range(0, video.num_frames, 2))
    scene = np.stack([thumbnail(frame) for _, frame in frames if isinstance(frame, np.ndarray)]).astype(float)

    def noise(num: int, blur: float) -> np.ndarray:
        return gaussian_filter(rng.normal(size=(num, 32, 32)), (0, blur, blur))

    def of_scene(num: int) -> np.ndarray:
        return np.clip(scene[rng.integers(0, len(scene), num)] + 40 * noise(num, 1.5), 0, 255)

    def alone(num: int) -> np.ndarray:
        grey = noise(num, 3.0)
        low, high = (reach((1, 2), keepdims=True) for reach in (grey.min, grey.max))
        return (grey - low) / (high - low) * 255

    for name, make, sizes in (("none alike", alone, (1000, 3000, 10000)), ("one scene", of_scene, (1000, 3000))):
        for num in sizes:
            thumbs, start_s = make(2 * num).astype(np.uint8), time.process_time()
            like_pairs(thumbs, np.arange(num), np.arange(num, 2 * num))
            print(f"{name:12} {num:6} against as many: {time.process_time() - start_s:6.1f} s")


def main() -> None:
    """Print the three tables, or the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="synthetic frames of each domain")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=Path, help="folder with digits/ and hand_video/")
    parser.add_argument("--times", action="store_true", help="measure how long near duplicates take; needs --real")
    job = parser.parse_args()
    if job.times:
        report_times(job.real, np.random.default_rng(job.seed))
        return
    hands, pictures = {}, {}
    for domain, size_px in (("source", 64), ("randomised", 64), ("target", 128)):
        config = SyntheticConfig(
            domain=domain, seed=job.seed, num_frames=job.count, size_px=size_px, supervision="mano"
        )
        frames = generate_frames(config, range(job.count))
        hands[domain] = as_numpy(frames["joints_mm"]).astype(np.float64)
        pictures[f"{domain}, {size_px} px"] = [_decoded(data) for data in frames["image"].to_pylist()]
    if job.real is not None:
        hands["hand_video (a tracker)"] = np.load(job.real / "hand_video" / "joints_m.npz")["joints_m"] * 1000
        pictures["digits"] = [_decoded(file.read_bytes()) for file in sorted((job.real / "digits").rglob("*.JPG"))]
        video = index_video(job.real / "hand_video" / "human_hand_video.mp4")
        pictures["hand_video, 2 Hz"] = [
            frame for _, frame in decode_frames(video, range(0, video.num_frames, 15)) if isinstance(frame, np.ndarray)
        ]
    rng = np.random.default_rng(job.seed)
    report_sides(hands, rng)
    report_orders(hands, rng)
    report_copies(pictures, rng)


def _decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


if __name__ == "__main__":
    main()
