"""The decoding process: answers tasks until nobody asks any more.

    python -P -m semihand.frames.worker_process CONNECTION MEMORY LIMITS

An item that takes longer than its limit ends this process, as does one that crashes the decoder; the one who asked sees
it end and starts another (`semihand.frames.worker`). Large arrays go through a piece of shared memory, for which the
asker says when it has copied them; everything else goes through the connection.
"""

import contextlib
import mmap
import os
import pickle
import resource
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from PIL import Image

from semihand.frames import alarm
from semihand.frames.limits import Limits
from semihand.frames.tasks import TASKS

SHARED_FROM_BYTES = 2**16  # below it the connection is faster


def main() -> None:
    """Serve the connection that the arguments name."""
    connection, memory_fd, limits = Connection(int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # the limits hold for every picture before Pillow's own would
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody asks any more
        connection.send_bytes(b"started")
        _Server(connection, memory_fd, Limits.model_validate_json(limits)).serve()


class _Server:
    def __init__(self, connection: Connection, memory_fd: int, limits: Limits) -> None:
        self._connection, self._memory_fd, self._limits = connection, memory_fd, limits
        self._shared: mmap.mmap | None = None
        self._copied = True

    def serve(self) -> None:
        """Answer requests, each with its answers and an end."""
        while True:
            self._wait_until_copied()
            request = self._connection.recv_bytes()
            size = len(request)
            name, arguments = pickle.loads(request)
            del request
            for answer in self._watched(name, arguments, size):
                self._send((answer,))
            self._send(())

    def _watched(self, name: str, arguments: tuple[Any, ...], size: int) -> Iterator[Any]:
        """The answers to a task, each in the time and memory that it may take beside the request of this size.

        Requests and answers themselves come and go without that limit: there is nobody to blame for them.
        """
        task, limits = TASKS[name], self._limits
        seconds = limits.max_file_s if task.whole_file else limits.max_item_s
        memory = size + (limits.file_memory_bytes if task.whole_file else limits.picture_memory_bytes)
        answers = task.answers(*arguments, limits)
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
        parts: list[memoryview] = []

        def keep(buffer: pickle.PickleBuffer) -> bool:
            """Whether to leave a buffer in the message, since it is small."""
            raw = buffer.raw()
            if raw.nbytes >= SHARED_FROM_BYTES:
                parts.append(raw)
            return raw.nbytes < SHARED_FROM_BYTES

        pickled = pickle.dumps(message, protocol=5, buffer_callback=keep)
        if parts:
            self._share(parts)
        self._connection.send_bytes(pickle.dumps((pickled, [part.nbytes for part in parts])))

    def _share(self, parts: list[memoryview]) -> None:
        self._wait_until_copied()
        size = sum(part.nbytes for part in parts)
        if self._shared is None or len(self._shared) < size:
            os.ftruncate(self._memory_fd, size)
            self._shared = mmap.mmap(self._memory_fd, size)
        start = 0
        for part in parts:
            self._shared[start : start + part.nbytes] = part
            start += part.nbytes
        self._copied = False

    def _wait_until_copied(self) -> None:
        if not self._copied:
            self._connection.recv_bytes()
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
