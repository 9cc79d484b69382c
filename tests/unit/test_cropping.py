"""steps/cropping.py: pixels and the map back to the picture agree; a frame that fails is a failure."""

import numpy as np
import pytest
from frames_tables import dot_picture, picture_frames, with_column
from hypothesis import given, settings
from hypothesis import strategies as st

from semihand.hand.crops import apply_affine
from semihand.steps.cropping import as_bytes, read_crops
from semihand.tables.rows import take_rows

SIZES = [(90, 70), (64, 120), (100, 100)]
BOXES = np.float32([[20, 10, 50, 40], [10, 40, 30, 50], [-5, 30, 60, 60]])
DOTS = np.array([[44.3, 31.2], [26.0, 63.5], [20.7, 61.4]])


def dot_frames(hands: tuple[str, ...] = ("right", "right", "right")):
    """Pictures of three sizes with a dot inside each one's box."""
    pictures = [dot_picture(*size, tuple(dot)) for size, dot in zip(SIZES, DOTS, strict=True)]
    return picture_frames(pictures, bbox_px=BOXES, hand=list(hands))


def centroid_px(crop: np.ndarray) -> np.ndarray:
    """The dot's place in pixels of a 64 px crop."""
    mass = crop[..., 0].astype(float)
    place = (np.arange(len(crop)) + 0.5) * 64 / len(crop) - 0.5
    return np.array([(mass.sum(0) * place).sum(), (mass.sum(1) * place).sum()]) / mass.sum()


@pytest.mark.parametrize("hands", [("right", "right", "right"), ("left", "right", "left")])
@pytest.mark.parametrize("size_px", [64, 128])
def test_a_point_of_the_picture_is_where_its_map_says_it_is_in_the_crop(size_px, hands):
    read = read_crops(dot_frames(hands), size_px, 1.2)
    assert read.rows == [0, 1, 2]
    expected = apply_affine(read.cameras.affine, DOTS[:, None])[:, 0]
    found = np.array([centroid_px(crop) for crop in read.pictures])
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_a_left_hand_is_seen_as_its_mirror_image():
    right, left = (read_crops(dot_frames((hand,) * 3), 64, 1.2) for hand in ("right", "left"))
    np.testing.assert_array_equal(left.pictures, right.pictures[:, :, ::-1])
    ours, theirs = (apply_affine(read.cameras.affine, DOTS[:, None])[:, 0] for read in (left, right))
    np.testing.assert_allclose(ours, theirs * [-1, 1] + [63, 0])


@given(st.permutations(range(3)))
@settings(max_examples=6)
def test_a_crop_does_not_depend_on_the_frames_beside_it(order):
    frames = dot_frames()
    together = read_crops(frames, 64, 1.2)
    turned = read_crops(take_rows(frames, order), 64, 1.2)
    for here, there in enumerate(order):
        np.testing.assert_array_equal(turned.pictures[here], together.pictures[there])
        np.testing.assert_array_equal(turned.cameras.affine[here], together.cameras.affine[there])


def test_what_cannot_be_read_is_named_and_the_rest_comes_in_order():
    frames = dot_frames()
    images = frames["image"].to_pylist()
    read = read_crops(with_column(frames, "image", [images[0][:60], *images[1:]]), 64, 1.2)
    assert read.rows == [1, 2]
    assert [(row, problem.reason) for row, problem in read.failures] == [(0, "changed")]
    np.testing.assert_array_equal(read.pictures, read_crops(frames, 64, 1.2).pictures[1:])
    assert len(read.cameras.affine) == len(read.cameras.intrinsics) == 2


def test_a_depth_picture_is_no_picture_of_a_hand_to_a_network_that_reads_colours():
    read = read_crops(with_column(dot_frames(), "modality", ["rgb", "depth", "rgb"]), 64, 1.2)
    assert read.rows == [0, 2]
    assert [(row, problem.reason) for row, problem in read.failures] == [(1, "unsupported_format")]


def test_a_box_that_fits_no_picture_costs_only_its_own_frame():
    boxes = BOXES.copy()
    boxes[1] = [0, 0, 5000, 5000]
    boxes[2, 2:] = 0
    read = read_crops(picture_frames([dot_picture(90, 70, (40, 30))] * 3, bbox_px=boxes), 64, 1.2)
    assert read.rows == [0]
    assert [(row, problem.reason) for row, problem in read.failures] == [(1, "bad_box"), (2, "bad_box")]


def test_without_a_box_the_whole_picture_is_the_crop():
    read = read_crops(picture_frames([dot_picture(90, 70, (44.0, 34.5))]), 64, 1.0)
    # a square of 90 px about the picture's middle, (44.5, 34.5)
    corners = apply_affine(read.cameras.affine, np.array([[[-0.5, 34.5], [89.5, 34.5], [44.5, 34.5]]]))[0]
    np.testing.assert_allclose(corners, [[-0.5, 31.5], [63.5, 31.5], [31.5, 31.5]], atol=1e-9)


def test_a_camera_is_the_rows_own_or_assumed_and_a_short_lens_is_filled_with_zeros():
    camera = {"fx": [500.0, None], "fy": [510.0, 400.0], "cx": [44.0, 40.0], "cy": [35.0, 30.0]}
    lens = [[0.1, 0.2, 0.01, 0.02, 0.3], None]
    frames = picture_frames([dot_picture(90, 70, (40, 30))] * 2, distortion=lens, **camera)
    cameras = read_crops(frames, 64, 1.2).cameras
    np.testing.assert_allclose(cameras.intrinsics[0], [[500, 0, 44], [0, 510, 35], [0, 0, 1]])
    # of four numbers one is missing, so the camera is not known: f = 1.2 × 90 px, centred
    np.testing.assert_allclose(cameras.intrinsics[1], [[108, 0, 44.5], [0, 108, 34.5], [0, 0, 1]])
    np.testing.assert_allclose(cameras.distortion, [[0.1, 0.2, 0.01, 0.02, 0.3, 0, 0, 0], [0] * 8])


def test_no_frames_give_no_crops():
    read = read_crops(dot_frames().slice(0, 0), 64, 1.2)
    assert (read.rows, read.failures, read.pictures.shape) == ([], [], (0, 64, 64, 3))
    assert as_bytes(read.pictures).shape == (0, 3, 64, 64)
