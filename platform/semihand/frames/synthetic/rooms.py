"""Rooms without hands: walls, tables, things on them, and people of whom no hand is seen."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from semihand.frames.synthetic.backgrounds import draw_background
from semihand.frames.synthetic.domains import read_domain
from semihand.frames.synthetic.skin import TONES

ROOM_PX = 160
_TABLE, _PERSON, _KEYS, _LINES = 0.5, 0.35, 0.35, 0.5  # how many rooms have each
_HAIR = ((20, 16, 14), (60, 40, 25), (120, 85, 50), (150, 145, 140))


def draw_room(seed: int, number: int, backgrounds: str | None = None) -> UInt8[np.ndarray, "S S 3"]:
    """One room, a function of seed and number.

    Args:
        seed: of the set.
        number: of the room.
        backgrounds: folder of the user's pictures, which must show no hand; then most rooms are pieces of these.

    Raises:
        ValueError: the folder has no usable picture.
    """
    rng = np.random.default_rng([seed, 40_961, number])
    ground = draw_background(rng, read_domain("randomised"), ROOM_PX, backgrounds)
    picture = Image.fromarray(np.asarray(ground * 255.0 + 0.5, np.uint8))
    draw = ImageDraw.Draw(picture)
    for share, what in ((_TABLE, _table), (_PERSON, _person), (_KEYS, _keys), (_LINES, _lines)):
        if rng.random() < share:
            what(rng, draw)
    return np.asarray(picture)


def _table(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    edge, slope = rng.uniform(0.2, 0.9), rng.uniform(-0.5, 0.5)
    corners = [(0.0, edge - slope / 2), (1.0, edge + slope / 2), (1.0, 1.0), (0.0, 1.0)]
    draw.polygon([(x * ROOM_PX, y * ROOM_PX) for x, y in corners], fill=_grey(rng, rng.uniform(20, 235), 25.0))
    for _ in range(rng.integers(0, 4)):
        _slab(rng, draw)


def _slab(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    """A book, a screen, a mat."""
    draw.polygon(_turned_box(rng, rng.uniform(0.05, 0.35, 2)), fill=_grey(rng, rng.uniform(10, 245), 60.0))


def _keys(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    """Rows of small boxes, as keyboards, shelves and print have them."""
    pitch, (columns, rows) = rng.uniform(3.0, 12.0), rng.integers(3, 14, 2)
    left, top = rng.uniform(-0.1, 0.9, 2) * ROOM_PX
    angle = rng.uniform(-0.6, 0.6)
    fill, gap = _grey(rng, rng.uniform(0, 255), 20.0), rng.uniform(0.5, 0.9)
    along, down = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    for row in range(rows):
        for column in range(columns):
            corner = np.array([left, top]) + pitch * (column * along + row * down)
            sides = [
                corner,
                corner + gap * pitch * along,
                corner + gap * pitch * (along + down),
                corner + gap * pitch * down,
            ]
            draw.polygon([(float(x), float(y)) for x, y in sides], fill=fill)


def _lines(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    """Cables and edges."""
    for _ in range(rng.integers(1, 5)):
        points = np.cumsum(np.concatenate([rng.uniform(0, 1, (1, 2)), rng.normal(0, 0.2, (4, 2))]), axis=0) * ROOM_PX
        path = [(float(x), float(y)) for x, y in points]
        draw.line(path, fill=_grey(rng, rng.uniform(0, 255), 60.0), width=int(rng.integers(1, 5)), joint="curve")


def _person(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    """Body, neck and head of somebody whose hands are elsewhere."""
    skin = _skin(rng)
    head, x, y = rng.uniform(0.06, 0.2), rng.uniform(0.1, 0.9), rng.uniform(-0.1, 0.6)
    shoulders, down = head * rng.uniform(1.8, 2.6), head * rng.uniform(1.5, 2.0)
    body = [(-0.4, 0.9), (0.4, 0.9), (1.0, 1.3), (1.1, 6.0), (-1.1, 6.0), (-1.0, 1.3)]
    cloth = _grey(rng, rng.uniform(10, 245), 70.0)
    draw.polygon([((x + shoulders * u) * ROOM_PX, (y + down * v) * ROOM_PX) for u, v in body], fill=cloth)
    dark = tuple(int(channel * 0.35) for channel in skin)
    lips = (int(skin[0] * 0.8), int(skin[1] * 0.5), int(skin[2] * 0.5))
    for (aside, below), half, fill in (
        ((0.0, 0.9), (0.45, 0.7), skin),
        ((0.0, -0.15), (0.92, 1.15), _HAIR[rng.integers(len(_HAIR))]),
        ((0.0, 0.0), (0.75, 1.0), skin),
        ((-0.32, -0.1), (0.13, 0.07), dark),
        ((0.32, -0.1), (0.13, 0.07), dark),
        ((0.0, 0.5), (0.3, 0.08), lips),
    ):
        _oval(draw, (x + aside * head, y + below * head), (half[0] * head, half[1] * head), fill)


def _oval(
    draw: ImageDraw.ImageDraw, middle: tuple[float, float], half: tuple[float, float], fill: tuple[int, ...]
) -> None:
    box = [middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1]]
    draw.ellipse([side * ROOM_PX for side in box], fill=fill)


def _turned_box(rng: np.random.Generator, half: np.ndarray) -> list[tuple[float, float]]:
    angle, centre = rng.uniform(0, np.pi), rng.uniform(0, 1, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turn.T + centre) * ROOM_PX
    return [(float(x), float(y)) for x, y in corners]


def _grey(rng: np.random.Generator, value: float, spread: float) -> tuple[int, int, int]:
    red, green, blue = np.clip(value + rng.uniform(-spread, spread, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def _skin(rng: np.random.Generator) -> tuple[int, int, int]:
    linear = TONES[rng.integers(len(TONES))] * rng.uniform(0.6, 1.2)
    red, green, blue = (np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(int).tolist()
    return red, green, blue
