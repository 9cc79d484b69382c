"""A server that takes connections and never answers, and counts them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SilentServer:
    """On loopback."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.taken: list[socket.socket] = []

    def listen(self) -> None:
        """Take whoever comes, until closed."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.taken.append(connection)

    def close(self) -> None:
        """Hang up on all."""
        self._socket.shutdown(socket.SHUT_RDWR)
        for each in (self._socket, *self.taken):
            each.close()


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    """One that listens."""
    server = SilentServer()
    listener = threading.Thread(target=server.listen, daemon=True)
    listener.start()
    try:
        yield server
    finally:
        server.close()
        listener.join()
