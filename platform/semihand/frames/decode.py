"""Bytes to pixels, for bytes that may be anything.

Only JPEG, PNG, WebP and BMP are decoded, only within limits, and the header is judged before a pixel is allocated.
Pictures come upright: EXIF orientation is applied, so boxes, joints and cameras are those of the upright picture.
"""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image

from semihand.frames.errors import BadFrame
from semihand.frames.formats import recognise
from semihand.frames.limits import STANDARD, Limits

# What Pillow raises on broken files: over 9,721 of them, `except OSError` alone missed one in twenty.
_PILLOW_ERRORS = (
    OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, SyntaxError, RuntimeError, EOFError,
    MemoryError, ArithmeticError, AssertionError, struct.error, zlib.error,
)  # fmt: skip
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES = {
    "1": ("bilevel",), "L": ("grey",), "LA": ("grey", "alpha"), "P": ("palette",), "PA": ("palette", "alpha"),
    "RGBA": ("alpha",), "CMYK": ("cmyk",),
}  # fmt: skip
_DEEP = "I;16"  # begins Pillow's names for one channel of 16 bits


class Header(NamedTuple):
    """What a picture says of itself before it is decoded.

    Attributes:
        width: of the upright picture, px; `height` likewise.
        conversions: what brings it to upright 8-bit RGB, of `semihand.reasons.CONVERSIONS`.
    """

    width: int
    height: int
    conversions: tuple[str, ...]


def decode_picture(data: bytes, limits: Limits = STANDARD) -> UInt8[np.ndarray, "height width 3"]:
    """The upright RGB picture in these bytes, converted as its `Header` says. Animations are refused.

    Raises:
        BadFrame: the bytes are no picture, a broken one, one of another format, or one beyond the limits.
    """
    image = _open(data, limits)
    try:
        upright = _upright(image)
        if upright.mode.startswith(_DEEP):
            high_byte = (np.asarray(upright) >> 8).astype(np.uint8)
            return np.repeat(high_byte[..., None], 3, axis=-1)
        return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))
    except _PILLOW_ERRORS as error:
        raise _broken(data, error) from error


def decode_depth16(data: bytes, limits: Limits = STANDARD) -> UInt16[np.ndarray, "height width"]:
    """The numbers of a PNG of one channel of 16 or 8 bits, upright.

    Raises:
        BadFrame: unreadable, it has other channels; or as `decode_picture`.
    """
    image = _open(data, limits)
    if image.format != "PNG" or not (image.mode == "L" or image.mode.startswith(_DEEP)):
        raise BadFrame("unreadable", f"a {image.format} of type {image.mode}, not a PNG of one channel of 16 bits")
    try:
        return np.asarray(_upright(image)).astype(np.uint16)
    except _PILLOW_ERRORS as error:
        raise _broken(data, error) from error


def read_header(data: bytes, limits: Limits = STANDARD) -> Header:
    """Size of the upright picture, and how it would be converted, from its header alone.

    Raises:
        BadFrame: as `decode_picture`, as far as the header shows it.
    """
    image = _open(data, limits)
    turn = _orientation(image)
    width, height = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
    found = {"turned"} if turn in _TRANSPOSITIONS else set()
    found.update(("grey", "deep") if image.mode.startswith(_DEEP) else _MODES.get(image.mode, ()))
    if "transparency" in image.info:
        found.add("alpha")
    if image.format == "PNG" and data[24] == 16:  # IHDR's bit depth; Pillow keeps the high byte of colours unasked
        found.add("deep")
    if image.format == "MPO":
        found.add("first_of_several")
    return Header(width, height, tuple(sorted(found)))


def picture_size(data: bytes, limits: Limits = STANDARD) -> tuple[int, int]:
    """Width and height in px of the upright picture, from its header alone.

    Raises:
        BadFrame: as `read_header`.
    """
    return read_header(data, limits)[:2]


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse pictures that no hand is found in, or that would fill the memory.

    Raises:
        BadFrame: too_small or too_large.
    """
    size = f"{width} x {height} px"
    if min(width, height) < limits.min_side_px:
        raise BadFrame("too_small", f"{size}, but no side may be below {limits.min_side_px} px")
    if max(width, height) > limits.max_side_px or width * height > limits.max_pixels:
        most = f"{limits.max_side_px} px a side or {limits.max_pixels} px in all"
        raise BadFrame("too_large", f"{size}, above {most}")


def _open(data: bytes, limits: Limits) -> Image.Image:
    picture_format = recognise(data)
    if picture_format == "JPEG" and (scans := data.count(b"\xff\xda")) > limits.max_jpeg_scans:
        raise BadFrame("unsupported_format", f"a JPEG of {scans} scans, above the limit of {limits.max_jpeg_scans}")
    if picture_format == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        check_size(width, height, limits)  # also where nothing follows that Pillow would open
    try:
        image = Image.open(io.BytesIO(data), formats=(picture_format,))
        animated = image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadFrame("too_large", str(error)) from error
    except _PILLOW_ERRORS as error:
        raise _broken(data, error) from error
    check_size(*image.size, limits)
    if animated:
        raise BadFrame("unsupported_format", f"an animated {picture_format}; give its frames or a video")
    if image.mode in ("I", "F"):
        raise BadFrame("unsupported_format", f"pixels of type {image.mode}; give 8 or 16 bits per channel")
    return image


def _upright(image: Image.Image) -> Image.Image:
    turn = _orientation(image)  # before loading, which may look behind a PNG's pixels
    image.load()
    return image.transpose(_TRANSPOSITIONS[turn]) if turn in _TRANSPOSITIONS else image


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(): on a PNG that decodes the whole picture to look behind its pixels.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except _PILLOW_ERRORS:
        return 1  # viewers show a picture with broken EXIF as it is stored, and boxes are drawn in viewers


def _broken(data: bytes, error: BaseException) -> BadFrame:
    if isinstance(error, MemoryError):
        return BadFrame("too_large", f"{len(data)} bytes, which take more memory to decode than they may")
    reason = "truncated" if "truncated" in str(error).lower() or _ends_early(data) else "unreadable"
    return BadFrame(reason, f"{len(data)} bytes: {error or type(error).__name__}")


def _ends_early(data: bytes) -> bool:
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    return data.startswith(b"RIFF") and len(data) < int.from_bytes(data[4:8], "little") + 8
