"""Pictures as figures show them: cut about the hand, and never beyond the picture."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from semihand.frames.limits import STANDARD
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.rounds.shown import read_shown

SIZE = (320, 200)


@pytest.fixture
def listed(tmp_path):
    """Rows of three pictures, of which the second is gone."""
    for index in range(3):
        Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 60 * index, np.uint8)).save(tmp_path / f"{index}.png")
    frames = list_frames(tmp_path, ListOptions(hand="right")).frames
    (tmp_path / "1.png").unlink()
    return frames


def with_boxes(frames, boxes):
    column = frames.schema.get_field_index("bbox_px")
    return frames.set_column(column, frames.schema.field(column), pa.array(boxes, frames.schema.field(column).type))


def test_rows_that_can_be_read_are_shown_about_their_boxes(listed):
    shown = read_shown(with_boxes(listed, [[100, 60, 40, 20], [0, 0, 9, 9], None]), STANDARD)
    assert shown.rows == [0, 2]
    assert shown.views_px == [(90.0, 40.0, 60.0, 60.0), None]
    assert [int(picture[0, 0, 0]) for picture in shown.pictures] == [0, 120]


@pytest.mark.parametrize(
    ("box", "view"),
    [
        ((0, 0, 40, 40), (0, 0, 50, 50)),
        ((300, 180, 20, 20), (295, 175, 25, 25)),
        ((-30, 150, 60, 60), (0, 135, 45, 65)),
        ((0, 0, 320, 200), (0, 0, 320, 200)),
    ],
)
def test_a_view_ends_at_the_edges_of_the_picture(listed, box, view):
    assert read_shown(with_boxes(listed, [box] * 3), STANDARD).views_px == [view] * 2
