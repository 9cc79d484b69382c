"""Boxes as x, y, width, height: how much of two is the same."""

from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> float:
    """The area that two boxes share over the area that they cover together, 0..1."""
    (x, y, width, height), (left, top, across, down) = one, other
    shared_x = min(x + width, left + across) - max(x, left)
    shared_y = min(y + height, top + down) - max(y, top)
    if shared_x <= 0 or shared_y <= 0:
        return 0.0
    shared = shared_x * shared_y
    return shared / (width * height + across * down - shared)


def is_inside(box: Box, width_px: int, height_px: int) -> bool:
    """Whether a box has at least a pixel of a picture of this size in it."""
    x, y, width, height = box
    return min(x + width, width_px) - max(x, 0) >= 1 and min(y + height, height_px) - max(y, 0) >= 1
