"""What lies behind the hand: plain walls, lit walls, clutter, or pictures of the user's."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from semihand.frames.decode import decode_picture
from semihand.frames.errors import BadFrame
from semihand.frames.synthetic.domains import Domain

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_KEPT_PX = 512


def draw_background(
    rng: np.random.Generator, domain: Domain, size_px: int, folder: str | None
) -> Float[np.ndarray, "S S 3"]:
    """One background, sRGB 0..1; from `folder` nine times in ten where one is given."""
    if folder is not None and rng.random() < 0.9:
        return _from_folder(rng, folder, size_px)
    kinds = list(domain.background)
    weights = np.array(list(domain.background.values()))
    kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
    return {"plain": _plain, "gradient": _lit_wall, "cluttered": _cluttered}[kind](rng, size_px)


def _plain(rng: np.random.Generator, size_px: int) -> Float[np.ndarray, "S S 3"]:
    colour = _colour(rng, rng.uniform(0.15, 0.95), 0.08)
    return np.clip(colour + _cloud(rng, size_px, 3)[..., None] * rng.uniform(0, 0.06), 0, 1)


def _lit_wall(rng: np.random.Generator, size_px: int) -> Float[np.ndarray, "S S 3"]:
    """A wall with a spot of light and dark corners, as a lamp or a phone leaves it."""
    colour = _colour(rng, rng.uniform(0.35, 0.9), 0.10)
    grid = np.linspace(-1, 1, size_px)
    spot = rng.uniform(-0.6, 0.6, 2)
    distance = np.hypot(grid[None, :] - spot[0], grid[:, None] - spot[1])
    fall = 1.0 - rng.uniform(0.1, 0.5) * distance**2 / 2.0
    return np.asarray(np.clip(colour * fall[..., None] + 0.04 * _cloud(rng, size_px, 5)[..., None], 0, 1))


def _cluttered(rng: np.random.Generator, size_px: int) -> Float[np.ndarray, "S S 3"]:
    """Shapes of every size and colour over a cloudy ground, some of them the colour of skin."""
    saturation = rng.uniform(0.03, 0.35)
    ground = _colour(rng, rng.uniform(0.1, 0.9), saturation) + 0.15 * _cloud(rng, size_px, 4)[..., None]
    picture = Image.fromarray((np.clip(ground, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 16))):
        _draw_shape(rng, draw, size_px, saturation)
    cluttered = np.asarray(picture, np.float64) / 255.0
    return np.clip(cluttered + 0.12 * rng.random() * _cloud(rng, size_px, 12)[..., None], 0, 1)


def _draw_shape(rng: np.random.Generator, draw: ImageDraw.ImageDraw, size_px: int, saturation: float) -> None:
    skin_like = rng.random() < 0.2
    colour = (
        np.array([0.75, 0.55, 0.42]) * rng.uniform(0.4, 1.2) if skin_like else _colour(rng, rng.random(), saturation)
    )
    fill = tuple(int(c) for c in np.clip(colour, 0, 1) * 255)
    centre = rng.uniform(-0.1, 1.1, 2) * size_px
    half = rng.uniform(0.03, 0.4, 2) * size_px
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    kind = rng.integers(3)
    if kind == 0:
        draw.ellipse([*(centre - half), *(centre + half)], fill=fill)
    else:
        thin = np.array([1.0, 1.0 if kind == 1 else 0.12])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half * thin @ turn.T + centre
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=fill)


def _colour(rng: np.random.Generator, value: float, saturation: float) -> Float[np.ndarray, "3"]:
    return np.clip(value + rng.uniform(-saturation, saturation, 3), 0.0, 1.0)


def _cloud(rng: np.random.Generator, size_px: int, cells: int) -> Float[np.ndarray, "S S"]:
    coarse = rng.standard_normal((cells + 1, cells + 1))
    place = np.linspace(0, cells - 1e-6, size_px)
    cell, share = place.astype(int), place % 1.0
    rows = coarse[cell] * (1 - share[:, None]) + coarse[cell + 1] * share[:, None]
    return np.asarray(rows[:, cell] * (1 - share) + rows[:, cell + 1] * share)


@lru_cache(maxsize=4)
def _pictures(folder: str) -> tuple[Path, ...]:
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"backgrounds {folder}: no such folder")
    found = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()))
    if not found:
        raise ValueError(f"backgrounds {folder}: holds no picture ({', '.join(_SUFFIXES)})")
    return found


@lru_cache(maxsize=256)
def _picture(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    try:
        picture = Image.fromarray(decode_picture(path.read_bytes()))
    except BadFrame as error:
        raise ValueError(f"background {path} is no usable picture ({error}); take it out of the folder") from error
    picture.thumbnail((_KEPT_PX, _KEPT_PX))
    return np.asarray(picture)


def _from_folder(rng: np.random.Generator, folder: str, size_px: int) -> Float[np.ndarray, "S S 3"]:
    paths = _pictures(folder)
    picture = _picture(paths[rng.integers(len(paths))])
    side = max(8, int(rng.uniform(0.4, 1.0) * min(picture.shape[:2])))
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    piece = Image.fromarray(picture[top : top + side, left : left + side]).resize(
        (size_px, size_px), Image.Resampling.BOX
    )
    return np.asarray(piece, np.float64) / 255.0
