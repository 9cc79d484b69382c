"""Valid files of every kind that the reading path opens, small; the mutations start from them."""

import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sample_pictures import encode, picture, png_header, write_video

from sets_of_hands import save_mano

PICTURE_EXTENSIONS = {
    "JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp",
}  # fmt: skip
VIDEOS = {
    "h264.mp4": {}, "h264.mkv": {}, "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "6", "bf": "2"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "6"}}, "h264.ts": {},
    "mjpeg.avi": {"codec": "mjpeg", "options": {}}, "turned.mp4": {"rotation": 90},
}  # fmt: skip


def picture_seeds() -> list[tuple[str, bytes]]:
    """Extension and bytes of pictures of every format, in many modes."""
    found = [(PICTURE_EXTENSIONS[name], encode(picture(place, 64, 48), name))
             for place, name in enumerate(PICTURE_EXTENSIONS)]  # fmt: skip
    image = Image.fromarray(picture(9, 64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    more = [Image.fromarray(picture(seed, 64, 48)) for seed in (10, 11)]
    several = {"save_all": True, "append_images": more}
    variants: list[tuple[Image.Image, str, dict[str, object]]] = [
        (image, "JPEG", {"exif": exif, "quality": 80}), (image, "JPEG", {"progressive": True}),
        (image.convert("L"), "JPEG", {}), (image.convert("CMYK"), "JPEG", {}), (image, "MPO", several),
        (image.convert("P"), "PNG", {}), (image.convert("RGBA"), "PNG", {}), (image.convert("1"), "PNG", {}),
        (image.convert("LA"), "PNG", {}), (deep, "PNG", {}), (image, "PNG", {"exif": exif}), (image, "PNG", several),
        (image, "WEBP", {"lossless": True}), (image, "WEBP", several), (image.convert("RGBA"), "WEBP", {}),
        (image.convert("L"), "BMP", {}), (image.convert("1"), "BMP", {}), (image.convert("P"), "BMP", {}),
        (image, "TIFF", {"compression": "tiff_lzw"}), (image, "TIFF", several), (image, "GIF", several),
    ]  # fmt: skip
    for pixels, name, options in variants:
        buffer = io.BytesIO()
        if options is several:  # Pillow keeps what it saved a picture as for the next time
            options = several | {"append_images": [each.copy() for each in more]}
        pixels.copy().save(buffer, name, **options)
        found.append((PICTURE_EXTENSIONS.get(name, "jpg"), buffer.getvalue()))
    return [*found, ("png", png_header(64, 48))]


def video_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Extension and bytes of short videos."""
    return [
        (name.rsplit(".", 1)[1], write_video(folder / name, 14, **options).read_bytes())
        for name, options in VIDEOS.items()
    ]


def manifest_rows(num: int) -> list[dict[str, object]]:
    """Rows of a manifest of pictures `0.png` and so on, with every kind of column."""
    return [
        {
            "uri": f"{row}.png", "hand": ("left", "right")[row % 2], "bbox_px": [1.0, 2, 40, 30],
            "fx": 60.0, "fy": 60.0, "cx": 32.0, "cy": 24.0, "subject_id": f"s{row}", "distortion": [0.1, 0.0, 0.0, 0.0],
            "world_to_camera": [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "timestamp_s": row / 30, "view_id": "a",
            "joints_uv_px": [[float(joint), 5.0] for joint in range(21)], "joints_valid": [True] * 21,
            "joints_mm": [[9.0 * joint, 1.0, 400.0] for joint in range(21)], "supervision": "3d",
        }
        for row in range(num)
    ]  # fmt: skip


def parquet_of(table: pa.Table, **options: object) -> bytes:
    """A table as Parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def model_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Extension and bytes of a hand model as `.npz` and as pickles."""
    path = save_mano(folder / "hand.npz")
    with np.load(path) as arrays:
        content = dict(arrays)
    small = {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in content.items()}
    return [("npz", path.read_bytes()), *(("pkl", pickle.dumps(small, protocol)) for protocol in (0, 2, 4))]
