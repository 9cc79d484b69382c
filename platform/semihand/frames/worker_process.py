"""The decoding process: answers tasks until nobody asks any more.

    python -P -m semihand.frames.worker_process LINE MEMORY LIMITS

An item that takes longer than its limit ends this process, as does one that crashes the decoder; the one who asked sees
it end and starts another (`semihand.frames.worker`). Large arrays go through a piece of shared memory, for which the
asker says when it has copied them; everything else goes through the line.
"""

import contextlib
import mmap
import os
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from semihand.frames import alarm
from semihand.frames.answers import FILE_TASKS, most_bytes
from semihand.frames.limits import Limits
from semihand.frames.line import Line
from semihand.frames.messages import Buffer, read, written
from semihand.frames.tasks import TASKS

SHARED_FROM_BYTES = 2**16  # below it the line is faster


def main() -> None:
    """Serve the line that the arguments name."""
    line_fd, memory_fd, limits = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # the limits hold for every picture before Pillow's own would
    line = Line(socket.socket(fileno=line_fd))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody asks any more
        line.send("started")
        _Server(line, memory_fd, Limits.model_validate_json(limits)).serve()


class _Server:
    def __init__(self, line: Line, memory_fd: int, limits: Limits) -> None:
        self._line, self._memory_fd, self._limits = line, memory_fd, limits
        self._shared: mmap.mmap | None = None
        self._copied = True

    def serve(self) -> None:
        """Answer requests, each with its answers and an end."""
        while True:
            self._wait_until_copied()
            request = self._line.receive()
            size = len(request.text) + sum(request.sizes)
            name, arguments = read(request.text, request.buffers or ())
            del request
            for answer in self._watched(name, arguments, size):
                self._send((answer,))
            self._send(())

    def _watched(self, name: str, arguments: tuple[Any, ...], size: int) -> Iterator[Any]:
        """The answers to a task, each in the time and memory that it may take beside the request of this size.

        Requests and answers themselves come and go without that limit: there is nobody to blame for them.
        """
        limits = self._limits
        seconds = limits.max_file_s if name in FILE_TASKS else limits.max_item_s
        memory = size + most_bytes(name, limits)
        answers = TASKS[name](*arguments, limits)
        while True:
            alarm.arm(seconds)
            _limit_memory(memory)
            try:
                answer = next(answers)
            except StopIteration:
                return
            finally:
                alarm.disarm()
                _limit_memory(None)
            yield answer

    def _send(self, message: tuple[Any, ...]) -> None:
        text, buffers = written(message)
        shared = sum(map(len, buffers)) >= SHARED_FROM_BYTES
        if shared:
            self._share(buffers)
        self._line.send(text, buffers, shared)

    def _share(self, parts: Sequence[Buffer]) -> None:
        self._wait_until_copied()
        size = sum(map(len, parts))
        if self._shared is None or len(self._shared) < size:
            os.ftruncate(self._memory_fd, size)
            self._shared = mmap.mmap(self._memory_fd, size)
        start = 0
        for part in parts:
            self._shared[start : start + len(part)] = part
            start += len(part)
        self._copied = False

    def _wait_until_copied(self) -> None:
        if not self._copied:
            self._line.receive()
            self._copied = True


def _limit_memory(size: int | None) -> None:
    """Let this process have so many bytes of addresses; None: as many as it ever may."""
    if sys.platform != "linux":
        return  # others keep no count of the addresses that a process reserves
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = [most] if size is None else [size] if most == resource.RLIM_INFINITY else [size, most]
    resource.setrlimit(resource.RLIMIT_AS, (min(wanted), most))


if __name__ == "__main__":
    main()
