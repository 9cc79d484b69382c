"""exports/pictures.py: bytes go out as they came in where any viewer shows them as we do, else the pixels do."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_pictures import encode, picture, write_video

from semihand.exports import pictures
from semihand.exports.pictures import Picture, pictures_of
from semihand.frames.decode import decode_picture
from semihand.frames.errors import BadFrame
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures

RIGHT = ListOptions(hand="right")


def rotated_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(picture(1), "JPEG", exif=exif)


def palette_png():
    buffer = io.BytesIO()
    Image.fromarray(picture(2)).quantize(16).save(buffer, "PNG")
    return buffer.getvalue()


def png_of_16_bits():
    """In colour, which Pillow reads but does not write."""
    pixels = picture(10).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


FILES = {
    "a.jpg": (encode(picture(3), "JPEG"), ".jpg"),
    "b.png": (encode(picture(4)), ".png"),
    "grey.jpg": (encode(picture(5)[..., 0], "JPEG"), ".jpg"),
    "rotated.jpg": (rotated_jpeg(), None),
    "palette.png": (palette_png(), None),
    "deep.png": (encode(picture(6)[..., 0].astype(np.uint16) * 256), None),
    "deep colours.png": (png_of_16_bits(), None),
    "web.webp": (encode(picture(7), "WEBP"), None),
    "map.bmp": (encode(picture(8), "BMP"), None),
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, (data, _) in FILES.items():
        (folder / name).write_bytes(data)
    return list_frames(folder, RIGHT).frames


def test_what_goes_out_shows_the_same_pixels_upright(frames):
    found = dict(pictures_of(frames))
    assert sorted(found) == list(range(len(FILES)))
    for row, shown in found.items():
        name = frames["uri"][row].as_py().rsplit("/", 1)[1]
        original, suffix = FILES[name]
        data, kind = shown.encoded()
        np.testing.assert_array_equal(decode_picture(data), decode_picture(original))
        assert (kind, data == original) == ((suffix, True) if suffix else (".png", False)), name
        with Image.open(io.BytesIO(data)) as plain:  # what a tool sees that knows nothing of EXIF
            assert plain.size == shown.size_px
            np.testing.assert_array_equal(np.asarray(plain.convert("RGB")), shown.pixels)


def test_a_jpeg_is_made_only_where_none_came_in(frames):
    for row, shown in pictures_of(frames):
        name = frames["uri"][row].as_py().rsplit("/", 1)[1]
        data = shown.as_jpeg()
        assert data.startswith(b"\xff\xd8\xff")
        if FILES[name][1] == ".jpg":
            assert data == FILES[name][0]
        else:
            assert np.abs(decode_picture(data).astype(int) - shown.pixels).max() <= 4


def test_frames_of_videos_go_out_as_pixels_in_their_order(tmp_path):
    write_video(tmp_path / "clip.mp4", num_frames=5)
    frames = list_frames(tmp_path / "clip.mp4", RIGHT).frames
    found = list(pictures_of(frames))
    assert [row for row, _ in found] == list(range(5))
    for _, shown in found:
        data, suffix = shown.encoded()
        assert (shown.data, suffix) == (None, ".png")
        np.testing.assert_array_equal(decode_picture(data), shown.pixels)


def test_a_picture_that_changed_since_it_was_listed_does_not_go_out(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(picture(1)))
    frames = list_frames(tmp_path, RIGHT).frames
    (tmp_path / "a.png").write_bytes(encode(picture(2)))
    [(row, problem)] = pictures_of(frames)
    assert isinstance(problem, BadFrame)
    assert (row, problem.reason) == (0, "changed")


def test_bytes_that_change_between_decoding_and_copying_do_not_go_out(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encode(picture(1)))
    frames = list_frames(tmp_path, RIGHT).frames

    def read_and_change(*given):
        for row, pixels in read_pictures(*given):
            Path(frames["uri"][row].as_py()).write_bytes(encode(picture(2)))
            yield row, pixels

    monkeypatch.setattr(pictures, "read_pictures", read_and_change)
    [(_, shown)] = pictures_of(frames)
    assert shown.data is None
    np.testing.assert_array_equal(decode_picture(shown.encoded()[0]), picture(1))


def test_pixels_alone_are_a_png():
    data, suffix = Picture(picture(9)).encoded()
    assert suffix == ".png"
    np.testing.assert_array_equal(decode_picture(data), picture(9))
