"""How much time a dead server may cost: one short question, then silence for a hundred times as long."""

import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

import requests

SHARE = 0.01  # of the time, at most, goes into asking again
_ANSWER_S = 2.0  # a server that lives says that it does within this
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


class Breaker:
    """Says when a server that failed may be asked again."""

    def __init__(self) -> None:
        self._not_before_s = 0.0

    def may_ask(self) -> bool:
        """Whether the last failure is long enough ago, for the time it took."""
        return time.monotonic() >= self._not_before_s

    def failed(self, since_s: float) -> None:
        """A try that began at this time of the monotonic clock came to nothing."""
        now = time.monotonic()
        self._not_before_s = now + (now - since_s) / SHARE


def check_answer(uri: str) -> None:
    """Ask a server whether it lives, since MLflow itself waits long for one that is silent.

    Any answer will do: what it thinks of the question is MLflow's business. Files are not asked.

    Raises:
        requests.RequestException: it refuses connections, or says nothing in time.
        ConnectionError: a database's port does not open.
    """
    parts = urlsplit(uri)
    kind = parts.scheme.split("+")[0]
    if kind in ("http", "https"):
        # One whose certificate is not known here speaks all the same: MLflow may know it.
        with suppress(requests.exceptions.SSLError):
            requests.get(f"{uri.rstrip('/')}/health", timeout=_ANSWER_S, allow_redirects=False, stream=True).close()
    elif kind in _DATABASE_PORTS and parts.hostname:
        address = parts.hostname, parts.port or _DATABASE_PORTS[kind]
        try:
            socket.create_connection(address, timeout=_ANSWER_S).close()
        except OSError as error:
            raise ConnectionError(f"port {address[1]} of {address[0]} does not open: {error}") from error
