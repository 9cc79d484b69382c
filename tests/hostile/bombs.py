"""Small files that stand for much: bytes of pictures, archives, pickles, arrays and tables made by hand."""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from sample_pictures import encode, picture, png_header

from hostile.seeds import parquet_of

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, width: int = 64, height: int = 48) -> bytes:
    """A PNG of these chunks after its header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return _SIGNATURE + header + b"".join(chunks) + chunk(b"IEND", b"")


def _zeros(num: int) -> bytes:
    deflate = zlib.compressobj(9)
    block = bytes(2**20)
    return b"".join(deflate.compress(block) for _ in range(num >> 20)) + deflate.flush()


def _archive(inner: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in range(4):
            archive.writestr(f"{place}.bin", inner)
    return buffer.getvalue()


def _jpeg_with(segment: bytes, count: int) -> bytes:
    jpeg = encode(picture(3, 64, 48), "JPEG")
    return jpeg[:2] + segment * count + jpeg[2:]


def _jpeg_of_size(width: int, height: int) -> bytes:
    jpeg = bytearray(encode(picture(3, 64, 48), "JPEG"))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(jpeg)


def _several(name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(picture(seed, 64, 48)) for seed in range(3)]
    frames[0].save(buffer, name, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


def _bmp(width: int, height: int, compression: int = 0) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 90, 0, 54, 40, width, height, 1, 24, compression, 0, 0, 0, 0, 0)


def pictures() -> dict[str, tuple[str, Callable[[], bytes], str]]:
    """By name: file name, what makes its bytes, and the reason given; `read` where it is a picture after all."""
    good = encode(picture(5, 64, 48))
    jpeg = encode(picture(5, 64, 48), "JPEG")
    rows = zlib.compress(bytes(48 * (1 + 3 * 64)))
    exif = b"\xff\xe1" + struct.pack(">H", 34) + b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 274, 3, 2**31, 8)
    return {
        "zip bomb as jpg": ("a.jpg", lambda: _archive(bytes(2**24)), "unsupported_format"),
        "gzip as png": ("a.png", lambda: b"\x1f\x8b\x08\0" + bytes(60), "unsupported_format"),
        "tar as bmp": ("a.bmp", lambda: bytes(257) + b"ustar" + bytes(200), "unsupported_format"),
        "png of 2^31 squared": ("a.png", lambda: png_header(2**31 - 1, 2**31 - 1), "too_large"),
        "png of too many pixels": ("a.png", lambda: png_header(10_000, 9_000), "too_large"),
        "png of no width": ("a.png", lambda: png_header(0, 100), "too_small"),
        "png that inflates to hundreds of megabytes": ("a.png", lambda: png(chunk(b"IDAT", _zeros(2**27))), "read"),
        "png text that inflates to hundreds of megabytes": (
            "a.png",
            lambda: png(chunk(b"zTXt", b"k\0\0" + _zeros(2**27)), chunk(b"IDAT", rows)),
            "unreadable",
        ),
        "png profile that inflates to hundreds of megabytes": (
            "a.png",
            lambda: png(chunk(b"iCCP", b"k\0\0" + _zeros(2**27)), chunk(b"IDAT", rows)),
            "unreadable",
        ),
        "png of 300,000 chunks": (
            "a.png",
            lambda: png(chunk(b"tIME", bytes(7)) * 300_000, chunk(b"IDAT", rows)),
            "",
        ),
        "animated png": ("a.png", lambda: _several("PNG"), "unsupported_format"),
        "animated webp": ("a.webp", lambda: _several("WEBP"), "unsupported_format"),
        "animated gif": ("a.gif", lambda: _several("GIF"), "unsupported_format"),
        "gif of 65535 squared": ("a.gif", lambda: b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(900), "unsupported_format"),
        "tiff": ("a.tif", lambda: b"II*\0\x08\0\0\0" + bytes(60), "unsupported_format"),
        "jpeg of 65500 squared": ("a.jpg", lambda: _jpeg_of_size(65500, 65500), "too_large"),
        "jpeg of 16000 by 3000, a kilobyte": ("a.jpg", lambda: _jpeg_of_size(16000, 3000), "read"),
        "jpeg of 10,000 scans": ("a.jpg", lambda: jpeg[:-2] + b"\xff\xda" * 10_000 + jpeg[-2:], "unsupported_format"),
        "jpeg of 300,000 segments": ("a.jpg", lambda: _jpeg_with(b"\xff\xe5\0\2", 300_000), ""),
        "jpeg whose exif claims 2^31 numbers": ("a.jpg", lambda: jpeg[:2] + exif + jpeg[2:], "read"),
        "webp of 16383 squared": (
            "a.webp",
            lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(8),
            "unreadable",
        ),
        "bitmap of 2^31 squared": ("a.bmp", lambda: _bmp(2**31 - 1, 2**31 - 1), "too_large"),
        "bitmap upside down without pixels": ("a.bmp", lambda: _bmp(300, -300), "truncated"),
        "bitmap of unknown packing": ("a.bmp", lambda: _bmp(64, 48, 77), "unreadable"),
        "one pixel": ("a.png", lambda: encode(picture(1, 1, 1)), "too_small"),
        "nothing": ("a.jpg", lambda: b"", "empty_file"),
        "one byte": ("a.jpg", lambda: b"\xff", "not_a_picture"),
        "a page": ("a.jpg", lambda: b"<!DOCTYPE html><html>404</html>", "not_a_picture"),
        "a program": ("a.png", lambda: b"\x7fELF\x02\x01\x01" + bytes(100), "not_a_picture"),
        "a picture and a zip in one": ("a.png", lambda: good + _archive(b"x"), "read"),
        "half a jpeg": ("a.jpg", lambda: jpeg[: len(jpeg) // 2], "truncated"),
        "half a png": ("a.png", lambda: good[: len(good) // 2], "truncated"),
        "wrong extension": ("a.jpg", lambda: good, "read"),
        "playlist as video": ("a.mp4", lambda: b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n", "unreadable"),
        "list of files as video": ("a.mp4", lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", "unreadable"),
        "picture as video": ("a.mp4", lambda: good, "unreadable"),
        "boxes in boxes as video": ("a.mp4", lambda: _boxes(3000), "unreadable"),
        "video of no frames": ("a.mp4", lambda: b"\0\0\0\x14ftypisom\0\0\2\0isom\0\0\0\x08moov", "not_a_picture"),
    }


def _boxes(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = struct.pack(">I", len(data) + 8) + b"moov" + data
    return b"\0\0\0\x14ftypisom\0\0\2\0isom" + data


class Call:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._call


def pickles(canary: Path) -> dict[str, Callable[[], bytes]]:
    """By name: pickles that run code, which would leave the canary, or that cost much."""
    import builtins
    import os
    import subprocess

    touch = f"touch {canary}"
    calls = {
        "os.system": Call(os.system, touch), "eval": Call(builtins.eval, f"open({str(canary)!r}, 'w')"),
        "subprocess": Call(subprocess.check_output, ["touch", str(canary)]), "open": Call(open, str(canary), "w"),
        "numpy.save": Call(np.save, str(canary), np.zeros(3)), "getattr": Call(getattr, touch, "upper"),
    }  # fmt: skip
    laugh = b"\x80\x02]q\0(" + b"K\1" * 10 + b"e"
    for level in range(1, 12):
        laugh += b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e"
    costly = {
        "memory far away": b"\x80\x02Nr\0\0\0\x10.",
        "millions of lists": b"\x80\x02(" + b"]" * 2**21 + b"l.",
        "lists in lists": laugh + b".",
        "deep tuples": b"\x80\x02)" + b"\x85" * 500_000 + b".",
        "deep tuples as a key": b"\x80\x02})" + b"\x85" * 200_000 + b"K\1s.",
        "tuples of one another as a key": b"\x80\x02})" + b"q\0h\0\x86" * 40 + b"K\1s.",
        "wide tuples of one another as a key": b"\x80\x02})" + (b"q\0(" + b"h\0" * 50 + b"t") * 9 + b"K\1s.",
        "tuples of one another, counted": b"\x80\x04})"
        + b"".join(b"\x94h" + bytes([place]) + b"\x86" for place in range(40))
        + b"K\1s.",
        "tuples of one another as a type": b"\x80\x02cnumpy\ndtype\n)" + b"q\0h\0\x86" * 40 + b"\x85R.",
        "lists of one another into an array": pickle.dumps(np.zeros(3), 2)[:-1] + b"K\0" + laugh[2:] + b"s.",
        "a tuple that is filled with nothing": b"\x80\x02})" + b"(eq\0h\0\x86" * 40 + b"K\1s.",
        "64 GiB reserved": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(L8589934592L\ntS'b'\ntR.",
        "an object by its class": b"\x80\x02cnumpy\nndarray\nL4000000000L\n\x85\x81.",
        "an array of objects": pickle.dumps({"weights": np.array([{}], object)}, 2),
        "a number of a million digits": b"\x80\x02\x8b" + struct.pack("<i", 400_000) + b"\x7f" * 400_000 + b".",
    }
    programs = {name: pickle.dumps({"weights": call}, 2) for name, call in calls.items()} | costly
    return {name: partial(bytes, program) for name, program in programs.items()}


def archives() -> dict[str, Callable[[], bytes]]:
    """By name: .npz files that unpack to more than they may, or hold something else."""
    evil = np.empty(1, object)
    evil[0] = Call(print, "ran")
    objects, plain = io.BytesIO(), io.BytesIO()
    np.savez(objects, weights=evil)
    np.savez(plain, weights=np.zeros(3))
    header = b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    claims = io.BytesIO()
    with zipfile.ZipFile(claims, "w") as archive:
        archive.writestr("weights.npy", header.ljust(127) + b"\n" + bytes(80))
    return {
        "zeros": lambda: _archive(bytes(2**25)), "objects": objects.getvalue, "a huge shape": claims.getvalue,
        "many entries": lambda: plain.getvalue() + (b"PK\1\2" + bytes(42)) * 100_000,
        "half": lambda: plain.getvalue()[:200],
    }  # fmt: skip


def tables() -> dict[str, Callable[[], bytes]]:
    """By name: Parquet manifests that are refused as a whole."""
    return {
        "a dictionary of gigabytes": lambda: _table(uri=_repeated("x" * 2**20, 4096), hand=["left"] * 4096),
        "six million rows": lambda: _table(uri=_repeated("a.png", 6_000_000), hand=_repeated("left", 6_000_000)),
        "no text": lambda: _table(uri=_no_text(), hand=["left"]),
        "foreign extension": _with_extension,
        "a broken page": lambda: _flipped(_whole(), 20),
        "a column twice": lambda: parquet_of(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["uri", "uri"])),
        "ten thousand columns": lambda: _table(**{f"c{place}": [1] for place in range(10_000)}),
        "no rows": lambda: _table(uri=pa.array([], pa.string()), hand=pa.array([], pa.string())),
        "only its ends": lambda: b"PAR1\x15\0\x15\0PAR1",
        "half": lambda: _whole()[:2000],
    }


def _table(**columns: object) -> bytes:
    return parquet_of(pa.table(columns))


def _whole() -> bytes:
    table = pa.table({"uri": [f"{place}.png" for place in range(500)], "hand": ["left"] * 500})
    return parquet_of(table, write_page_checksum=True)


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def _repeated(text: str, num: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(num, np.int32)), pa.array([text]))


def _no_text() -> pa.Array:
    ends, letters = pa.py_buffer(struct.pack("<ii", 0, 3)), pa.py_buffer(b"\xff\xfe\xfd")
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, letters])


def _with_extension() -> bytes:
    arrow = {"ARROW:extension:name": "ray.data.arrow_tensor", "ARROW:extension:metadata": "[1]"}
    box = pa.field("bbox_px", pa.list_(pa.float32()), metadata=arrow)
    columns = [pa.array(["a.png"]), pa.array(["left"]), pa.array([[1.0]], box.type)]
    return parquet_of(
        pa.Table.from_arrays(columns, schema=pa.schema([("uri", pa.string()), ("hand", pa.string()), box]))
    )
