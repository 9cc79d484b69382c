"""A job that is started again until it is done, and dies where its plan says."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from semihand.failpoints import STEPS, VARIABLE, arm, deaths
from semihand.proof.killer import Killer
from semihand.rounds.ledger import Ledger
from semihand.tables import Store

_MOST_STARTS = 100
_LIMIT_S = 1800.0  # of one start
# Beside its end, which every step has: places in a step where a death is told from all others.
_WITHIN = {
    "ingest": ("commit.frames.made",),
    "subjects": ("commit.subjects.made",),
    "label": ("commit.labels.seen", "commit.labels.made", "commit.labels.synced"),
    "seal": ("seal.between",),
    "select": ("commit.selections.made",),
    "train": ("fit.listed", "fit.modelled", "file.tensors.half"),
    "promote": ("record.uploaded", "record.registered", "record.promoted"),
}
# In the order of a round: what follows the last step that is done is at work.
_IN_ORDER = ("ingest", "subjects", "calibrate", "label", "seal", "search", "select", "train", "evaluate", "promote")
AT_A_PLACE = "at a failpoint"  # a kind of death, beside the kinds of workers


class Run(NamedTuple):
    """A campaign that came to its end.

    Attributes:
        campaign: its folder.
        starts: how often it was begun.
        error: what ended it, if that was something else than the deaths it was given; it is not done then.
        landed: deaths by step and kind of process.
        missed: places of the plan that nothing came to.
    """

    campaign: Path
    starts: int
    error: str | None
    landed: Counter[tuple[str, str]]
    missed: list[str]


def places_of(step: str) -> tuple[str, ...]:
    """The failpoints that stand for a step."""
    return (f"step.{step}.done", f"step.{step}.recorded", *_WITHIN.get(step, ()))


def draw_plan(rng: random.Random) -> dict[str, str]:
    """A failpoint for every step, by step."""
    return {step: rng.choice(places_of(step)) for step in STEPS}


def run_campaign(job: Sequence[str], campaign: Path, plan: dict[str, str], every_s: float | None, seed: int) -> Run:
    """Start a job until it is done; its log and its failpoints lie beside the campaign.

    Args:
        job: its command line but for the campaign.
        campaign: the folder of the campaign.
        plan: a failpoint for some steps, at which one process dies.
        every_s: mean time between two deaths of workers; None: no worker is killed.
        seed: of them.
    """
    failpoints = campaign.with_name(f"{campaign.name}-failpoints")
    failpoints.mkdir(parents=True)
    for name in plan.values():
        arm(failpoints, name)
    killer = None if every_s is None else Killer(failpoints, every_s, seed, lambda: step_at_work(campaign))
    with killer or nullcontext():
        starts, error = _start_until_done([sys.executable, *job, "--campaign", str(campaign)], failpoints)
    landed = Counter({(step, AT_A_PLACE): deaths(failpoints, name) for step, name in plan.items()})
    missed = [name for name in plan.values() if not deaths(failpoints, name)]
    return Run(campaign, starts, error, +landed + (Counter() if killer is None else killer.landed), missed)


def step_at_work(campaign: Path) -> str:
    """The step that a campaign is at, as far as its ledger says."""
    try:
        done = list(Ledger(Store(campaign)).all_finished())
    except FileNotFoundError:
        return "ingest"
    last_round = max((number for number, _ in done), default=0)
    steps = [step for number, step in done if number == last_round and step in _IN_ORDER]
    if last_round == 0:
        return "ingest" if not steps else "train"
    place = max(map(_IN_ORDER.index, steps), default=0) + 1
    return _IN_ORDER[place] if place < len(_IN_ORDER) else "control"


def _start_until_done(command: list[str], failpoints: Path) -> tuple[int, str | None]:
    """How many starts it took, and what else than SIGKILL ended the last."""
    log = failpoints.with_suffix(".log")
    for starts in range(1, _MOST_STARTS + 1):
        with log.open("ab") as output:
            environment = {**os.environ, VARIABLE: str(failpoints)}
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            try:
                code = process.wait(_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return starts, f"start {starts} took over {_LIMIT_S:.0f} s; see {log}"
        if code == 0:
            return starts, None
        if code != -signal.SIGKILL:
            return starts, f"start {starts} ended with {code}; see {log}"
    return _MOST_STARTS, f"not done after {_MOST_STARTS} starts; see {log}"
