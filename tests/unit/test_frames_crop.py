"""frames/crop.py: crops whose pixels lie where their affine map says, and the shards of a listing."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_pictures import encode, picture

from semihand.frames.crop import crop_hand, shards
from semihand.frames.decode import decode_picture
from semihand.hand.crops import apply_affine, invert_affine


def dot(x: float, y: float, width: int, height: int, spread_px: float) -> np.ndarray:
    """A soft white dot whose middle is exactly (x, y), pixel centres at integers."""
    columns, rows = np.arange(width), np.arange(height)[:, None]
    glow = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread_px**2))
    return np.repeat(np.rint(250 * glow).astype(np.uint8)[..., None], 3, axis=-1)


def middle(crop: np.ndarray) -> np.ndarray:
    weights = crop[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.floats(60, 180), st.floats(60, 140)),
    st.tuples(st.floats(-25, 25), st.floats(-25, 25)),
    st.floats(40, 190),
    st.sampled_from([32, 64, 128]),
    st.booleans(),
)
def test_a_dot_lies_where_the_affine_map_puts_it(place, offset, side_px, size_px, mirror):
    spread_px = max(3.0, 1.5 * side_px / size_px)
    image = dot(*place, 240, 200, spread_px)
    reach = side_px / 2 - 4 * spread_px
    offset = np.clip(offset, -max(reach, 0), max(reach, 0))
    corner = np.array(place) + offset - side_px / 2
    crop, affine = crop_hand(image, np.array([*corner, side_px, side_px]), size_px, mirror)
    if reach > 0:
        expected = apply_affine(affine, np.array([place]))[0]
        np.testing.assert_allclose(middle(crop), expected, atol=0.06)


@pytest.mark.parametrize("size_px", [64, 128])
def test_a_crop_of_a_huge_picture_is_not_shifted(size_px):
    place = (1000.25, 700.75)
    crop, affine = crop_hand(dot(*place, 2000, 1500, 60), np.array([100.3, 50.7, 1700, 1300]), size_px)
    np.testing.assert_allclose(middle(crop), apply_affine(affine, np.array([place]))[0], atol=0.06)


def test_a_box_of_whole_pixels_at_its_own_size_is_cut_out_unchanged():
    image = picture(1, 90, 80)
    crop, affine = crop_hand(image, np.array([10.0, 20.0, 32.0, 32.0]), 32)
    np.testing.assert_array_equal(crop, image[20:52, 10:42])
    np.testing.assert_allclose(affine, [[1, 0, -10], [0, 1, -20]])


def test_a_mirrored_crop_is_the_crop_mirrored():
    box = np.array([3.5, 4.25, 40.0, 30.0])
    plain, affine = crop_hand(picture(2), box, 24, False, 1.2)
    mirrored, mirror_affine = crop_hand(picture(2), box, 24, True, 1.2)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    points = np.array([[3.0, 9.0], [40.0, 20.0]])
    expected = apply_affine(affine, points) * [-1, 1] + [23, 0]
    np.testing.assert_allclose(apply_affine(mirror_affine, points), expected)


def test_outside_the_picture_it_is_black_and_inside_it_is_not():
    white = np.full((32, 48, 3), 255, np.uint8)
    crop, affine = crop_hand(white, np.array([-48.0, -32.0, 96.0, 96.0]), 96)
    centres = np.stack(np.meshgrid(np.arange(96.0), np.arange(96.0)), axis=-1).reshape(-1, 2)
    there = apply_affine(invert_affine(affine), centres).reshape(96, 96, 2)
    inside = ((there > -0.4) & (there < [47.4, 31.4])).all(axis=-1)
    assert (crop[inside] == 255).all()
    assert (crop[~inside] == 0).all()


def test_a_box_beside_the_picture_gives_black():
    crop, _ = crop_hand(picture(3), np.array([500.0, 10.0, 20.0, 20.0]), 16)
    assert not crop.any()


def test_fine_stripes_become_grey_and_not_moire():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    crop, _ = crop_hand(stripes, np.array([0.0, 0.0, 512.0, 512.0]), 60)
    assert np.abs(crop[2:-2, 2:-2].astype(int) - 127).max() <= 4


def test_a_box_that_dwarfs_its_picture_is_refused_before_its_memory_is_taken():
    with pytest.raises(ValueError, match="give the hand's own box"):
        crop_hand(picture(4), np.array([0.0, 0.0, 1e7, 1e7]), 64)


def frames(rows: list[tuple[str, int | None]]) -> pa.Table:
    uris, numbers = zip(*rows, strict=True)
    return pa.table({"uri": pa.array(uris), "video_frame": pa.array(numbers, pa.int64())})


def test_shards_hold_every_row_once_and_videos_in_contiguous_stretches():
    rows: list[tuple[str, int | None]] = [("a.mp4", n) for n in (5, 3, 4, 0, 1, 2)]
    rows += [("x.jpg", None), ("b.mp4", 1), ("y.jpg", None), ("b.mp4", 0)]
    pieces = shards(frames(rows), 3)
    assert [piece.num_rows for piece in pieces] == [3, 3, 3, 1]
    joined = [(row["uri"], row["video_frame"]) for piece in pieces for row in piece.to_pylist()]
    assert joined == [
        ("x.jpg", None),
        ("y.jpg", None),
        *[("a.mp4", n) for n in range(6)],
        ("b.mp4", 0),
        ("b.mp4", 1),
    ]


def test_one_long_video_spreads_over_many_shards():
    pieces = shards(frames([("long.mp4", n) for n in range(1000)]), 100)
    assert [piece["video_frame"][0].as_py() for piece in pieces] == list(range(0, 1000, 100))


def test_no_frames_make_no_shards_and_no_rows_are_refused():
    assert shards(frames([("a.jpg", None)]).slice(0, 0), 4) == []
    with pytest.raises(ValueError, match="rows_per_shard is 0"):
        shards(frames([("a.jpg", None)]), 0)


@pytest.mark.bench
def test_decoding_and_cropping_a_small_jpeg_is_quick(capsys):
    data = encode(picture(5, 100, 100), "JPEG")
    start = time.perf_counter()
    for _ in range(200):
        crop_hand(decode_picture(data), np.array([0.0, 0.0, 100.0, 100.0]), 64, True, 1.1)
    with capsys.disabled():
        print(f"decode and crop: {(time.perf_counter() - start) / 200 * 1e3:.2f} ms")
