"""Deaths at any time: a thread that kills processes which work on a campaign, and remembers what they were at."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from semihand.failpoints import VARIABLE

_WORKER = "ray::"  # how Ray names processes that work; IDLE ones wait
_LOOK_EVERY_S = 0.25


class Killer:
    """Kills workers of one campaign on this machine, each after a while of its own.

    A worker is known by the folder of failpoints in its environment, which it has from the driver: workers of others
    are left alone.

    Args:
        failpoints: that folder.
        every_s: mean time between two deaths.
        seed: of the times and the choices.
        step: says which step the campaign is at.
    """

    def __init__(self, failpoints: Path, every_s: float, seed: int, step: Callable[[], str]) -> None:
        self._failpoints, self._every_s, self._step = str(failpoints), every_s, step
        self._rng, self._done = random.Random(seed), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.landed: Counter[tuple[str, str]] = Counter()  # by step and kind of worker

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._done.wait(self._rng.expovariate(1 / self._every_s)):
            while not self._kill_one() and not self._done.wait(_LOOK_EVERY_S):
                pass

    def _kill_one(self) -> bool:
        workers = sorted(filter(self._is_ours, psutil.process_iter(["pid"])), key=lambda process: process.pid)
        if not workers:
            return False
        step, chosen = self._step(), self._rng.choice(workers)
        try:
            kind = chosen.name().removeprefix(_WORKER)
            chosen.kill()
        except psutil.NoSuchProcess:
            return False
        self.landed[step, kind] += 1
        return True

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            name = process.name()
            works = name.startswith(_WORKER) and "IDLE" not in name
            return works and process.environ().get(VARIABLE) == self._failpoints
        except psutil.Error:
            return False
