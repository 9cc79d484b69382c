"""Bytes to pixels, for bytes that may be anything.

Only JPEG, PNG, WebP and BMP are decoded, only at sane sizes, and the header is judged before a pixel is
allocated. Pictures come upright: EXIF orientation is applied, so boxes, joints and cameras are those of the
upright picture.
"""

import io
import struct
import zlib

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

from semihand.frames.errors import BadFrame

MIN_SIDE_PX = 16
MAX_SIDE_PX = 16384
MAX_PIXELS = 50_000_000
MAX_JPEG_SCANS = 40  # encoders write about ten; 10,000 scans take minutes to decode

# What Pillow raises on broken files: over 9,721 of them, `except OSError` alone missed one in twenty.
_PILLOW_ERRORS = (
    OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, SyntaxError, RuntimeError, EOFError,
    MemoryError, OverflowError, struct.error, zlib.error,
)  # fmt: skip
_UNSUPPORTED = {
    b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"8BPS": "PSD", b"%!PS": "PostScript",
    b"\0\0\0\x0cjP": "JPEG 2000", b"\x76\x2f\x31\x01": "OpenEXR", b"\0\0\x01\0": "ICO", b"qoif": "QOI",
}  # fmt: skip
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_picture(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """The upright RGB picture in these bytes.

    Alpha is dropped, grey is repeated, 16-bit grey keeps its high byte, and of a phone's several pictures
    (MPO) the first is taken. Animations are refused.

    Raises:
        BadFrame: the bytes are no picture, a broken one, one of another format, or one too large or small.
    """
    image = _open(data)
    orientation = _orientation(image)
    try:
        image.load()
        if orientation in _TRANSPOSITIONS:
            image = image.transpose(_TRANSPOSITIONS[orientation])
        if image.mode.startswith("I;16"):
            high_byte = (np.asarray(image) >> 8).astype(np.uint8)
            return np.repeat(high_byte[..., None], 3, axis=-1)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except _PILLOW_ERRORS as error:
        raise _broken(data, error) from error


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height in px of the upright picture, read from the header alone.

    Raises:
        BadFrame: as `decode_picture`, as far as the header shows it.
    """
    image = _open(data)
    width, height = image.size
    return (height, width) if _orientation(image) in (5, 6, 7, 8) else (width, height)


def check_size(width: int, height: int) -> None:
    """Refuse pictures that no hand is found in, or that would fill the memory.

    Raises:
        BadFrame: too_small or too_large.
    """
    size = f"{width} x {height} px"
    if min(width, height) < MIN_SIDE_PX:
        raise BadFrame("too_small", f"{size}, but no side may be below {MIN_SIDE_PX} px")
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise BadFrame("too_large", f"{size}, above {MAX_SIDE_PX} px a side or {MAX_PIXELS // 10**6} Mpx")


def _open(data: bytes) -> Image.Image:
    picture_format = _recognise(data)
    if picture_format == "JPEG" and (scans := data.count(b"\xff\xda")) > MAX_JPEG_SCANS:
        raise BadFrame("unsupported_format", f"a JPEG of {scans} scans, above the limit of {MAX_JPEG_SCANS}")
    if picture_format == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        check_size(*struct.unpack(">II", data[16:24]))  # also where nothing follows that Pillow would open
    try:
        image = Image.open(io.BytesIO(data), formats=(picture_format,))
        animated = image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadFrame("too_large", str(error)) from error
    except _PILLOW_ERRORS as error:
        raise _broken(data, error) from error
    check_size(*image.size)
    if animated:
        raise BadFrame("unsupported_format", f"an animated {picture_format}; give its frames or a video")
    if image.mode in ("I", "F"):
        raise BadFrame("unsupported_format", f"pixels of type {image.mode}; give 8 or 16 bits per channel")
    return image


def _recognise(data: bytes) -> str:
    if not data:
        raise BadFrame("empty_file", "0 bytes")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    # "BM" alone could open a text: the size of the next header tells a bitmap.
    if data[:2] == b"BM" and data[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "BMP"
    other = next((name for start, name in _UNSUPPORTED.items() if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        other = f"ISO media ({data[8:12].decode('ascii', 'replace')})"
    if other:
        raise BadFrame("unsupported_format", f"{other}; give JPEG, PNG, WebP or BMP")
    raise BadFrame("not_a_picture", f"it begins with {data[:12]!r}; pictures are JPEG, PNG, WebP or BMP")


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(): on a PNG that decodes the whole picture to look behind its pixels.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except _PILLOW_ERRORS:
        return 1  # viewers show a picture with broken EXIF as it is stored, and boxes are drawn in viewers


def _broken(data: bytes, error: BaseException) -> BadFrame:
    reason = "truncated" if "truncated" in str(error).lower() or _ends_early(data) else "unreadable"
    return BadFrame(reason, f"{len(data)} bytes: {error or type(error).__name__}")


def _ends_early(data: bytes) -> bool:
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    return data.startswith(b"RIFF") and len(data) < int.from_bytes(data[4:8], "little") + 8
