"""frames/manifest.py, checks.py and identify.py: each row by itself, whatever strangers wrote into it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manifests import NOTHING, reasons, rows_for, write_jsonl
from sample_pictures import write_folder, write_video

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.tables import FRAMES, PICTURE_COLUMNS, content_sha256


def test_each_bad_row_has_its_reason_and_leaves_its_neighbours_alone(tmp_path):
    write_video(tmp_path / "clip.mp4", 4)
    paths = write_folder(tmp_path, 24)
    good = rows_for(paths)
    camera = {"fx": 60.0, "fy": 60.0, "cx": 24.0, "cy": 16.0}
    bad = {
        0: ({"hand": "both"}, "bad_hand"),
        2: ({"hand": None}, "bad_hand"),
        3: ({"bbox_px": [0, 0, -5, 5]}, "bad_box"),
        4: ({"bbox_px": [100, 100, 5, 5]}, "bad_box"),
        5: ({"bbox_px": [0, 0, 5000, 5000]}, "bad_box"),
        6: ({"bbox_px": [0, 0, 5]}, "bad_row"),
        7: ({"fx": 60.0}, "bad_camera"),
        8: (camera | {"cx": 5000.0}, "bad_camera"),
        9: (camera | {"distortion": [0.1, 0.2]}, "bad_camera"),
        10: ({"world_to_camera": [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0]}, "bad_camera"),
        11: ({"world_to_camera": [2.0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0]}, "bad_camera"),
        12: ({"uri": "../secret.png"}, "bad_path"),
        13: ({"uri": "/etc/hostname"}, "bad_path"),
        14: ({"uri": "s3://bucket/a.png"}, "bad_path"),
        15: ({"uri": "a\0b.png"}, "bad_path"),
        16: ({"uri": "x" * 300 + ".png"}, "bad_path"),
        17: ({"uri": None}, "bad_row"),
        18: ({"uri": "clip.mp4", "video_frame": 4}, "video_frame_missing"),
        19: ({"video_frame": 0}, "unreadable"),
        20: ({"content_sha256": "0" * 64}, "changed"),
        21: ({"modality": "sonar"}, "bad_row"),
        22: ({"uri": paths[1].name}, "duplicate"),
    }
    rows = [row | bad[index][0] if index in bad else row for index, row in enumerate(good)]
    listing = list_frames(write_jsonl(tmp_path, rows), NOTHING)
    found = {row["uri"]: row["reason"] for row in listing.quarantine.to_pylist()}
    assert reasons(listing) == [reason for _, reason in bad.values()], found
    assert listing.frames["uri"].to_pylist() == [str(paths[1]), str(paths[23])]
    alone = list_frames(write_jsonl(tmp_path, [good[1], good[23]], "alone.jsonl"), ListOptions(dataset="m")).frames
    assert listing.frames.equals(alone)


@pytest.mark.parametrize(
    "line",
    ['{"uri": "a.png", "hand": NaN}', "[" * 200_000, '{"uri": "a.png", "video_frame": ' + "9" * 5000 + "}",
     '{"uri": "a.png", "uri": "b.png"}', "7", '{"uri": "\\ud800.png", "hand": "left"}', "{'uri': 1}",
     '{"uri": "a.png", "hand": "left", "video_frame": 1e30}', '{"uri": 3, "hand": "left"}'],
)  # fmt: skip
def test_a_line_that_is_no_row_is_quarantined(tmp_path, line):
    good = rows_for(write_folder(tmp_path, 2))
    listing = list_frames(write_jsonl(tmp_path, [good[0], line, {**good[1], "video_frame": None}]), NOTHING)
    assert reasons(listing) == ["bad_row"]
    assert listing.frames.num_rows == 2


def test_nan_and_null_inside_cameras_and_boxes_are_problems_of_their_rows(tmp_path):
    paths = write_folder(tmp_path, 5)
    nan = float("nan")
    columns = {
        "uri": [path.name for path in paths],
        "hand": ["right"] * 5,
        "fx": [60.0, nan, 60.0, 60.0, None], "fy": [60.0] * 4 + [None], "cx": [24.0] * 4 + [None],
        "cy": [16.0] * 4 + [None],
        "bbox_px": [[1.0, 1, 20, 20], [1.0, 1, 20, 20], [nan, 1, 20, 20], [1.0, None, 20, 20], None],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    listing = list_frames(tmp_path / "m.parquet", NOTHING)
    assert reasons(listing) == ["bad_camera", "bad_box", "bad_box"]
    assert listing.frames["intrinsics_source"].to_pylist() == ["given", "assumed"]


def test_two_hands_of_one_picture_need_ids_of_their_own(tmp_path):
    path = write_folder(tmp_path, 1)[0]
    rows = [{"uri": path.name, "hand": hand} for hand in ("left", "right")]
    assert reasons(list_frames(write_jsonl(tmp_path, rows), NOTHING)) == ["duplicate"]
    named = [row | {"frame_id": row["hand"]} for row in rows]
    frames = list_frames(write_jsonl(tmp_path, named), NOTHING).frames
    assert frames["frame_id"].to_pylist() == ["left", "right"]
    pictures = dict(read_pictures(frames))
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_the_hash_that_a_manifest_gives_is_held(tmp_path):
    path = write_folder(tmp_path, 1)[0]
    right = rows_for([path], content_sha256=content_sha256(path.read_bytes()))
    assert list_frames(write_jsonl(tmp_path, right), NOTHING).frames.num_rows == 1


def test_one_row_of_each_view_is_another_frame(tmp_path):
    path = write_folder(tmp_path, 1)[0]
    rows = [{"uri": path.name, "hand": "left", "view_id": view} for view in ("a", "b")]
    assert list_frames(write_jsonl(tmp_path, rows), NOTHING).frames.num_rows == 2


def test_a_bad_frame_says_its_reason():
    assert str(BadFrame("bad_box", "no area")) == "bad_box: no area"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12), st.sampled_from(["left", "right", "rgb", "none", "hand_001.png", "../x", "given"]),
)  # fmt: skip
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=5), st.just([1.5, 2, 20, 20]), st.just([0.0] * 12))
COLUMNS = sorted({*FRAMES.names} - {*PICTURE_COLUMNS})
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=3), min_size=1, max_size=6)


def listed_or_refused(path):
    """The listing, or the words of the error that refuses all of it."""
    try:
        return list_frames(path, NOTHING)
    except InputError as error:
        return str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_whatever_rows_hold_each_ends_as_a_frame_or_a_reason_or_all_as_one_error(tmp_path, rows):
    if not (tmp_path / "hand_000.png").exists():
        write_folder(tmp_path, 2)
    plain = [{"uri": "hand_001.png", "hand": "right", "view_id": str(view)} for view in range(len(rows))]
    rows = [usual | odd for usual, odd in zip(plain, rows, strict=True)]
    rows.append({"uri": "hand_000.png", "hand": "left", "frame_id": "sane"})
    listing = listed_or_refused(write_jsonl(tmp_path, rows))
    if isinstance(listing, str):
        assert "\n" not in listing
        return
    assert listing.frames.num_rows + listing.quarantine.num_rows == len(rows)
    ids = listing.frames["frame_id"].to_pylist() + listing.quarantine["frame_id"].to_pylist()
    assert len(set(ids)) == len(rows)
    assert "sane" in listing.frames["frame_id"].to_pylist()
    assert not [problem for _, problem in read_pictures(listing.frames) if isinstance(problem, BadFrame)]
