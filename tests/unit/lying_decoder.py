"""A decoding process that was taken over: what it may say, and how one comes to be asked."""

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from semihand.frames.messages import written

# A process that says it has started, and after it was asked whatever it is told to; then it waits, or ends.
ONCE = """
import os, socket, struct, sys
line, memory, said, grown, stays = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), *sys.argv[3:]
line.sendall(struct.pack("<QII", 7, 7, 0) + b"started")
line.recv(1)
os.ftruncate(memory, int(grown))
line.sendall(bytes.fromhex(said))
while stays == "stays" and line.recv(2**16):
    pass
"""


# One that says it over and over.
FOR_EVER = """
import contextlib, socket, struct, sys
line = socket.socket(fileno=int(sys.argv[1]))
line.sendall(struct.pack("<QII", 7, 7, 0) + b"started")
line.recv(1)
with contextlib.suppress(BrokenPipeError, ConnectionResetError):
    while True:
        line.sendall(bytes.fromhex(sys.argv[3]))
"""


def started(program, line_fd, memory_fd, said, grown, stays):
    """The process, in place of `semihand.frames.worker._start`."""
    words = [str(line_fd), str(memory_fd), said.hex(), str(grown), "stays" if stays else "ends"]
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", program, *words], pass_fds=(line_fd, memory_fd))


def packet(text, sizes=(), buffers=b"", num_bytes=None, num_text=None, num_buffers=None):
    """What `Line.send` would send, or lies about it."""
    body = struct.pack(f"<{len(sizes)}Q", *sizes) + text.encode() + buffers
    given_ = (num_bytes, num_text, num_buffers)
    true = (len(body), len(text.encode()), len(sizes))
    return (
        struct.pack("<QII", *(real if said is None else said for said, real in zip(given_, true, strict=True))) + body
    )


def answers(*values):
    return b"".join(packet(*parts((value,))) for value in values)


def parts(value):
    text, buffers = written(value)
    return text, [len(data) for data in buffers], b"".join(buffers)


def index(**other):
    given_ = {"path": Path("a"), "width": 20, "height": 16, "quarter_turns": 0, "num_frames": 2, "times": (0, 1),
              "keyframe_times": (0,), "time_base": Fraction(1, 30), "conversions": ()}  # fmt: skip
    return {**given_, **other}


def medium(**other):
    given_ = {"path": "/a", "key": "a", "content_sha256": 64 * "0", "width": 20, "height": 16, "conversions": ()}
    return {**given_, **other}
