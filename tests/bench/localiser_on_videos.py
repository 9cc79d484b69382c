"""How many hands of real videos a localiser finds: 60 frames each, boxes drawn by eye (`tests/data/hand_boxes.json`).

    SEMIHAND_REAL_DATA=… python tests/bench/localiser_on_videos.py LOCALISER [--min_score 0.5] [--draw FOLDER]

Found is a hand with a box of IoU 0.5; a false box overlaps no hand by 0.3. `--draw` writes the frames with both.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from semihand.frames.video import decode_frames, index_video
from semihand.methods.localiser.boxes import overlaps
from semihand.methods.localiser.finding import Finding, HandFinder

BOXES = Path(__file__).parents[1] / "data" / "hand_boxes.json"


def edges(box_px: list[float]) -> list[float]:
    """Left, top, right, bottom of x, y, width, height."""
    x, y, width, height = box_px
    return [x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5]


def draw(picture: np.ndarray, hands: list[dict], findings: list[Finding], path: Path) -> None:
    """The frame with drawn boxes in green and found ones in red."""
    image = Image.fromarray(picture)
    lines = ImageDraw.Draw(image)
    for hand in hands:
        lines.rectangle(edges(hand["box_px"]), outline="lime", width=3)
    for finding in findings:
        lines.rectangle(finding.edges_px, outline="red", width=3)
        lines.text(finding.edges_px[:2], f"{finding.score:.2f} {'R' if finding.right > 0.5 else 'L'}", fill="yellow")
    image.thumbnail((480, 480))
    image.save(path)


def measure(finder: HandFinder, video: Path, frames: list[dict], folder: Path | None) -> str:
    """One line of figures."""
    wanted = {entry["frame"]: entry["hands"] for entry in frames}
    hands = found = right = false = 0
    overlap_sum = 0.0
    for number, picture in decode_frames(index_video(video), list(wanted)):
        (findings,) = finder.find([picture])
        boxes = torch.tensor([finding.edges_px for finding in findings]).view(-1, 4)
        truth = torch.tensor([edges(hand["box_px"]) for hand in wanted[number]]).view(-1, 4)
        overlap = overlaps(boxes, truth)
        for place, hand in enumerate(wanted[number]):
            hands += 1
            if len(findings) and overlap[:, place].max() >= 0.5:
                best = int(overlap[:, place].argmax())
                found += 1
                overlap_sum += float(overlap[best, place])
                right += (findings[best].right > 0.5) == (hand["side"] == "right")
        false += sum(not (row >= 0.3).any() for row in overlap)
        if folder is not None:
            draw(picture, wanted[number], findings, folder / f"{video.stem}_{number:04d}.jpg")
    return (
        f"{video.name}: {found} of {hands} hands found ({found / hands:.0%}, mean IoU "
        f"{overlap_sum / max(found, 1):.2f}), side right of {right}, {false / len(wanted):.2f} false boxes a frame"
    )


def main() -> None:
    """Every video."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("localiser", type=Path)
    parser.add_argument("--min_score", type=float)
    parser.add_argument("--draw", type=Path)
    asked = parser.parse_args()
    if "SEMIHAND_REAL_DATA" not in os.environ:
        parser.error("SEMIHAND_REAL_DATA is not set: the folder with the real recordings")
    if asked.draw is not None:
        asked.draw.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    finder = HandFinder(asked.localiser, min_score=asked.min_score)
    print(f"score above {finder.min_score:.3f}")
    for name, video in json.loads(BOXES.read_text())["videos"].items():
        print(measure(finder, Path(os.environ["SEMIHAND_REAL_DATA"]) / name, video["frames"], asked.draw), flush=True)


if __name__ == "__main__":
    main()
