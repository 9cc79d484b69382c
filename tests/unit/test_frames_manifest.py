"""frames/manifest.py: manifests as a whole, of whatever form, and those that cannot be used."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifests import NOTHING, reasons, rows_for, write_jsonl
from sample_pictures import encode, picture, write_folder, write_video

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.tables import FRAMES


def test_json_lines_and_parquet_of_the_same_rows_give_the_same_listing(tmp_path):
    paths = write_folder(tmp_path, 4)
    rows = [
        {"uri": path.name, "hand": ("left", "right")[index % 2], "bbox_px": [index, 2, 20.5, 25],
         "fx": 60 + index, "fy": 61.5, "cx": 24, "cy": 16, "subject_id": f"s{index}",
         "distortion": [0.1, 0, 0, index / 10], "split": None if index else "train"}
        for index, path in enumerate(paths)
    ]  # fmt: skip
    from_json = list_frames(write_jsonl(tmp_path, rows), NOTHING)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    assert from_json.frames.equals(list_frames(tmp_path / "m.parquet", NOTHING).frames)
    assert from_json.frames.schema.equals(FRAMES)
    assert from_json.quarantine.num_rows == 0
    first = from_json.frames.to_pylist()[1]
    assert (first["hand"], first["bbox_px"], first["box_source"]) == ("right", [1, 2, 20.5, 25], "given")
    assert (first["fx"], first["fy"], first["intrinsics_source"]) == (61, 61.5, "given")


def test_a_listing_listed_again_is_itself(tmp_path):
    write_folder(tmp_path / "set", 3)
    write_video(tmp_path / "set" / "clip.mp4", 5)
    once = list_frames(tmp_path / "set", ListOptions(hand="left", subject_id="s")).frames
    pq.write_table(once, tmp_path / "frames.parquet")
    assert list_frames(tmp_path, NOTHING).frames.equals(once)


def test_pictures_inside_a_parquet_manifest_are_read_from_it(tmp_path):
    images = [encode(picture(seed), "PNG") for seed in range(3)] + [
        b"",
        b"text",
        encode(picture(9), "JPEG")[:-300],
    ]
    table = pa.table({"image": pa.array(images, pa.binary()), "hand": ["right"] * 6})
    pq.write_table(table, tmp_path / "m.parquet")
    listing = list_frames(tmp_path / "m.parquet", NOTHING)
    assert reasons(listing) == ["empty_file", "not_a_picture"]
    found = dict(read_pictures(listing.frames))
    for seed in range(3):
        np.testing.assert_array_equal(found[seed], picture(seed))
    assert found[3].reason == "truncated"


def test_a_row_that_names_a_video_stands_for_all_its_frames(tmp_path):
    for index in range(2):
        write_video(tmp_path / f"{index}.mp4", 4 + index)
    rows = [{"uri": "0.mp4", "hand": "left"}, {"uri": "1.mp4", "hand": "right", "video_frame": 3}]
    frames = list_frames(write_jsonl(tmp_path, rows), NOTHING).frames
    assert frames["video_frame"].to_pylist() == [0, 1, 2, 3, 3]
    assert frames["hand"].to_pylist() == ["left"] * 4 + ["right"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"uri": "a.png"}], r"no column 'hand'; add it with left or right, or pass --hand left\|right"),
        ([{"hand": "left"}], "no column 'uri' or 'image'"),
        ([{"uri": "a.png", "hand": "left", "box_px": [0, 0, 1, 1]}], "'box_px'; did you mean 'bbox_px'"),
        ([{"uri": "a.png", "hand": "left", "colour": 1}], "unknown column 'colour'"),
        ([{"uri": "a.png", "hand": "left", "image": "AAAA"}], "column 'image' holds bytes"),
        (["[", "{", "no"], "no line of it is a JSON object"),
        ([], "no row in it"),
        ([{"uri": 7, "hand": "left"}], "no 'uri' in it has the type string; row 1: uri is 7, not string"),
        ([{"uri": "gone.png", "hand": "left"}], "no usable frame .1 missing_file."),
    ],
)
def test_a_manifest_that_cannot_be_used_is_an_error_of_one_line(tmp_path, rows, message):
    with pytest.raises(InputError, match=message) as caught:
        list_frames(write_jsonl(tmp_path, rows), NOTHING)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("focal", [-500.0, 0.0])
def test_one_focal_length_below_zero_is_an_error_with_row_value_and_remedy(tmp_path, focal):
    rows = rows_for(write_folder(tmp_path, 3), fx=60.0, fy=60.0, cx=24.0, cy=16.0)
    rows[1]["fy"] = focal
    with pytest.raises(InputError, match=f"row 2: fy is {focal:g} px.* above 0; correct it") as caught:
        list_frames(write_jsonl(tmp_path, rows), NOTHING)
    assert "\n" not in str(caught.value)


def test_a_broken_parquet_file_is_an_error_of_one_line(tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="not readable as Parquet"):
        list_frames(tmp_path / "m.parquet", NOTHING)


def test_the_hand_option_fills_gaps_and_overrides_nothing(tmp_path):
    rows = rows_for(write_folder(tmp_path, 2))
    rows[0]["hand"] = "left"
    del rows[1]["hand"]
    frames = list_frames(write_jsonl(tmp_path, rows), ListOptions(hand="right")).frames
    assert frames["hand"].to_pylist() == ["left", "right"]


def test_a_byte_order_mark_blank_lines_and_windows_ends_do_no_harm(tmp_path):
    rows = rows_for(write_folder(tmp_path, 2))
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(row) for row in rows)
    (tmp_path / "m.jsonl").write_bytes(text.encode("utf-8"))
    assert list_frames(tmp_path / "m.jsonl", NOTHING).frames.num_rows == 2
