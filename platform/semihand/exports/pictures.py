"""Pictures on their way out: the very bytes that came in where a form can take them, else encoded again."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from semihand.frames.errors import BadFrame
from semihand.frames.files import read_file
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.reading import read_pictures
from semihand.tables.identity import content_sha256

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
_PNG_DEPTH = 24  # the place of the byte that says how many bits a channel has


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture.

    Attributes:
        pixels: its pixels.
        data: the bytes it was decoded from, where a JPEG or PNG of 8 bits lies in them the right way up; else None.
        suffix: of a file of these bytes.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    data: bytes | None = None
    suffix: str = ".png"

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def encoded(self) -> tuple[bytes, str]:
        """A JPEG's or PNG's bytes and suffix, without loss."""
        return (self.data, self.suffix) if self.data is not None else (_encode(self.pixels, "PNG"), ".png")

    def as_jpeg(self) -> bytes:
        """A JPEG: the bytes that came in where they are one, else at the finest there is (quality 100, 4:4:4)."""
        return self.data if self.data is not None and self.suffix == ".jpg" else _encode(self.pixels, "JPEG")


def pictures_of(frames: pa.Table, limits: Limits = STANDARD) -> Iterator[tuple[int, Picture | BadFrame]]:
    """The picture of every row, or why there is none; each row once, in the order of `read_pictures`.

    Args:
        frames: uri, image, content_sha256 and video_frame of FRAMES.
        limits: what a picture may take.
    """
    uris, numbers = frames["uri"].to_pylist(), frames["video_frame"].to_pylist()
    for row, pixels in read_pictures(frames, limits):
        if isinstance(pixels, BadFrame):
            yield row, pixels
        elif numbers[row] is not None:
            yield row, Picture(pixels)
        else:
            uri = uris[row]
            digest = frames["content_sha256"][row].as_py()
            data = frames["image"][row].as_py() if uri is None else _again(Path(uri), digest, limits)
            yield row, _with_bytes(pixels, data)


def _again(path: Path, digest: str, limits: Limits) -> bytes | None:
    """The bytes that were decoded, in another process; None where the file has gone or changed since."""
    try:
        data = read_file(path, limits.max_picture_bytes)
    except BadFrame:
        return None
    return data if content_sha256(data) == digest else None


def _with_bytes(pixels: UInt8[np.ndarray, "height width 3"], data: bytes | None) -> Picture:
    suffix = None if data is None else _upright_suffix(data)
    return Picture(pixels) if suffix is None else Picture(pixels, data, suffix)


def _upright_suffix(data: bytes) -> str | None:
    """The suffix of bytes that any viewer shows as we decoded them; None where some would not."""
    try:
        image = Image.open(io.BytesIO(data), formats=list(_SUFFIXES))
    except UnidentifiedImageError:  # another format
        return None
    if image.format == "PNG" and data[_PNG_DEPTH] == 16:  # of colours Pillow says RGB all the same
        return None
    upright = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) == 1
    return _SUFFIXES.get(image.format or "") if upright and image.mode in ("RGB", "L") else None


def _encode(pixels: UInt8[np.ndarray, "height width 3"], kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"compress_level": 6}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
