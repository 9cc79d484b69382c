"""frames/listing.py, folder.py and reading.py: folders of pictures, good and bad."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sample_pictures import encode, picture, png_header, write_folder, write_video

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.tables import FRAMES, QUARANTINE

RIGHT = ListOptions(hand="right")


def reasons(listing) -> dict[str, str]:
    return {Path(row["uri"]).name: row["reason"] for row in listing.quarantine.to_pylist()}


def test_four_bad_pictures_among_good_ones_are_four_rows_with_four_reasons(tmp_path):
    good = write_folder(tmp_path / "deep" / "er", 6, "JPEG")
    before = list_frames(tmp_path, RIGHT).frames
    (tmp_path / "text.jpg").write_text("I am a text.")
    (tmp_path / "deep" / "cut.jpg").write_bytes(encode(picture(50), "JPEG")[:-300])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
    listing = list_frames(tmp_path, RIGHT)
    found = dict(read_pictures(listing.frames))
    late = {row: problem.reason for row, problem in found.items() if isinstance(problem, BadFrame)}
    assert reasons(listing) == {
        "text.jpg": "not_a_picture",
        "empty.jpg": "empty_file",
        "bomb.png": "too_large",
    }
    uris = listing.frames["uri"].to_pylist()
    assert {Path(uris[row]).name: reason for row, reason in late.items()} == {"cut.jpg": "truncated"}
    kept = listing.frames.take([row for row in range(listing.frames.num_rows) if row not in late])
    assert kept.equals(before)
    assert kept["uri"].to_pylist() == [str(path) for path in good]
    ids = listing.frames["frame_id"].to_pylist() + listing.quarantine["frame_id"].to_pylist()
    assert len(set(ids)) == len(ids) == 10


def test_a_listing_has_the_declared_schemas_and_all_required_values(tmp_path):
    write_folder(tmp_path, 2)
    (tmp_path / "empty.png").write_bytes(b"")
    listing = list_frames(tmp_path, RIGHT, round_index=3)
    assert listing.frames.schema.equals(FRAMES)
    assert listing.quarantine.schema.equals(QUARANTINE)
    for table in (listing.frames, listing.quarantine):
        assert not [field.name for field in table.schema if not field.nullable and table[field.name].null_count]
    assert listing.quarantine.to_pylist()[0] | {"frame_id": "", "detail": ""} == {
        "frame_id": "", "uri": "empty.png", "round": 3, "stage": "ingest", "reason": "empty_file",
        "detail": "",
    }  # fmt: skip


def test_what_nothing_says_is_filled_and_marked(tmp_path):
    (tmp_path / "wide.png").write_bytes(encode(picture(1, 80, 40)))
    row = list_frames(tmp_path, RIGHT).frames.to_pylist()[0]
    assert row["bbox_px"] == [0, 0, 80, 40]
    assert row["box_source"] == "region"
    assert (row["fx"], row["fy"], row["cx"], row["cy"]) == (96, 96, 39.5, 19.5)
    assert row["intrinsics_source"] == "assumed"
    assert (row["hand"], row["modality"], row["supervision"]) == ("right", "rgb", "none")


def test_what_the_caller_says_fills_every_row(tmp_path):
    write_folder(tmp_path, 2)
    options = ListOptions(
        hand="left", box=(4, 5, 20, 10), intrinsics=(50, 51, 20, 15), subject_id="anna", dataset="mine"
    )
    for row in list_frames(tmp_path, options).frames.to_pylist():
        assert row["bbox_px"] == [4, 5, 20, 10]
        assert (row["fx"], row["fy"], row["cx"], row["cy"]) == (50, 51, 20, 15)
        assert (row["hand"], row["subject_id"], row["dataset"]) == ("left", "anna", "mine")
        assert (row["box_source"], row["intrinsics_source"]) == ("region", "given")


def test_a_camera_of_another_resolution_that_the_caller_gives_is_refused_as_a_rows_own_is(tmp_path):
    write_folder(tmp_path, 2)
    with pytest.raises(InputError, match="principal point lies far outside"):
        list_frames(tmp_path, ListOptions(hand="left", intrinsics=(1400, 1400, 960, 540)))


def test_a_frame_keeps_its_id_when_its_folder_moves_and_others_join_it(tmp_path):
    options = ListOptions(hand="right", dataset="set")
    write_folder(tmp_path / "here", 3)
    here = list_frames(tmp_path / "here", options).frames
    (tmp_path / "here").rename(tmp_path / "there")
    (tmp_path / "there" / "another.png").write_bytes(encode(picture(9)))
    there = list_frames(tmp_path / "there", options).frames
    assert set(here["frame_id"].to_pylist()) < set(there["frame_id"].to_pylist())


def test_files_that_are_no_pictures_by_name_are_passed_over(tmp_path):
    write_folder(tmp_path, 1)
    for name in ("README.txt", "LICENSE", "labels.csv", ".hidden"):
        (tmp_path / name).write_text(name)
    listing = list_frames(tmp_path, RIGHT)
    assert (listing.frames.num_rows, listing.quarantine.num_rows) == (1, 0)


def test_links_pipes_and_odd_names_are_quarantined_and_never_hang(tmp_path):
    outside = write_folder(tmp_path / "outside", 1)[0]
    folder = tmp_path / "set"
    inside = write_folder(folder / "sub", 2)[0]
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "escape.png").symlink_to(outside)
    (folder / "fine.png").symlink_to(inside)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "tab\tand\nline.png").write_bytes(encode(picture(7)))
    with open(os.fsencode(folder) + b"/caf\xe9.png", "wb") as file:
        file.write(encode(picture(8)))
    listing = list_frames(folder, RIGHT)
    assert reasons(listing) == {
        "loop": "bad_path", "self.png": "bad_path", "gone.png": "missing_file", "escape.png": "bad_path",
        "pipe.jpg": "bad_path", "caf\\xe9.png": "bad_name",
    }  # fmt: skip
    assert listing.frames.num_rows == 4
    assert not [problem for _, problem in read_pictures(listing.frames) if isinstance(problem, BadFrame)]


def test_a_wider_root_admits_links_that_leave_the_folder(tmp_path):
    outside = write_folder(tmp_path / "outside", 1)[0]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link.png").symlink_to(outside)
    listing = list_frames(tmp_path / "set", ListOptions(hand="right", root=tmp_path))
    assert listing.frames["uri"].to_pylist() == [str(outside)]


def test_two_names_that_are_one_key_are_one_frame_and_one_duplicate(tmp_path):
    for index, name in enumerate(("caf\u00e9.png", "cafe\u0301.png")):
        (tmp_path / name).write_bytes(encode(picture(index)))
    listing = list_frames(tmp_path, RIGHT)
    assert listing.frames.num_rows == 1
    assert list(reasons(listing).values()) == ["duplicate"]
    assert not {*listing.frames["frame_id"].to_pylist()} & {*listing.quarantine["frame_id"].to_pylist()}


def test_pictures_come_sorted_by_path_whatever_order_they_were_written_in(tmp_path):
    names = ["b/2.png", "a/9.png", "c.png", "b/10.png", "a/A.png"]
    for index, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(picture(index)))
    uris = list_frames(tmp_path, RIGHT).frames["uri"].to_pylist()
    assert [os.path.relpath(uri, tmp_path) for uri in uris] == sorted(names)


def test_pictures_and_videos_in_one_folder_are_both_listed(tmp_path):
    write_folder(tmp_path, 2)
    write_video(tmp_path / "clip.mp4", 5)
    assert list_frames(tmp_path, RIGHT).frames.num_rows == 7
    assert list_frames(tmp_path / "hand_000.png", RIGHT).frames.num_rows == 1


@pytest.mark.parametrize("change", ["other", "gone", "fifo", "link", "empty"])
def test_a_picture_that_is_not_what_was_listed_is_not_read(tmp_path, change):
    first, second, _ = write_folder(tmp_path, 3)
    frames = list_frames(tmp_path, RIGHT).frames
    second.unlink()
    if change == "other":
        second.write_bytes(encode(picture(77)))
    elif change == "fifo":
        os.mkfifo(second)
    elif change == "link":
        second.symlink_to(first)
    elif change == "empty":
        second.write_bytes(b"")
    found = dict(read_pictures(frames))
    expected = {"other": "changed", "gone": "missing_file", "empty": "empty_file"}.get(change, "bad_path")
    assert found[1].reason == expected
    np.testing.assert_array_equal(found[0], picture(0))
    np.testing.assert_array_equal(found[2], picture(2))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "nowhere: no such file or folder"),
        ("notes.txt", b"hello", r"unknown extension '\.txt'"),
        ("empty", "folder", "no picture or video in it"),
    ],
)
def test_a_path_that_holds_no_frames_is_an_error_of_one_line(tmp_path, name, content, message):
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list_frames(tmp_path / name, RIGHT)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_hand_is_an_error_that_names_the_flag(tmp_path):
    write_folder(tmp_path, 1)
    with pytest.raises(InputError, match=r"pass --hand left\|right"):
        list_frames(tmp_path, ListOptions())


def test_a_folder_of_nothing_but_bad_pictures_is_an_error_that_counts_them(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(b"" if index else b"text")
    with pytest.raises(InputError, match="2 empty_file, 1 not_a_picture"):
        list_frames(tmp_path, RIGHT)


@pytest.mark.parametrize(
    "wrong",
    [{"hand": "both"}, {"box": (0, 0, -4, 5)}, {"box": (0, 0, float("nan"), 5)}, {"frame_step": 0},
     {"intrinsics": (-500, 500, 3, 4)}, {"boxes": (1, 2, 3, 4)}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        ListOptions(**wrong)


def test_a_region_outside_a_picture_is_a_bad_box_of_that_picture(tmp_path):
    (tmp_path / "large.png").write_bytes(encode(picture(1, 200, 100)))
    (tmp_path / "small.png").write_bytes(encode(picture(2, 40, 30)))
    listing = list_frames(tmp_path, ListOptions(hand="right", box=(100, 20, 60, 60)))
    assert reasons(listing) == {"small.png": "bad_box"}
