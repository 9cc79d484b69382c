"""Hand-made inputs, each with what has to become of it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sample_pictures import encode, picture

from hostile import bombs
from hostile.kinds import RIGHT, TRUTH, Seeds, read_set
from hostile.outcomes import Outcome, counted, read_model, read_path
from hostile.sets import LISTS, ROWS_OF, SETS

_GOOD = encode(picture(42, 80, 60))
REFUSED = "refused"


def nasties(seeds: Seeds, canary: Path) -> dict[str, Callable[[Path], Outcome]]:
    """By name: given an empty folder, what becomes of an input; what should not is among the lost."""
    found: dict[str, Callable[[Path], Outcome]] = {}
    for name, (file_name, data, reason) in bombs.pictures().items():
        found[f"picture: {name}"] = lambda folder, n=file_name, d=data, r=reason: _in_folder(folder, n, d(), r)
    for name, (make, reason) in _PATHS.items():
        found[f"path: {name}"] = lambda folder, m=make, r=reason: _made(folder, m, r)
    for uri, reason in _URIS.items():
        found[f"uri: {uri[:30]!r}"] = lambda folder, u=uri, r=reason: _named(folder, u, r)
    for name, (line, reason) in _LINES.items():
        found[f"line: {name}"] = lambda folder, t=line, r=reason: _line(folder, t, r)
    for name, data in bombs.tables().items():
        found[f"parquet: {name}"] = lambda folder, d=data: _refused(folder, "m.parquet", d())
    for name, data in bombs.pickles(canary).items():
        found[f"hand model: {name}"] = lambda folder, d=data: _model(folder, "hand.pkl", d(), canary)
        found[f"meta: {name}"] = lambda folder, d=data: _in_set(seeds, folder, "ho3d", 1, d(), "bad_truth", canary)
        found[f"annotation: {name}"] = lambda folder, d=data: _in_set(seeds, folder, "rhd", 0, d(), REFUSED, canary)
    for name, data in bombs.archives().items():
        found[f"hand model: npz of {name}"] = lambda folder, d=data: _model(folder, "hand.npz", d(), canary)
        found[f"labels: npz of {name}"] = lambda folder, d=data: _in_set(seeds, folder, "dexycb", 0, d(), "", canary)
    for name, (kind, place, data, reason) in _ANNOTATIONS.items():
        found[f"annotation: {name}"] = lambda folder, a=(kind, place, data, reason): _in_set(seeds, folder, *a, canary)
    return found


def _expect(found: Outcome, reason: str, where: str) -> Outcome:
    """Hold an outcome of one input to the reason it should have; "" for whatever it is."""
    got = REFUSED if found.num_refused else next(iter(found.reasons), "read")
    if reason and got != reason:
        found.lost.append(f"{where}: {got}, not {reason}")
    return found


def _in_folder(folder: Path, name: str, data: bytes, reason: str) -> Outcome:
    (folder / name).write_bytes(data)
    return _made(folder, lambda _: None, reason)


def _made(folder: Path, make: Callable[[Path], object], reason: str) -> Outcome:
    make(folder)
    (folder / "z_good.png").write_bytes(_GOOD)
    found = counted(1, lambda: read_path(folder, RIGHT, 2)[0])
    if found.num_read == 0:
        found.lost.append(f"{folder}: the good picture is gone")
    return _expect(found, reason, str(folder))


def _named(folder: Path, uri: str, reason: str) -> Outcome:
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe.png")
    for path in (folder / "good.png", folder / "sub" / "inner.png"):
        path.write_bytes(_GOOD)
    rows = [{"uri": "good.png", "hand": "left"}, {"uri": uri, "hand": "left"}]
    (folder / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return _expect(counted(1, lambda: read_path(folder / "m.jsonl", RIGHT, 2)[0]), reason, uri[:60])


def _line(folder: Path, line: bytes, reason: str) -> Outcome:
    for name in ("good.png", "other.png"):
        (folder / name).write_bytes(_GOOD)
    (folder / "m.jsonl").write_bytes(b'{"uri": "good.png", "hand": "left"}\n' + line + b"\n")
    return _expect(counted(1, lambda: read_path(folder / "m.jsonl", RIGHT, 2)[0]), reason, line[:60].decode("latin1"))


def _refused(folder: Path, name: str, data: bytes) -> Outcome:
    (folder / name).write_bytes(data)
    return _expect(counted(1, lambda: read_path(folder / name, RIGHT, 0)[0]), REFUSED, name)


def _model(folder: Path, name: str, data: bytes, canary: Path) -> Outcome:
    (folder / name).write_bytes(data)
    return _without(canary, _expect(read_model(folder / name), REFUSED, name))


def _in_set(
    seeds: Seeds, folder: Path, name: str, place: int, data: bytes | Callable[[Path], object], reason: str, canary: Path
) -> Outcome:
    root = folder / name
    shutil.copytree(seeds.folder / name, root)
    path = root / seeds.sets[name][place]
    if callable(data):
        path.unlink()
        data(path)
    else:
        path.write_bytes(data)
    text = f"{name}:{root}?{SETS[name][1]}"
    num_rows = None if seeds.sets[name][place] in LISTS else ROWS_OF[name]
    return _without(canary, _expect(counted(1, lambda: read_set(text, TRUTH, num_rows)), reason, text))


def _without(canary: Path, found: Outcome) -> Outcome:
    if canary.exists():
        found.lost.append("code of an input ran")
        canary.unlink()
    return found


def _non_utf8(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/caf\xe9.png", "wb") as file:
        file.write(_GOOD)


def _outside(folder: Path) -> None:
    outside = folder.parent / f"{folder.name}_outside.png"
    outside.write_bytes(_GOOD)
    (folder / "a.png").symlink_to(outside)


_PATHS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (lambda folder: os.mkfifo(folder / "a.jpg"), "bad_path"),
    "zeros without end": (lambda folder: (folder / "a.png").symlink_to("/dev/zero"), "bad_path"),
    "noise without end": (lambda folder: (folder / "a.mp4").symlink_to("/dev/urandom"), "bad_path"),
    "link to itself": (lambda folder: (folder / "a.png").symlink_to(folder / "a.png"), "bad_path"),
    "folder that holds itself": (lambda folder: (folder / "loop").symlink_to(folder), "bad_path"),
    "link outside": (_outside, "bad_path"),
    "link to nowhere": (lambda folder: (folder / "a.png").symlink_to(folder / "gone"), "missing_file"),
    "name that is not UTF-8": (_non_utf8, "bad_name"),
    "name that begins with a backslash": (lambda folder: (folder / "\\a.png").write_bytes(_GOOD), "bad_name"),
    "name of 255 bytes": (lambda folder: (folder / ("n" * 251 + ".png")).write_bytes(_GOOD), "read"),
    "name of two lines": (lambda folder: (folder / "a\nb\t.png").write_bytes(_GOOD), "read"),
    "the same file twice": (lambda folder: (folder / "b.png").symlink_to(folder / "z_good.png"), "read"),
    "a sparse terabyte": (lambda folder: _sparse(folder / "a.png", 2**40), "too_large"),
    "a sparse terabyte of video": (lambda folder: _sparse(folder / "a.mp4", 2**40), "too_large"),
}  # fmt: skip


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


_URIS = {
    "../good.png": "bad_path",
    "sub/../good.png": "bad_path",
    "sub/../../x/good.png": "bad_path",
    "/etc/passwd": "bad_path",
    "file:///etc/passwd": "bad_path",
    "s3://bucket/a.png": "bad_path",
    "http://127.0.0.1/a.png": "bad_path",
    "a\0.png": "bad_path",
    "x" * 5000: "bad_path",
    "gone.png": "missing_file",
    "good.png/inner.png": "missing_file",
    "sub": "bad_path",
    "pipe.png": "bad_path",
    "/dev/zero": "bad_path",
    "/proc/self/mem": "bad_path",
    "": "bad_path",
    ".": "bad_path",
    "archive.zip/inner.png": "missing_file",
    "sub/inner.png": "read",
    "./sub//inner.png": "read",
}
_LINES = {
    "deep": (b"[" * 100_000, "bad_row"),
    "deep objects": (b'{"a":' * 100_000, "bad_row"),
    "NaN": (b'{"uri": "other.png", "hand": "left", "fx": NaN}', "bad_row"),
    "Infinity": (b'{"uri": "other.png", "hand": "left", "bbox_px": [0, 0, Infinity, 1]}', "bad_row"),
    "a key twice": (b'{"uri": "other.png", "uri": "other.png", "hand": "left"}', "bad_row"),
    "5,000 digits": (b'{"uri": "other.png", "hand": "left", "video_frame": ' + b"9" * 5000 + b"}", "bad_row"),
    "too large a number": (
        b'{"uri": "other.png", "hand": "left", "fx": 1e999, "fy": 1, "cx": 1, "cy": 1}',
        "bad_camera",
    ),
    "a name that begins with a backslash": (b'{"uri": "\\\\nowhere.png", "hand": "left"}', "missing_file"),
    "not UTF-8": (b'{"uri": "\xff\xfe.png", "hand": "left"}', "bad_row"),
    "half a surrogate": (b'{"uri": "\\ud800.png", "hand": "left"}', "bad_row"),
    "zeros": (bytes(1000), "bad_row"),
    "a number": (b"7", "bad_row"),
    "text": (b"uri,hand\nother.png,left"[:8], "bad_row"),
    "two megabytes": (b'{"uri": "' + b"x" * 2**21 + b'"}', REFUSED),
    "an unknown column": (b'{"url": "other.png"}', REFUSED),
    "a negative focal length": (b'{"uri": "other.png", "hand": "left", "fx": -1, "fy": 1, "cx": 1, "cy": 1}', REFUSED),
}
_LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n".encode() for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
_ANNOTATIONS: dict[str, tuple[str, int, bytes | Callable[[Path], object], str]] = {
    "JSON of 100,000 lists": ("freihand", 0, b"[" * 100_000, REFUSED),
    "JSON of 900 lists": ("freihand", 1, b"[" + b"[" * 900 + b"]" * 900 + b", 1]", ""),
    "JSON with a key twice": ("multiview", 0, b'{"cameras": {}, "cameras": {}}', REFUSED),
    "JSON of a NaN camera": (
        "multiview",
        0,
        b'{"cameras": {"left": {"intrinsics": [[NaN,0,0],[0,1,0],[0,0,1]], '
        b'"world_to_camera": [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}}}',
        REFUSED,
    ),
    "JSON of digits": ("panoptic", 0, b'{"hand_pts": ' + b"9" * 5000 + b"}", "bad_truth"),
    "JSON that is a number": ("coco_wholebody", 0, b"7", REFUSED),
    "JSON that is a pipe": ("freihand", 0, lambda path: os.mkfifo(path), REFUSED),
    "JSON that is a device": ("freihand", 0, lambda path: path.symlink_to("/dev/zero"), REFUSED),
    "JSON that is a folder": ("coco_wholebody", 0, lambda path: path.mkdir(), REFUSED),
    "JSON of a sparse terabyte": ("freihand", 0, lambda path: _sparse(path, 2**40), REFUSED),
    "YAML that laughs": ("dexycb", 2, _LAUGHS, REFUSED),
    "YAML that calls": ("dexycb", 2, b"!!python/object/apply:os.system ['true']", REFUSED),
    "YAML of a sparse terabyte": ("dexycb", 2, lambda path: _sparse(path, 2**40), REFUSED),
    "depth in colours": ("dexycb", 1, _GOOD, "unreadable"),
    "no depth": ("dexycb", 1, b"", "empty_file"),
    "depth of too many pixels": ("dexycb", 1, bombs.png_header(20_000, 20_000), "too_large"),
    "depth that is a pipe": ("dexycb", 1, lambda path: os.mkfifo(path), ""),
    "a mask of a gigabyte": ("rhd", 1, bombs.png(bombs.chunk(b"IDAT", b""), width=9000, height=9000), "too_large"),
    "npy of objects": ("mvhand", 0, lambda path: np.save(path, np.array([{}], object)), REFUSED),
    "npy of a huge shape": (
        "mvhand",
        0,
        b"\x93NUMPY\x01\0v\0"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 21, 4, 1), }".ljust(117)
        + b"\n",
        REFUSED,
    ),
    "mat of noise": ("stb", 0, b"MATLAB 5.0 MAT-file" + bytes(105) + b"\0\1IM" + bytes(range(256)), REFUSED),
}
