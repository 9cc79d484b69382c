"""A server that answers all that MLflow asks, as if everything were well, but only after a while; it counts."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RUN = {
    "run_id": "1",
    "run_uuid": "1",
    "experiment_id": "1",
    "status": "RUNNING",
    "artifact_uri": "mlflow-artifacts:/1",
}
_MODEL = {"model_id": "m-1", "experiment_id": "1", "name": "hand", "artifact_uri": "mlflow-artifacts:/1/models/m-1"}
# One answer to every question: who asks picks what he knows.
_ANSWER = {
    "experiment": {"experiment_id": "1", "name": "slow", "lifecycle_stage": "active"},
    "run": {"info": _RUN, "data": {}},
    "run_info": _RUN,
    "runs": [],
    "model": {"info": _MODEL, "data": {}},
}


class SlowServer(ThreadingHTTPServer):
    """On loopback."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url, self.wait_s = f"http://127.0.0.1:{self.server_port}", wait_s
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowServer

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.command} {self.path.split('?')[0]}")
        time.sleep(self.server.wait_s)
        text = json.dumps(_ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{method}", _Handler._answer)


@contextmanager
def slow_server(wait_s: float) -> Iterator[SlowServer]:
    """One that takes so long for every answer."""
    server = SlowServer(wait_s)
    listener = threading.Thread(target=server.serve_forever, daemon=True)
    listener.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        listener.join()
