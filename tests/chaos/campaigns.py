"""Campaigns that are killed: small ones, two rounds long, started again until they are done."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from driving import drive

from semihand.failpoints import TRAIL, VARIABLE, arm, deaths

WORDS = {
    "recipe": "tiny", "rounds": 2, "hand": "right", "source": "source",
    "data.num_source": 40, "network.width": 8, "calibrate.num_frames": 20, "label.views.num_views": 4,
    "pretrain.num_steps": 4, "pretrain.source_batch": 4, "pretrain.cell": 4, "pretrain.report_every": 2,
    "train.num_steps": 4, "train.source_batch": 4, "train.target_batch": 4, "train.cell": 4, "train.report_every": 2,
    "select.num_trials": 4, "select.max_label_error_mm": 1000, "cluster.train.checkpoint_every": 1,
    "cluster.label.rows_per_shard": 4, "cluster.label.shards_per_commit": 1,
}  # fmt: skip
#: What a campaign takes of a cluster, and how often its fits may fail there.
SMALL = {"cluster.label.num_actors": 1, "cluster.train.cpus_per_worker": 1, "cluster.train.max_failures": 100}
ONE_ROUND = {"rounds": 1}
CONTROL, ALONE = "--control", "--cluster.alone"
_MOST_STARTS = 400
_NO_WORD = 255  # multiprocessing's: the server that forks was gone before it could say how a process ended


@dataclass(frozen=True)
class Kill:
    """Deaths at a failpoint, after some arrivals that live on; then arrivals that are told of a failure."""

    name: str
    kills: int = 1
    passes: int = 0
    losses: int = 0


@dataclass(frozen=True)
class Ended:
    """A campaign that came to its end.

    Attributes:
        folder: the campaign's.
        failpoints: where its deaths are written down.
        starts: how often it was begun.
    """

    folder: Path
    failpoints: Path
    starts: int

    def deaths(self, name: str) -> int:
        """How many processes died at a failpoint."""
        return deaths(self.failpoints, name)


class BrokenCampaignError(AssertionError):
    """A campaign that was not only killed."""


class Campaigns:
    """Runs campaigns on the same frames, each in a folder of its own, in processes that may be killed."""

    def __init__(
        self,
        folder: Path,
        pool: Path,
        more: Mapping[str, object] = MappingProxyType({}),
        switches: tuple[str, ...] = (CONTROL, ALONE),
        environment: Mapping[str, str] = MappingProxyType({}),
        patience_s: float = 600.0,
    ) -> None:
        self.folder, self.pool, self._switches, self._environment = folder, pool, switches, dict(environment)
        self._more, self._patience_s = {"frames": pool, **more}, patience_s
        # The server that forks does not take over this process's search path.
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["driving"])

    def campaign(self, name: str) -> Path:
        """The folder of a campaign."""
        return self.folder / name / f"campaign-{name}"

    def failpoints(self, name: str) -> Path:
        """Where its deaths are written down."""
        return self.folder / name / "failpoints"

    def run(self, name: str, plan: tuple[Kill, ...] = (), trail: bool = False, mutation: str | None = None) -> Ended:
        """Start a campaign again and again until it is done.

        Raises:
            BrokenCampaignError: something but SIGKILL or SIGTERM ended it.
        """
        folder, failpoints = self.campaign(name), self.failpoints(name)
        failpoints.mkdir(parents=True)
        if trail:
            (failpoints / TRAIL).touch()
        for kill in plan:
            arm(failpoints, kill.name, kill.kills, kill.passes, kill.losses)
        log = self.folder / name / "log.txt"
        for starts in range(1, _MOST_STARTS):
            before = _num_deaths(failpoints)
            code = self._start(folder, log, failpoints, mutation)
            if code == 0:
                return Ended(folder, failpoints, starts)
            was_killed = code in (-signal.SIGKILL, -signal.SIGTERM)
            was_killed |= code == _NO_WORD and _num_deaths(failpoints) > before
            if not was_killed:
                raise BrokenCampaignError(f"start {starts} of {name} ended with {code}:\n{log.read_text()[-4000:]}")
        raise BrokenCampaignError(f"{name} was not done after {_MOST_STARTS} starts: {Counter(k.name for k in plan)}")

    def once_more(self, name: str) -> None:
        """Start a campaign that is done, by the same command."""
        log = self.folder / name / "log.txt"
        code = self._start(self.campaign(name), log, self.failpoints(name), None)
        if code != 0:
            raise BrokenCampaignError(f"one more start of {name} ended with {code}:\n{log.read_text()[-4000:]}")

    def forget(self, name: str) -> None:
        """Remove a campaign that is looked at no more."""
        shutil.rmtree(self.folder / name)

    def _start(self, folder: Path, log: Path, failpoints: Path, mutation: str | None) -> int | None:
        words = [f"--{key}={value}" for key, value in {**WORDS, **self._more, "campaign": folder}.items()]
        environment = {VARIABLE: str(failpoints), **self._environment}
        process = self._context.Process(target=drive, args=([*words, *self._switches], environment, log, mutation))
        process.start()
        process.join(self._patience_s)
        if process.is_alive():
            process.kill()
            raise BrokenCampaignError(f"a start took over {self._patience_s:.0f} s:\n{log.read_text()[-4000:]}")
        return process.exitcode


def _num_deaths(failpoints: Path) -> int:
    return len(list(failpoints.glob("*.killed.*")))
