"""hand/crops.py: boxes and affine maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semihand.hand.crops import apply_affine, compose, crop_affine, invert_affine, square_box

finite = st.floats(-2000, 2000, allow_subnormal=False)
sides = st.floats(1, 3000, allow_subnormal=False)
boxes = st.tuples(finite, finite, sides, sides).map(np.array)


@given(boxes, st.floats(0.5, 3))
def test_a_square_box_keeps_the_middle_and_covers_the_longer_side(box_px, margin):
    square = square_box(box_px, margin)
    np.testing.assert_allclose(square[:2] + square[2:] / 2, box_px[:2] + box_px[2:] / 2, atol=1e-9)
    np.testing.assert_allclose(square[2:], max(box_px[2:]) * margin)


@given(boxes, st.sampled_from([1, 64, 255, 256]), st.booleans())
def test_a_point_comes_back_from_the_crop(box_px, size_px, mirror):
    affine = crop_affine(box_px, size_px, mirror)
    points_px = np.array([[0.0, 0.0], [12.5, -7.25], box_px[:2], box_px[:2] + box_px[2:]])
    there = apply_affine(affine, points_px)
    np.testing.assert_allclose(apply_affine(invert_affine(affine), there), points_px, atol=1e-6)
    np.testing.assert_allclose(compose(invert_affine(affine), affine), np.eye(3)[:2], atol=1e-6)


@given(boxes, st.sampled_from([64, 128]))
def test_the_edges_of_the_box_fall_on_the_edges_of_the_crop(box_px, size_px):
    corners = np.array([box_px[:2] - 0.5, box_px[:2] + box_px[2:] - 0.5])
    in_crop = apply_affine(crop_affine(box_px, size_px), corners)
    np.testing.assert_allclose(in_crop, [[-0.5, -0.5], [size_px - 0.5, size_px - 0.5]], atol=1e-6)


def test_a_crop_of_the_same_size_only_shifts_whole_pixels():
    affine = crop_affine(np.array([30.0, 20.0, 64.0, 64.0]), 64)
    np.testing.assert_allclose(apply_affine(affine, np.array([[30.0, 20.0], [93.0, 83.0]])), [[0, 0], [63, 63]])


def test_pixel_centres_go_where_picture_resampling_puts_them():
    # Reference: Pillow's box resampling of a picture whose value is its own column or row.
    from PIL import Image

    box_px, size_px = np.array([4.0, 8.0, 32.0, 32.0]), 8
    rows, columns = np.mgrid[:48, :48].astype(np.float32)
    left, top, right, bottom = 4, 8, 36, 40
    inverse = invert_affine(crop_affine(box_px, size_px))
    centres = apply_affine(inverse, np.stack(np.mgrid[:8, :8][::-1], -1).reshape(-1, 2).astype(float))
    for axis, ramp in ((0, columns), (1, rows)):
        small = Image.fromarray(ramp).resize((8, 8), Image.Resampling.BOX, box=(left, top, right, bottom))
        np.testing.assert_allclose(np.asarray(small).ravel(), centres[:, axis], atol=1e-4)


@given(boxes, st.sampled_from([64, 65]))
def test_a_mirrored_crop_is_the_crop_turned_left_to_right(box_px, size_px):
    points_px = np.array([[3.0, 4.0], [-50.0, 7.0]])
    plain = apply_affine(crop_affine(box_px, size_px), points_px)
    mirrored = apply_affine(crop_affine(box_px, size_px, mirror=True), points_px)
    np.testing.assert_allclose(mirrored[:, 0], size_px - 1 - plain[:, 0], atol=1e-6)
    np.testing.assert_allclose(mirrored[:, 1], plain[:, 1], atol=1e-9)


def test_compose_does_the_inner_map_first():
    rng = np.random.default_rng(0)
    outer, inner, points = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 5, 2))
    expected = apply_affine(outer, apply_affine(inner, points))
    np.testing.assert_allclose(apply_affine(compose(outer, inner), points), expected)


def test_every_row_of_a_batch_has_its_own_map():
    box_px = np.array([[0.0, 0, 10, 10], [5, 5, 20, 20], [-3, 2, 7, 9]])
    together = crop_affine(square_box(box_px, 1.2), 32)
    for row in range(3):
        np.testing.assert_array_equal(together[row], crop_affine(square_box(box_px[row], 1.2), 32))


def test_boxes_sizes_and_maps_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"box_px\[1\] is \[0.0, 0.0, 5.0, 0.0\]"):
        crop_affine(np.array([[0.0, 0, 5, 5], [0, 0, 5, 0]]), 64)
    with pytest.raises(ValueError, match=r"box_px\[\] is \[nan"):
        square_box(np.array([np.nan, 0, 5, 5]), 1.0)
    with pytest.raises(ValueError, match=r"margin is 0\.0"):
        square_box(np.array([0.0, 0, 5, 5]), 0.0)
    with pytest.raises(ValueError, match="size_px is 0"):
        crop_affine(np.array([0.0, 0, 5, 5]), 0)
    with pytest.raises(ValueError, match="has no inverse"):
        invert_affine(np.zeros((2, 3)))
