"""Crops of a hand, anti-aliased, and the shards that frames are worked in."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, UInt8
from PIL import Image

from semihand.hand.crops import crop_affine, square_box
from semihand.tables.rows import take_rows

MAX_SIDE_FACTOR = 8  # beyond it the hand would be a dot, and the border would fill the memory
REDUCING_GAP = 3.0  # large crops are halved by averaging first; 3 is Pillow's "indistinguishable"


def crop_hand(
    picture: UInt8[np.ndarray, "height width 3"],
    box_px: Float[np.ndarray, " 4"],
    size_px: int,
    mirror: bool = False,
    margin: float = 1.0,
) -> tuple[UInt8[np.ndarray, "size size 3"], Float[np.ndarray, "2 3"]]:
    """Cut out the square about a box and scale it without aliasing; black outside the picture.

    Args:
        picture: upright RGB.
        box_px: x, y, width, height in px of the picture.
        size_px: side of the crop.
        mirror: exchange left and right, the way a left hand becomes a right one.
        margin: side of the square as a multiple of the box's longer side.

    Returns:
        The crop, and the affine map from the picture's pixels to the crop's, pixel centres at integers.

    Raises:
        ValueError: the box is not finite, has no area or dwarfs the picture, or the margin or size is not
            above 0.
    """
    square_px = square_box(np.asarray(box_px, np.float64), margin)
    _check_side(square_px, picture)
    affine = crop_affine(square_px, size_px, mirror)
    crop: np.ndarray = np.zeros((size_px, size_px, 3), np.uint8)
    pixel_px = float(square_px[2]) / size_px
    # The box's edges in Pillow's coordinates, where a picture begins at 0: those of crops.py plus one half.
    columns = _overlap(float(square_px[0]), pixel_px, size_px, picture.shape[1])
    rows = _overlap(float(square_px[1]), pixel_px, size_px, picture.shape[0])
    if columns and rows:
        part = _scaled_part(picture, square_px, pixel_px, columns, rows)
        crop[rows[0] : rows[1], columns[0] : columns[1]] = part
    if mirror:
        crop = np.ascontiguousarray(crop[:, ::-1])
    return crop, affine


def _check_side(square_px: np.ndarray, picture: np.ndarray) -> None:
    limit_px = MAX_SIDE_FACTOR * max(picture.shape[:2])
    if square_px[2] > limit_px:
        raise ValueError(
            f"box_px with its margin is the square {square_px.tolist()}, whose side is above {limit_px} px, "
            f"{MAX_SIDE_FACTOR} times the picture; give the hand's own box"
        )


def _overlap(start_px: float, pixel_px: float, size_px: int, length_px: int) -> tuple[int, int] | None:
    """First and last-but-one crop pixel that touches a picture of this length."""
    first = max(0, math.floor(-start_px / pixel_px))
    last = min(size_px, math.ceil((length_px - start_px) / pixel_px))
    return (first, last) if last > first else None


def _scaled_part(
    picture: np.ndarray,
    square_px: np.ndarray,
    pixel_px: float,
    columns: tuple[int, int],
    rows: tuple[int, int],
) -> np.ndarray:
    x0, x1 = (float(square_px[0]) + pixel_px * column for column in columns)
    y0, y1 = (float(square_px[1]) + pixel_px * row for row in rows)
    reach_px = math.ceil(2 * max(pixel_px, 1.0)) + 1  # the filter looks this far beyond the box
    left, top = math.floor(x0) - reach_px, math.floor(y0) - reach_px
    right, bottom = math.ceil(x1) + reach_px, math.ceil(y1) + reach_px
    cut = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    before_y, before_x = max(-top, 0), max(-left, 0)
    after_y = bottom - top - before_y - cut.shape[0]
    after_x = right - left - before_x - cut.shape[1]
    if before_y or before_x or after_y or after_x:
        cut = np.pad(cut, ((before_y, after_y), (before_x, after_x), (0, 0)))
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(cut)).resize(
            (columns[1] - columns[0], rows[1] - rows[0]),
            Image.Resampling.BILINEAR,
            box=(x0 - left, y0 - top, x1 - left, y1 - top),
            reducing_gap=REDUCING_GAP,
        )
    )


def shards(frames: pa.Table, rows_per_shard: int) -> list[pa.Table]:
    """Cut frames into pieces for actors; the frames of a video stay together, in order.

    Every actor then decodes one stretch of a video forward, and a long video spreads over many of them.

    Raises:
        ValueError: rows_per_shard is below 1.
    """
    if rows_per_shard < 1:
        raise ValueError(f"rows_per_shard is {rows_per_shard}, but must be at least 1; 256 is usual")
    if frames.num_rows == 0:
        return []
    uris = pc.fill_null(frames["uri"].cast(pa.string()), "")
    is_video = pc.is_valid(frames["video_frame"])
    order = pa.table(
        {
            "still_first": is_video.cast(pa.int8()),
            "uri": pc.if_else(is_video, uris, ""),
            "video_frame": pc.fill_null(frames["video_frame"], 0),
            "row": pa.array(np.arange(frames.num_rows)),
        }
    )
    keys = [(name, "ascending") for name in order.column_names]
    ordered = take_rows(frames, pc.sort_indices(order, sort_keys=keys).to_numpy().astype(np.int64))
    return [ordered.slice(start, rows_per_shard) for start in range(0, frames.num_rows, rows_per_shard)]
