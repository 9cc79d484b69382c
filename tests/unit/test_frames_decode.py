"""frames/decode.py: bytes that may be anything."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_pictures import encode, picture, png_header

from semihand.frames.decode import decode_picture, picture_size
from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD
from semihand.tables import QUARANTINE_REASONS

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


def reason_of(data: bytes) -> str:
    with pytest.raises(BadFrame) as caught:
        decode_picture(data)
    return caught.value.reason


@pytest.mark.parametrize("picture_format", ["PNG", "BMP"])
def test_a_lossless_picture_comes_back_as_it_was(picture_format):
    np.testing.assert_array_equal(decode_picture(encode(picture(1), picture_format)), picture(1))


@pytest.mark.parametrize("picture_format", ["JPEG", "WEBP"])
def test_a_lossy_picture_comes_back_nearly(picture_format):
    decoded = decode_picture(encode(picture(2), picture_format, quality=95)).astype(float)
    assert np.abs(decoded - picture(2)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied_to_pixels_and_size_alike(picture_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if picture_format == "WEBP" else {}
    data = encode(picture(3), picture_format, exif=exif, **options)
    upright = decode_picture(data)
    stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1), 7: stored[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(stored),
    }  # fmt: skip
    np.testing.assert_array_equal(upright, turned[orientation])
    assert picture_size(data) == upright.shape[1::-1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_png_mode_becomes_rgb(mode):
    image = Image.fromarray(picture(4)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    decoded = decode_picture(buffer.getvalue())
    assert decoded.shape == (32, 48, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.mean() - picture(4).mean()) < 20


def test_a_cmyk_jpeg_becomes_rgb():
    buffer = io.BytesIO()
    Image.fromarray(picture(5)).convert("CMYK").save(buffer, "JPEG", quality=95)
    assert np.abs(decode_picture(buffer.getvalue()).astype(float) - picture(5)).mean() < 12


def test_of_the_several_pictures_of_a_phone_the_first_is_taken():
    buffer = io.BytesIO()
    others = [Image.fromarray(picture(7))]
    Image.fromarray(picture(6)).save(buffer, "MPO", save_all=True, append_images=others, quality=95)
    assert np.abs(decode_picture(buffer.getvalue()).astype(float) - picture(6)).mean() < 4


def test_each_kind_of_bad_bytes_has_its_reason():
    jpeg = encode(picture(8), "JPEG")
    gif = io.BytesIO()
    Image.fromarray(picture(8)).save(gif, "GIF")
    animation = io.BytesIO()
    frames = [Image.fromarray(picture(seed)) for seed in (9, 10)]
    frames[0].save(animation, "PNG", save_all=True, append_images=frames[1:])
    scans = jpeg[:-2] + b"\xff\xda" * (STANDARD.max_jpeg_scans + 1) + jpeg[-2:]
    cases = {
        b"": "empty_file",
        b"\xff": "not_a_picture",
        b"Dear reader, I am a text.": "not_a_picture",
        b"BMW builds cars, and this is a text about them.": "not_a_picture",
        b"<html><body>404</body></html>": "not_a_picture",
        b"\x7fELF\x02\x01\x01": "not_a_picture",
        jpeg[: len(jpeg) // 2]: "truncated",
        encode(picture(8))[:100]: "truncated",
        encode(picture(8), "WEBP")[:-40]: "truncated",
        png_header(20_000, 20_000): "too_large",
        png_header(10_000, 9_000): "too_large",
        png_header(17_000, 20): "too_large",
        png_header(15, 200): "too_small",
        gif.getvalue(): "unsupported_format",
        animation.getvalue(): "unsupported_format",
        scans: "unsupported_format",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic": "unsupported_format",
    }
    assert {data: reason_of(data) for data in cases} == cases


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_bomb_is_too_large_whether_or_not_warnings_are_errors(action):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        for side in (9_000, 10_000, 12_000, 20_000, 2**31 - 1):
            assert reason_of(png_header(side, side)) == "too_large"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMATS), st.floats(0, 1), st.binary(min_size=1, max_size=6))
def test_mutated_bytes_decode_or_are_refused_with_a_reason(picture_format, place, inserted):
    data = encode(picture(11), picture_format)
    start = int(place * (len(data) - 1))
    for mutated in (data[:start] + inserted + data[start + len(inserted) :], data[:start], data[start:]):
        try:
            outcome = decode_picture(mutated)
        except BadFrame as problem:
            outcome = problem
        if isinstance(outcome, BadFrame):
            assert outcome.reason in QUARANTINE_REASONS
            assert outcome.detail
        else:
            assert outcome.shape[2] == 3


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBP", b"BM"]), st.binary())
def test_noise_is_refused_with_a_reason(start, noise):
    assert reason_of(start + noise) in QUARANTINE_REASONS


def test_an_unknown_reason_is_our_own_slip():
    with pytest.raises(ValueError, match="'broken' is not one of"):
        BadFrame("broken", "so it is")
