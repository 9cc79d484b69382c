"""Models and archives that would run code, fill the memory, or say what is not so: bytes, by what they are."""

import builtins
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hostile import bombs
from hostile.bombs import Call


def programs(canary: Path) -> dict[str, bytes]:
    """By name: pickles that leave the canary where anybody runs them."""
    touch = f"touch {canary}"
    system, opens = Call(os.system, touch), Call(open, str(canary), "w")
    word = json.dumps(touch).encode()[1:-1]
    text = b"\x8c" + bytes([len(word)]) + word
    plain = {"weights": np.zeros(3)}
    made = {
        "GLOBAL": b"cposix\nsystem\n(V" + word + b"\ntR.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(" + text + b"tR.",
        "INST": b"(V" + word + b"\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nV" + word + b"\no.",
        "name built of parts": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94h\0h\1\x93" + text + b"\x85R.",
        "in a list in a dict": pickle.dumps({"a": [{"b": (1, [system])}]}),
        "beside real arrays": pickle.dumps(plain | {"posedirs": system}),
        "as a key": pickle.dumps({opens: 1}),
        "as an array of objects": pickle.dumps({"weights": np.array([system, None], object)}),
        "as chumpy's array": pickle.dumps(plain | {"weights": system}).replace(b"weights", b"chumpy."),
        "eval of a text": pickle.dumps(Call(builtins.eval, f"open({str(canary)!r}, 'w').close()")),
        "exec of a text": pickle.dumps(Call(builtins.exec, f"open({str(canary)!r}, 'w').close()")),
        "import of a module": pickle.dumps(Call(builtins.eval, f"__import__('os').system({touch!r})")),
        "a pickle in a pickle": pickle.dumps(Call(pickle.loads, pickle.dumps(system))),
        "protocol 0": pickle.dumps(system, 0), "protocol 5": pickle.dumps(system, 5),
    }  # fmt: skip
    return made | {name: make() for name, make in bombs.pickles(canary).items() if name in _CALLS}


_CALLS = ("os.system", "eval", "subprocess", "open")


def archives(canary: Path) -> dict[str, tuple[bytes, bool]]:
    """By name: bytes of archives, and whether those for whom they are made would run them."""
    system = Call(os.system, f"touch {canary}")
    program = pickle.dumps(system)
    zipped, legacy, objects = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"weight": torch.zeros(2), "hook": system}, zipped)
    torch.save({"weight": torch.zeros(2), "hook": system}, legacy, _use_new_zipfile_serialization=False)
    np.savez(objects, weights=np.array([system], object))
    one = io.BytesIO()
    np.save(one, np.array([system], object))
    exported = {"archive_format": b"pt2", "archive_version": b"0", "data/weights/model.pt": program,
                "models/model.json": b"{}"}  # fmt: skip
    return {
        "pt as a zip": (zipped.getvalue(), True), "pt of before": (legacy.getvalue(), True),
        "npz of objects": (objects.getvalue(), True), "npy of objects": (one.getvalue(), True),
        "pt2": (zip_of(exported), False), "zlib around a pickle": (zlib.compress(program), False),
        "gzip around a pickle": (b"\x1f\x8b\x08\0" + zlib.compress(program), False),
        "zip that leaves its folder": (zip_of({"../../outside.npy": b"x", "/etc/outside": b"x"}), False),
        "zip of zeros": (zip_of({f"{place}.npy": bytes(2**25) for place in range(4)}), False),
        "zip in a zip": (zip_of({"inner.zip": zip_of({"a.pkl": program})}), False),
        "half a zip": (zipped.getvalue()[:300], False),
        "TorchScript": (zip_of({"m/code/a.py": b"1", "m/data.pkl": program}), False),
    }  # fmt: skip


def zip_of(entries: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def safetensors_of(header: Any, data: bytes = b"") -> bytes:
    """A file of safetensors with this header, JSON or a text that is none."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _one(dtype: str, shape: list[int], ends: list[int]) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": ends}


def weights() -> dict[str, bytes]:
    """By name: safetensors that are wrong by themselves."""
    first = _one("F32", [1], [0, 4])
    four, entry = bytes(4), b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    return {
        "header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
        "header longer than the file": struct.pack("<Q", 1000) + b"{}",
        "no header": b"\0" * 4, "nothing but a length": struct.pack("<Q", 0),
        "header that is no JSON": safetensors_of(b"{nonsense"),
        "header of 100,000 lists": safetensors_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "overlapping tensors": safetensors_of({"a": first, "b": first}, four),
        "a hole between tensors": safetensors_of({"a": first, "b": _one("F32", [1], [8, 12])}, bytes(12)),
        "offsets that run backwards": safetensors_of({"a": _one("F32", [1], [4, 0])}, four),
        "a negative shape": safetensors_of({"a": _one("F32", [-1], [0, 4])}, four),
        "a tensor twice": safetensors_of(b"{" + entry + b"," + entry + b"}", four),
        "10^9 numbers in no bytes": safetensors_of({"a": _one("F32", [10**9], [0, 4 * 10**9])}),
        "a shape that overflows": safetensors_of({"a": _one("F32", [2**40, 2**40], [0, 0])}),
        "nothing of 2^62 rows": safetensors_of({"a": _one("F32", [0, 2**62], [0, 0])}),
        "an unknown type": safetensors_of({"a": _one("F4", [2], [0, 1])}, b"\0"),
        "bytes behind the last tensor": safetensors_of({"a": _one("F32", [1], [0, 4])}, bytes(64)),
    }  # fmt: skip


def texts() -> dict[str, bytes]:
    """By name: JSON that is a bomb, or none."""
    return {
        "200,000 lists": b"[" * 200_000, "200,000 objects": b'{"a":' * 200_000,
        "an integer of 5,000 digits": b'{"crop_margin": ' + b"9" * 5000 + b"}",
        "NaN": b'{"crop_margin": NaN}', "a key twice": b'{"method": "semihand", "method": "semihand"}',
        "no UTF-8": b'{"method": "\xff\xfe"}', "a list": b"[1, 2]", "nothing": b"", "zeros": bytes(500),
        "two megabytes": b'{"method": "' + b"x" * 2**21 + b'"}', "a pickle": pickle.dumps({"method": "semihand"}),
    }  # fmt: skip


def recipes() -> dict[str, bytes]:
    """By name: TOML that is a bomb, none, or of wrong types."""
    return {
        "20,000 lists": b"a = " + b"[" * 20_000, "20,000 tables in a line": b"a = " + b"{a=" * 20_000,
        "an integer of 5,000 digits": b"rounds = " + b"9" * 5000, "no UTF-8": b"rounds = \xff",
        "a key twice": b"rounds = 1\nrounds = 2", "a megabyte": b"rounds = 1 #" + b"x" * 2**20,
        "a text for a number": b'rounds = "many"', "a number for a table": b"train = 3",
        "an unknown key": b"[train]\nnum_stepz = 1", "below its limit": b"rounds = -1", "no TOML": b"\0\0",
        "a list of a thousand for a path": b"campaign = [" + b'"x", ' * 1000 + b"]",
    }  # fmt: skip
