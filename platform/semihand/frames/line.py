"""The line between the decoding process and whoever asks it: a text, and buffers beside it or in shared memory.

The process may have been taken over by what it decodes. What comes from it is held to its limits before memory is taken
for it, and to its time until all of it is there.
"""

import os
import socket
import struct
import tempfile
import time
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from semihand.frames.messages import Buffer

_HEAD = struct.Struct("<QII")  # bytes that follow, bytes of the text, number of buffers


class Packet(NamedTuple):
    """What came over the line.

    Attributes:
        text: of the message.
        sizes: of its buffers, in bytes.
        buffers: these themselves; None where they lie in shared memory.
    """

    text: str
    sizes: tuple[int, ...]
    buffers: list[memoryview] | None


class Line:
    """One end of it."""

    def __init__(self, end: socket.socket, most_bytes: int | None = None) -> None:
        """Speak through a socket; None: what comes may be of any size."""
        self._end, self._most_bytes = end, most_bytes

    def send(
        self, text: str, buffers: Sequence[Buffer] = (), shared: bool = False, patience_s: float | None = None
    ) -> None:
        """Send a text, and its buffers where they do not lie in shared memory.

        Raises:
            TimeoutError: it was not taken in time.
            ConnectionError: nobody is there.
        """
        encoded, sizes = text.encode(), [len(data) for data in buffers]
        parts = [struct.pack(f"<{len(sizes)}Q", *sizes), encoded, *(() if shared else buffers)]
        head = _HEAD.pack(sum(map(len, parts)), len(encoded), len(sizes))
        self._end.settimeout(patience_s)
        self._end.sendall(b"".join([head, *parts]))

    def receive(self, patience_s: float | None = None) -> Packet:
        """Wait for a packet, until it is whole.

        Raises:
            TimeoutError: it is not there in time.
            EOFError: nobody is there; ConnectionError likewise.
            ValueError: it is larger than it may be, or its parts do not fit it.
        """
        deadline = None if patience_s is None else time.monotonic() + patience_s
        num_bytes, num_text, num_buffers = _HEAD.unpack(self._exactly(_HEAD.size, deadline))
        num_sizes = 8 * num_buffers
        if self._most_bytes is not None and num_bytes > self._most_bytes:
            raise ValueError(f"a packet of {num_bytes} bytes, the limit is {self._most_bytes}")
        if num_sizes + num_text > num_bytes:
            raise ValueError(f"a text of {num_text} bytes and {num_buffers} buffers in {num_bytes} bytes")
        body = memoryview(self._exactly(num_bytes, deadline))
        sizes = struct.unpack(f"<{num_buffers}Q", body[:num_sizes])
        text, rest = str(body[num_sizes : num_sizes + num_text], "utf-8"), body[num_sizes + num_text :]
        if rest and sum(sizes) != len(rest):
            raise ValueError(f"buffers of {sum(sizes)} bytes in {len(rest)} bytes")
        return Packet(text, sizes, _cut(rest, sizes) if sum(sizes) == len(rest) else None)

    def _exactly(self, size: int, deadline: float | None) -> bytearray:
        data, num = bytearray(size), 0
        with memoryview(data) as whole:
            while num < size:
                patience_s = None if deadline is None else deadline - time.monotonic()
                if patience_s is not None and patience_s <= 0:
                    raise TimeoutError
                self._end.settimeout(patience_s)
                received = self._end.recv_into(whole[num:])
                if not received:
                    raise EOFError
                num += received
        return data

    def close(self) -> None:
        """Nothing more is said."""
        self._end.close()


def _cut(data: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    ends = list(accumulate(sizes, initial=0))
    return [data[start:end] for start, end in pairwise(ends)]


def new_memory() -> int:
    """A file that both processes can map, and that leaves nothing behind."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("semihand-pictures")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def copies(memory_fd: int, sizes: Sequence[int], most_bytes: int) -> list[memoryview]:
    """Buffers out of shared memory, each in memory of its own.

    They are read, not mapped: a mapping of what the other side cuts off in that moment would end this process.

    Raises:
        ValueError: there are more than so many bytes of them, or than the memory holds.
    """
    held = os.fstat(memory_fd).st_size
    if sum(sizes) > min(held, most_bytes):
        raise ValueError(f"buffers of {sum(sizes)} bytes in a memory of {held}, the limit is {most_bytes}")
    start, parts = 0, []
    for size in sizes:
        part = np.empty(size, np.uint8).data
        num = 0
        while num < size:
            read = os.preadv(memory_fd, [part[num:]], start + num)
            if not read:
                raise ValueError(f"the memory ends at byte {start + num}")
            num += read
        parts.append(part)
        start += size
    return parts
