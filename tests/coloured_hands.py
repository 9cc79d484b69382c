"""Hands that need no network: a red block is a right one, a blue block a left one, on a dark picture.

`ColourFinder` keeps the contract of `semihand.methods.localiser.finding.HandFinder`, from which tests of what stands
around a localiser are spared its training. Where the real one is to be tried instead, `FINDER` is what to exchange.
"""

import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
from PIL import Image
from scipy import ndimage

from semihand.methods.localiser.finding import Finding
from semihand.methods.localiser.weights import CARD
from semihand.methods.semihand.weight_folder import WEIGHTS

RIGHT, LEFT = (230, 30, 30), (30, 30, 230)
SIZE = (96, 72)


class ColourFinder:
    """Red and blue blocks as hands, the brightest first; how bright one is says how sure it is."""

    def __init__(self, folder: Path, device: str = "cpu", min_score: float | None = None) -> None:
        try:
            weights = (Path(folder) / WEIGHTS).read_bytes()
            known = json.loads(weights)
        except (OSError, ValueError) as error:
            raise ValueError(f"no weights: {error}") from error
        self.min_score = known["min_score"] if min_score is None else min_score
        self.card = SimpleNamespace(sha256=hashlib.sha256(weights).hexdigest())

    def find(self, pictures):
        return [self._find(picture) for picture in pictures]

    def look_again(self, picture, box_px):
        x, y, width, height = box_px
        left, top = max(round(x - width / 4), 0), max(round(y - height / 4), 0)
        part = picture[top : max(round(y + 1.25 * height), 0), left : max(round(x + 1.25 * width), 0)]
        found = self._find(part) if part.size else []
        if not found:
            return None
        box = found[0].box_px
        return found[0]._replace(box_px=(box[0] + left, box[1] + top, *box[2:]))

    def _find(self, picture):
        found = []
        for channel, right in ((0, 0.9), (2, 0.1)):
            blocks, _ = ndimage.label(picture[..., channel] > 90 + picture[..., 2 - channel].astype(int))
            for number, (rows, columns) in enumerate(ndimage.find_objects(blocks), 1):
                box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
                score = float(picture[..., channel][blocks == number].mean()) / 255
                if min(box[2:]) >= 4 and score >= self.min_score:
                    found.append(Finding(tuple(map(float, box)), score, right))
        return sorted(found, key=lambda each: (-each.score, each.box_px))


FINDER = ColourFinder


class BlockTracker:
    """Joints over all of the block in the crop about the box, its skin about them: a pose model that is never wrong."""

    def __call__(self, picture, box_px, left):
        x, y, width, height = box_px
        start = np.array([max(x - width / 5, 0), max(y - height / 5, 0)]).astype(int)
        part = picture[start[1] : round(y + 1.2 * height), start[0] : round(x + 1.2 * width)]
        rows, columns = np.nonzero(part[..., 2 if left else 0] > 150)
        if not len(rows):
            return np.full((21, 2), np.nan)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        shares = np.stack([np.linspace(0.05, 0.95, 21), np.linspace(0.95, 0.05, 21)], -1)
        return start + low + shares * (high - low)


def localiser_folder(folder: Path, min_score: float = 0.3) -> Path:
    """What `ColourFinder` is opened from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_text(json.dumps({"min_score": min_score}))
    (folder / CARD).write_text("{}")
    return folder


def scene(*blocks, size=SIZE, seed=0) -> np.ndarray:
    """A dark picture with blocks: colour, x, y, width, height."""
    picture = np.random.default_rng(seed).integers(20, 60, (size[1], size[0], 3), dtype=np.uint8)
    for colour, x, y, width, height in blocks:
        picture[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = colour
    return picture


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def write_scenes(path: Path, scenes) -> Path:
    """The pictures as a video, a keyframe every twelve."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "2", "crf": "12"})
        stream.height, stream.width = scenes[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in scenes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def two_hands(num: int, gone=(), seed=0) -> list[np.ndarray]:
    """A right hand that goes to the right and a left one below it that goes to the left; no right one where gone."""
    scenes = []
    for index in range(num):
        blocks = [(LEFT, 70 - index, 46, 16, 18)]
        if index not in gone:
            blocks.append((RIGHT, 4 + index, 6 + index % 3, 20, 16))
        scenes.append(scene(*blocks, seed=seed + index))
    return scenes
