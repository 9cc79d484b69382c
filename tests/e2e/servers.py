"""A real Ray head for tests, on loopback, ended by its own process ids alone."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from mlflow_server import free_ports, wait_for

ROOT = Path(__file__).resolve().parents[2]
# `python` and `python3` of a job must be the ones that the tests run with.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@contextlib.contextmanager
def running_head(**options: object) -> Iterator["RayHead"]:
    """A head while it is needed, in a folder whose path is short."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    head = RayHead(folder, **options)
    try:
        head.start()
        yield head
    finally:
        head.stop()
        shutil.rmtree(folder, ignore_errors=True)


class RayHead:
    """`ray start --head`; ended by the ids of its own processes, for `ray stop` ends every Ray of the machine.

    Args:
        folder: short: Ray puts sockets into it, whose paths hold 107 characters.
        token: what guards it; None where it obeys anybody.
    """

    def __init__(self, folder: Path, token: str | None = "f" * 64) -> None:
        self.folder, self.token = folder, token
        names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.address = f"http://127.0.0.1:{self.ports['dashboard-port']}"
        settings = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_WAIT_POLICY": "PASSIVE"}
        settings |= {"RAY_AUTH_MODE": "disabled"} if token is None else {"RAY_AUTH_MODE": "token"}
        settings |= {"RAY_AUTH_TOKEN": token or "", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # on loopback alone
        self.environment = {**os.environ, **settings, "PATH": PATH}
        self.environment.pop("RAY_ADDRESS", None)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        place = [f"--{name}={port}" for name, port in self.ports.items()]
        place += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={self.folder}"]
        size = ["--num-cpus=2", f"--object-store-memory={200 * 1024**2}"]
        log_path = self.folder / "head.log"
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [self._ray, "start", "--head", "--block", "--include-dashboard=true", *place, *size],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(f"{self.address}/api/jobs/", self.process, log_path, self.headers)

    def stop(self) -> None:
        if self.process is None:
            return
        main = psutil.Process(self.process.pid)
        ours = [*main.children(recursive=True), main]
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ours, timeout=10)
        self.process.wait(10)
        self.process = None

    def submit(self, *words: str, cwd: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """`ray job submit`, to the job's end."""
        return subprocess.run(
            [self._ray, "job", "submit", "--address", self.address, *words],
            cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def logs(self, submission_id: str) -> list[str]:
        """What a job printed, line by line."""
        request = urllib.request.Request(f"{self.address}/api/jobs/{submission_id}/logs", headers=self.headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["logs"].splitlines()

    @property
    def headers(self) -> dict[str, str]:
        """What a request shows."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def _ray(self) -> str:
        return str(Path(sys.executable).parent / "ray")
