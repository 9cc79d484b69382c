"""Small pictures and videos, each different from the next, and broken ones of our own making."""

import io
import struct
import zlib
from pathlib import Path

import av
import numpy as np
from PIL import Image


def picture(seed: int, width: int = 48, height: int = 32) -> np.ndarray:
    """Smooth noise that survives JPEG: every seed another one."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def encode(pixels: np.ndarray, picture_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, picture_format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of 60-odd bytes that promises this many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def write_folder(folder: Path, num: int, picture_format: str = "PNG") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"hand_{index:03}.{picture_format.lower()}" for index in range(num)]
    for index, path in enumerate(paths):
        path.write_bytes(encode(picture(index), picture_format))
    return paths


def write_video(
    path: Path, num_frames: int = 40, *, codec: str = "libx264", size: tuple[int, int] = (64, 48),
    options: dict[str, str] | None = None, rotation: int = 0,
) -> Path:  # fmt: skip
    """A moving pattern; by default H.264 with B-frames and a keyframe every 12 frames."""
    settings = {"g": "12", "bf": "2", "x264-params": "scenecut=0:open-gop=1"} if options is None else options
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=settings)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(video_picture(index, *size), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def video_picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A bright block at a place that tells the frame, over noise."""
    pixels = picture(1000 + index // 12, width, height) // 3
    left = (index * 5) % (width - 12)
    pixels[4 : height // 2, left : left + 12] = (250, 250 - index, 4 * index)
    return pixels
