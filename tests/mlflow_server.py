"""A real MLflow server for tests, on loopback, ended by its own process ids alone; and how any server is waited for."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

START_SECONDS = 180


class Server:
    """`mlflow server` in a process group of its own, so that its workers end with it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        store = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        artifacts = ["--artifacts-destination", str(self.folder / "served")]
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *store, *artifacts, *place],
                cwd=self.folder,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(f"{self.url}/health", self.process, self.folder / "server.log")

    def stop(self) -> None:
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
            self.process = None
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """All of its processes at once, by SIGKILL."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        self.process = None

    def post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def rounds(self, experiment: str) -> dict[str, tuple[str, dict[str, float]]]:
        """Status and metrics of every round of an experiment, over REST."""
        found = self.post("experiments/search", {"max_results": 10})
        [ours] = [item for item in found["experiments"] if item["name"] == experiment]
        listed = {}
        for run in self.post("runs/search", {"experiment_ids": [ours["experiment_id"]]})["runs"]:
            tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
            metrics = {metric["key"]: metric["value"] for metric in run["data"].get("metrics", [])}
            listed[tags["round"]] = (run["info"]["status"], metrics)
        return listed


def wait_for(
    url: str, process: "subprocess.Popen[bytes]", log: Path, headers: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Until a server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"no answer from {url} after {START_SECONDS} s: {log.read_text()}")


def free_ports(num: int) -> list[int]:
    """Ports of loopback that nobody listens on; all are held until all are known."""
    sockets = [socket.socket() for _ in range(num)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
