"""frames/decode.py and listing.py: what is done to a picture on its way to upright 8-bit RGB is said."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sample_pictures import encode, picture, write_folder

from hostile.bombs import chunk
from semihand.frames.decode import decode_depth16, decode_picture, picture_size, read_header
from semihand.frames.errors import BadFrame, InputError, shown
from semihand.frames.limits import Limits
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.files import read_depth16, read_picture
from semihand.reasons import CONVERSIONS

RIGHT = ListOptions(hand="right")


def saved(image: Image.Image, picture_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def deep_rgb() -> bytes:
    """A PNG of 16 bits a channel in colour, which Pillow reads but cannot write."""
    high = picture(3, 40, 24).astype(np.uint16)
    pixels = (high << 8 | 0x5A).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 40, 24, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def pictures() -> dict[str, tuple[bytes, set[str]]]:
    colour = Image.fromarray(picture(4, 48, 32))
    grey = colour.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    other = Image.fromarray(picture(5, 48, 32))
    return {
        "colour": (saved(colour, "PNG"), set()),
        "jpeg": (saved(colour, "JPEG"), set()),
        "upright exif": (saved(colour, "JPEG", exif=turned(1)), set()),
        "turned jpeg": (saved(colour, "JPEG", exif=turned(6)), {"turned"}),
        "turned png": (saved(colour, "PNG", exif=turned(3)), {"turned"}),
        "turned webp": (saved(colour, "WEBP", exif=turned(8)), {"turned"}),
        "grey": (saved(grey, "JPEG"), {"grey"}),
        "grey and turned": (saved(grey, "JPEG", exif=turned(5)), {"grey", "turned"}),
        "cmyk": (saved(colour.convert("CMYK"), "JPEG"), {"cmyk"}),
        "palette": (saved(colour.convert("P"), "PNG"), {"palette"}),
        "see-through palette": (saved(colour.convert("P"), "PNG", transparency=3), {"palette", "alpha"}),
        "bilevel": (saved(colour.convert("1"), "BMP"), {"bilevel"}),
        "alpha": (saved(colour.convert("RGBA"), "PNG"), {"alpha"}),
        "grey and alpha": (saved(grey.convert("LA"), "PNG"), {"grey", "alpha"}),
        "deep grey": (saved(deep, "PNG"), {"deep", "grey"}),
        "deep colour": (deep_rgb(), {"deep"}),
        "a phone's several": (saved(colour, "MPO", save_all=True, append_images=[other]), {"first_of_several"}),
    }


@pytest.mark.parametrize("name", pictures())
def test_a_header_says_how_its_picture_is_converted_and_how_large_it_comes_out(name):
    data, expected = pictures()[name]
    header = read_header(data)
    assert set(header.conversions) == expected <= set(CONVERSIONS)
    decoded = decode_picture(data)
    assert decoded.shape == (header.height, header.width, 3)
    assert decoded.dtype == np.uint8


def test_deep_colours_keep_their_high_bytes():
    np.testing.assert_array_equal(decode_picture(deep_rgb()), picture(3, 40, 24))


def test_a_listing_counts_conversions_of_the_frames_it_keeps(tmp_path):
    for place, (data, _) in enumerate(pictures().values()):
        (tmp_path / f"{place}.png").write_bytes(data)  # what a file is called decides nothing
    (tmp_path / "deep_but_small.png").write_bytes(saved(Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG"))
    listing = list_frames(tmp_path, RIGHT)
    expected = [code for _, codes in pictures().values() for code in codes]
    assert listing.conversions == {code: expected.count(code) for code in set(expected)}
    assert str(listing).startswith("17 frames, 1 quarantined (1 too_small), converted: 4 grey, 4 turned, 3 alpha, ")


def test_depth_keeps_all_sixteen_bits_and_comes_upright(tmp_path):
    depth = np.random.default_rng(2).integers(0, 65536, (24, 40), dtype=np.uint16)
    np.testing.assert_array_equal(decode_depth16(saved(Image.fromarray(depth), "PNG")), depth)
    sideways = saved(Image.fromarray(depth), "PNG", exif=turned(6))
    np.testing.assert_array_equal(decode_depth16(sideways), np.rot90(depth, -1))
    assert picture_size(sideways) == (24, 40)
    (tmp_path / "depth.png").write_bytes(sideways)
    np.testing.assert_array_equal(read_depth16(tmp_path / "depth.png", Limits()), np.rot90(depth, -1))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_pixels": 900}, "too_large"), ({"max_side_px": 39}, "too_large"), ({"min_side_px": 25}, "too_small"),
     ({"max_picture_bytes": 1000}, "too_large")],
)  # fmt: skip
def test_the_same_limits_hold_for_pictures_masks_and_depths(tmp_path, limits, reason):
    depth = np.random.default_rng(2).integers(0, 65536, (24, 40), dtype=np.uint16)
    path = tmp_path / "depth.png"
    path.write_bytes(saved(Image.fromarray(depth), "PNG"))
    read_depth16(path, Limits())
    for read in (read_depth16, read_picture):
        with pytest.raises(BadFrame, match=reason):
            read(path, Limits(**limits))
    with pytest.raises(InputError, match=f"1 {reason}"):
        list_frames(tmp_path, ListOptions(hand="right", limits=Limits(**limits)))


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "LA", "1"])
def test_a_depth_of_other_channels_is_no_depth(mode):
    with pytest.raises(BadFrame, match=r"unreadable: a PNG of type .*, not a PNG of one channel"):
        decode_depth16(saved(Image.fromarray(picture(1)).convert(mode), "PNG"))
    with pytest.raises(BadFrame, match="unreadable: a JPEG of type L"):
        decode_depth16(saved(Image.fromarray(picture(1)).convert("L"), "JPEG"))


def test_a_larger_limit_admits_what_the_usual_one_refuses(tmp_path):
    write_folder(tmp_path, 1)
    assert list_frames(tmp_path, RIGHT).frames.num_rows == 1
    huge = Image.new("L", (9500, 9500))  # more than Pillow would open without a warning
    (tmp_path / "huge.png").write_bytes(saved(huge, "PNG"))
    assert list_frames(tmp_path, RIGHT).frames.num_rows == 1
    wide = ListOptions(hand="right", limits=Limits(max_pixels=100_000_000))
    assert list_frames(tmp_path, wide).frames.num_rows == 2


def test_a_folder_that_cannot_be_looked_into_is_a_row_with_its_reason(tmp_path, monkeypatch):
    write_folder(tmp_path / "open", 2)
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_frames(tmp_path, RIGHT)
    assert listing.frames.num_rows == 2
    assert [(row["uri"], row["reason"]) for row in listing.quarantine.to_pylist()] == [("closed", "unreadable")]


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.7z"])
def test_an_archive_is_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match="archives are not opened; unpack it"):
        list_frames(tmp_path / name, RIGHT)


def test_a_manifest_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    for name in ("m.jsonl", "m.parquet"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="not a regular file"):
            list_frames(tmp_path / name, RIGHT)


def test_a_folder_whose_own_name_is_not_utf8_is_one_line_of_error(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    with pytest.raises(InputError, match=r"caf\\xe9: the path is not UTF-8"):
        list_frames(folder, RIGHT)


def test_masks_that_do_not_decode_are_problems_of_their_rows_where_truth_is_asked_for(tmp_path):
    paths = write_folder(tmp_path, 3)
    good = encode(picture(1, 48, 32))
    table = {"uri": [path.name for path in paths], "hand": ["left"] * 3, "mask_png": [good, good[:-60], None]}
    pq.write_table(pa.table(table), tmp_path / "m.parquet")
    listing = list_frames(tmp_path / "m.parquet", ListOptions(with_truth=True))
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth"]
    assert listing.quarantine["detail"].to_pylist()[0].startswith("mask_png: truncated")
    assert list_frames(tmp_path / "m.parquet", ListOptions()).frames.num_rows == 3


def test_dots_that_lead_up_are_refused_even_where_they_lead_nowhere_new(tmp_path):
    write_folder(tmp_path / "set" / "sub", 1)
    write_folder(tmp_path / "set", 1)
    uris = ["hand_000.png", "sub/../hand_000.png", "sub/../../set/hand_000.png"]
    rows = [json.dumps({"uri": uri, "hand": "left", "view_id": uri}) for uri in uris]
    (tmp_path / "set" / "m.jsonl").write_text("\n".join(rows))
    strict = list_frames(tmp_path / "set" / "m.jsonl", ListOptions())
    assert strict.quarantine["reason"].to_pylist() == ["bad_path", "bad_path"]
    wider = list_frames(tmp_path / "set" / "m.jsonl", ListOptions(root=tmp_path))
    assert wider.frames.num_rows == 3


def test_a_strangers_value_is_shown_short_whatever_it_is():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    wide = ["x" * 10**6] * 10
    assert all(len(shown(value)) <= 60 for value in (deep, wide, 10**9000, {"a": wide}, "\ud800", None))
