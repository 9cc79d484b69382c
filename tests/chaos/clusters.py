"""Clusters that campaigns join, and what befalls them meanwhile."""

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import psutil

from semihand.proof.driver import step_at_work
from semihand.rounds.driver import LOCK
from semihand.rounds.ledger import Ledger
from semihand.tables import Store

_PROCESS = Path(__file__).with_name("cluster_process.py")
# A node that says nothing for two seconds is dead: by default Ray waits for half a minute.
_SETTINGS = {
    "RAY_AUTH_MODE": "token", "RAY_gcs_storage": "rocksdb",
    "RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "2",
}  # fmt: skip
LOSSES = ("node", "preempted", "gcs")
_LOOK_EVERY_S = 0.5
_WITHIN_A_ROUND_S = 6.0
_STOPS_WITHIN_S = 30.0


class RayCluster:
    """A cluster on this machine, in a process of its own.

    Args:
        folder: for its log and what its GCS keeps.
        nodes: how many there are besides the head.
        cpus: what each of them says it has.
        seed: of the choice of what dies.
    """

    def __init__(self, folder: Path, nodes: int, cpus: int, seed: int) -> None:
        self.losses: Counter[str] = Counter()
        self._log = (folder / "cluster.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(_PROCESS), *map(str, (nodes, cpus, seed))],
            env={**os.environ, **_SETTINGS, "RAY_gcs_storage_path": str(folder / "gcs")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.address = self._line()

    def lose(self, what: str) -> None:
        """Let a `node` or the `gcs` die by SIGKILL, or a node be `preempted`; returns when another is in its place."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        assert self._line() == what
        self.losses[what] += 1

    def close(self) -> None:
        """End all of its processes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"the cluster has ended; see {self._log.name}"
        return line


@contextmanager
def meanwhile(disturb: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something in another thread, which is told to end; what it raises is raised here."""
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(disturb, ended)
        try:
            yield
        finally:
            ended.set()
        disturbing.result()


def at_any_time(cluster: RayCluster, every_s: float, seed: int) -> Callable[[threading.Event], None]:
    """Nodes die or are preempted, the GCS dies, by turns in an order of its own, each after a while of its own."""

    def disturb(ended: threading.Event) -> None:
        rng = random.Random(seed)
        turns = cycle(rng.sample(LOSSES, len(LOSSES)))
        while not ended.wait(rng.expovariate(1 / every_s)):
            cluster.lose(next(turns))

    return disturb


def once_a_round(
    cluster: RayCluster, campaign: Path, what: str, seed: int, rounds: set[int]
) -> Callable[[threading.Event], None]:
    """Something dies once in every round, after a while; the rounds that went on meanwhile are added to `rounds`."""

    def disturb(ended: threading.Event) -> None:
        rng = random.Random(seed)
        while not ended.wait(_LOOK_EVERY_S):
            number = round_at_work(campaign)
            if number in {0, *rounds} or ended.wait(rng.uniform(0, _WITHIN_A_ROUND_S)):
                continue
            if round_at_work(campaign) == number:
                cluster.lose(what)
                rounds.add(number)

    return disturb


def told_to_stop(campaign: Path, steps: set[str], told: list[str]) -> Callable[[threading.Event], None]:
    """Its driver gets a SIGTERM, as `ray job stop` sends it, once in each of some steps, which are added to `told`."""

    def disturb(ended: threading.Event) -> None:
        while not ended.wait(_LOOK_EVERY_S):
            step = step_at_work(campaign)
            if step in steps.difference(told):
                driver = psutil.Process(json.loads((campaign / LOCK).read_text())["pid"])
                driver.terminate()
                driver.wait(_STOPS_WITHIN_S)
                told.append(step)

    return disturb


def round_at_work(campaign: Path) -> int:
    """The round that a campaign is at; 0 before the first."""
    try:
        done = Ledger(Store(campaign)).all_finished()
    except FileNotFoundError:
        return 0
    return max((number for number, step in done if step == "promote"), default=-1) + 1
