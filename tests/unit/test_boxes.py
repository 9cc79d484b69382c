"""hand/boxes.py: shares of areas."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semihand.hand.boxes import is_inside, overlap

corners, sides = st.integers(-5, 12).map(float), st.integers(1, 12).map(float)
whole_boxes = st.tuples(corners, corners, sides, sides)


def cells(box):
    grid = np.zeros((40, 40), bool)
    x, y, width, height = map(int, box)
    grid[y + 10 : y + 10 + height, x + 10 : x + 10 + width] = True
    return grid


@given(whole_boxes, whole_boxes)
def test_the_overlap_is_the_cells_of_both_over_the_cells_of_either(one, other):
    expected = (cells(one) & cells(other)).sum() / (cells(one) | cells(other)).sum()
    assert abs(overlap(one, other) - expected) < 1e-12


@given(whole_boxes)
def test_a_box_is_inside_where_it_has_a_pixel_of_the_picture(box):
    assert is_inside(box, 8, 6) == bool(cells(box)[10:16, 10:18].any())
