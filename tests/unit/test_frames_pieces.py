"""frames/pieces.py: piece by piece is the same as at once, but for the pictures of the truth."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frames_tables import with_column
from sample_pictures import encode, write_folder, write_video

from hostile.bombs import tables
from semihand.frames import pieces
from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.frames.listing import list_frames
from semihand.frames.manifest import column_names, read_pieces
from semihand.frames.options import ListOptions
from semihand.frames.pieces import held_pictures, listed_in_pieces
from semihand.tables import Store, as_numpy
from semihand.tables.rows import take_rows

TRUTH = ListOptions(with_truth=True)
WITHOUT = ["mask_png", "depth_png", "parts_png"]


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "ROWS_PER_PIECE", 3)


def joined(path, options=TRUTH):
    listings = list(listed_in_pieces(path, options))
    return listings, *(
        pa.concat_tables([getattr(each, name) for each in listings]) for name in ("frames", "quarantine")
    )


@pytest.mark.parametrize("options", [TRUTH, ListOptions()], ids=["truth", "pool"])
@pytest.mark.parametrize("as_table", [True, False])
def test_pieces_of_a_table_or_manifest_are_its_listing(target_frames, tmp_path, small_pieces, options, as_table):
    path = tmp_path / "frames.parquet"
    if as_table:
        path = tmp_path / "store"
        Store(path).create(["frames"])
        Store(path).append("frames", target_frames)
    else:
        pq.write_table(target_frames, path)
    listings, frames, quarantine = joined(path, options)
    assert [each.frames.num_rows for each in listings] == [3, 3, 3, 1]
    assert quarantine.num_rows == 0
    whole = list_frames(path, options).frames
    assert frames.drop_columns(WITHOUT).equals(whole.drop_columns(WITHOUT))
    assert all(frames[name].null_count == 10 for name in WITHOUT)


def test_rows_keep_their_numbers_and_null_arrays_are_read(source_frames, tmp_path, small_pieces):
    truth = [None if row == 5 else cell for row, cell in enumerate(source_frames["joints_mm"].to_pylist())]
    frames = with_column(with_column(source_frames, "joints_mm", truth), "hand", ["right"] * 7 + ["both"])
    pq.write_table(frames, tmp_path / "m.parquet")
    _, found, quarantine = joined(tmp_path / "m.parquet")
    assert found["joints_mm"].is_valid().to_pylist() == [True] * 5 + [False, True]
    np.testing.assert_array_equal(
        as_numpy(take_rows(found, [6])["joints_mm"]), as_numpy(take_rows(source_frames, [6])["joints_mm"])
    )
    [problem] = quarantine.to_pylist()
    assert problem["reason"] == "bad_hand"
    assert problem["detail"].startswith("row 8: ")


def test_what_holds_no_pictures_comes_at_once(tmp_path, small_pieces):
    write_folder(tmp_path / "set", 5)
    write_video(tmp_path / "set" / "clip.mp4", 4)
    [listing] = listed_in_pieces(tmp_path / "set", ListOptions(hand="left"))
    assert listing.frames.num_rows == 9
    with pytest.raises(InputError, match="no such file or folder"):
        list(listed_in_pieces(tmp_path / "none", TRUTH))


def test_held_pictures_are_found_by_their_content(target_frames, tmp_path, small_pieces):
    pq.write_table(target_frames, tmp_path / "m.parquet")
    digests, images = (target_frames[name].to_pylist() for name in ("content_sha256", "image"))
    found = held_pictures(tmp_path / "m.parquet", {digests[1], digests[8], "of none"})
    assert found == {digests[1]: images[1], digests[8]: images[8]}
    assert held_pictures(tmp_path / "m.parquet", set()) == {}


SMALL = Limits(max_manifest_bytes=2**28)
REFUSED = ["a dictionary of gigabytes", "six million rows", "no text", "a broken page", "half"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_manifest_is_refused_in_pieces_as_it_is_at_once(tmp_path, name):
    path = tmp_path / "m.parquet"
    path.write_bytes(tables()[name]())
    with pytest.raises(InputError, match=re.escape(str(path))):
        list(read_pieces(path, column_names(path, SMALL), 1000, SMALL))


def test_a_manifest_of_pictures_beyond_the_limit_is_refused_before_it_is_read(target_frames, tmp_path):
    pq.write_table(target_frames, tmp_path / "m.parquet")
    few = ListOptions(limits=Limits(max_manifest_rows=9))
    with pytest.raises(InputError, match="10 rows, the limit is 9"):
        list(listed_in_pieces(tmp_path / "m.parquet", few))


@pytest.mark.parametrize("listed", [lambda *given: [list_frames(*given)], listed_in_pieces], ids=["at once", "pieces"])
def test_a_manifest_is_counted_as_large_as_it_is(tmp_path, monkeypatch, listed):
    monkeypatch.setattr(pieces, "ROWS_PER_PIECE", 20)
    rng = np.random.default_rng(0)
    images = [encode(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(100)]
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"image": images, "hand": ["left"] * 100}), path)
    size = path.stat().st_size
    fits = ListOptions(limits=Limits(max_manifest_bytes=3 * size // 2))
    assert sum(each.frames.num_rows for each in listed(path, fits)) == 100
    with pytest.raises(InputError, match="the limit is"):
        list(listed(path, ListOptions(limits=Limits(max_manifest_bytes=size - 1000))))


@pytest.mark.parametrize("listed", [lambda *given: [list_frames(*given)], listed_in_pieces], ids=["at once", "pieces"])
def test_null_arrays_take_no_checksum_from_other_columns(source_frames, tmp_path, listed):
    truth = [None, *source_frames["joints_mm"].to_pylist()[1:]]
    table = with_column(source_frames, "joints_mm", truth).select(["image", "hand", "joints_mm", "supervision"])
    path = tmp_path / "m.parquet"
    options = {"write_page_checksum": True, "compression": "none", "use_dictionary": False}
    pq.write_table(table, path, **options)
    assert sum(each.frames.num_rows for each in listed(path, TRUTH)) == table.num_rows
    data = bytearray(path.read_bytes())
    data[data.index(table["image"][3].as_py()) + 200] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="not readable as Parquet"):
        list(listed(path, TRUTH))


def test_a_piece_of_wrong_cells_is_that_many_rows_in_quarantine_by_their_own_numbers(
    source_frames, tmp_path, small_pieces
):
    table = source_frames.select(["image"]).append_column("hand", pa.array(["left"] * 8))
    table = table.append_column("video_frame", pa.array([None] * 3 + ["a", "b", "c", None, "d"], pa.string()))
    pq.write_table(table, tmp_path / "m.parquet")
    _, frames, quarantine = joined(tmp_path / "m.parquet")
    assert frames.num_rows == 4
    assert [row["detail"].split(":")[0] for row in quarantine.to_pylist()] == ["row 4", "row 5", "row 6", "row 8"]


def test_a_piece_of_joints_in_metres_is_quarantined_and_a_set_of_them_refused(source_frames, tmp_path, small_pieces):
    joints_mm = as_numpy(source_frames["joints_mm"]) * np.where(np.arange(8) < 3, 0.001, 1)[:, None, None]
    small = with_column(source_frames, "joints_mm", joints_mm.tolist())
    pq.write_table(small, tmp_path / "m.parquet")
    listings, frames, _ = joined(tmp_path / "m.parquet")
    assert [each.frames.num_rows for each in listings] == [0, 3, 2]
    assert frames["frame_id"].equals(list_frames(tmp_path / "m.parquet", TRUTH).frames["frame_id"])
    pq.write_table(small.slice(0, 3), tmp_path / "few.parquet")
    for listed in (list_frames, lambda *given: list(listed_in_pieces(*given))):
        with pytest.raises(InputError, match="metres"):
            listed(tmp_path / "few.parquet", TRUTH)


def test_a_set_of_no_rows_is_refused_as_it_is_at_once(source_frames, tmp_path):
    pq.write_table(source_frames.slice(0, 0), tmp_path / "m.parquet")
    Store(tmp_path / "store").create(["frames"])
    for path, said in ((tmp_path / "m.parquet", "no row in it"), (tmp_path / "store", "is empty")):
        with pytest.raises(InputError, match=said):
            list(listed_in_pieces(path, TRUTH))
