"""Failpoints: named places where a test lets a process die, to see that nothing of a round is lost or doubled.

A test arms them by `SEMIHAND_FAILPOINTS`, a folder, and by files in it: `NAME.kill.1`, `NAME.kill.2`, ... Whoever comes
to the place takes the first of them, by a rename that only one process can make, and dies by SIGKILL; the file is then
`NAME.killed.1`, which proves that the place was reached. Files `NAME.pass.N` are taken before, and let pass; at a file
`NAME.lose.N` the process lives, but what it did there fails, as if no answer had come. So a plan holds over any number
of processes, machines and restarts. Where the folder has a file `TRAIL`, every arrival is a line
of it. Unarmed, a failpoint looks at one environment variable.
"""

import os
import signal
from pathlib import Path

VARIABLE = "SEMIHAND_FAILPOINTS"
TRAIL = "trail.txt"

# Every whole file goes through these, in this order.
_OF_FILES = {
    "begun": "nothing is written yet",
    "half": "half of it is written, beside its place",
    "unnamed": "safe, but not yet under its name",
    "named": "under its name, which a power cut may take back",
    "kept": "there for good",
}
#: The kinds of files that are written whole, as `semihand.tables.files.write_whole` is told.
FILES = ("shard", "record", "tensors", "model", "settings", "state", "manifest")
_OF_COMMITS = {
    "seen": "the table was looked at, nothing is committed",
    "made": "committed, and the log entry not yet safe from a power cut",
    "synced": "there for good, but the driver has not heard so",
}
#: The tables that are committed to.
TABLES = ("frames", "subjects", "labels", "quarantine", "selections", "rounds")
#: The steps of a campaign, as the ledger names them.
STEPS = (
    "ingest", "train", "evaluate", "promote", "subjects", "calibrate", "label", "seal", "search", "select", "control",
)  # fmt: skip
_OF_STEPS = {"done": "its work is done, the ledger does not say so", "recorded": "the ledger says that it is done"}

#: Every failpoint, and what has happened when it is reached.
POINTS: dict[str, str] = {
    **{f"file.{kind}.{moment}": about for kind in FILES for moment, about in _OF_FILES.items()},
    **{f"commit.{table}.{moment}": about for table in TABLES for moment, about in _OF_COMMITS.items()},
    **{f"step.{step}.{moment}": about for step in STEPS for moment, about in _OF_STEPS.items()},
    "seal.between": "the quarantine is sealed, the labels are not",
    "fit.listed": "a checkpoint is listed, those before it are not swept",
    "fit.modelled": "the model of a fit is there, the fit does not say so",
    "record.uploaded": "MLflow has the files of the round's model, which is no version yet",
    "record.registered": "MLflow knows the round's model, its alias has not moved",
    "record.promoted": "the alias has moved to the round's model, the ledger does not say so",
}


class LostAnswerError(OSError):
    """What a test asked for: something was done, and whoever did it is not told."""


def reach(name: str) -> None:
    """Say that a process has come to this place; it dies here where a test asked for that.

    Args:
        name: one of `POINTS`.

    Raises:
        LostAnswerError: a test asked for that.
    """
    folder = os.environ.get(VARIABLE)
    if folder:
        _come_to(name, Path(folder))


def arm(folder: Path, name: str, kills: int = 1, passes: int = 0, losses: int = 0) -> None:
    """Let the next processes that come to this place die there.

    Args:
        folder: what `SEMIHAND_FAILPOINTS` names.
        name: one of `POINTS`.
        kills: how many deaths.
        passes: arrivals that live on before the first.
        losses: arrivals after all deaths that are told of a failure.
    """
    if name not in POINTS:
        raise ValueError(f"no failpoint {name!r}; they are {', '.join(POINTS)}")
    for kind, num in (("pass", passes), ("kill", kills), ("lose", losses)):
        for number in range(1, num + 1):
            (folder / f"{name}.{kind}.{number}").touch()


def variables() -> dict[str, str]:
    """What the processes of a cluster must have in their environment to come to the failpoints of this one."""
    return {VARIABLE: os.environ[VARIABLE]} if os.environ.get(VARIABLE) else {}


def deaths(folder: Path, name: str) -> int:
    """How many processes have died at this place."""
    return len(list(folder.glob(f"{name}.killed.*")))


def losses(folder: Path, name: str) -> int:
    """How many arrivals at this place were told of a failure."""
    return len(list(folder.glob(f"{name}.lost.*")))


def arrivals(folder: Path) -> list[str]:
    """The places that processes came to, in order, since there was a file `TRAIL`."""
    return (folder / TRAIL).read_text().splitlines()


def _come_to(name: str, folder: Path) -> None:
    if name not in POINTS:
        raise ValueError(f"failpoint {name!r} is not among POINTS")
    if (folder / TRAIL).exists():
        with (folder / TRAIL).open("a") as trail:  # a short line goes in whole, whoever else writes
            trail.write(f"{name}\n")
    if _take(folder, name, "pass", "passed"):
        return
    if _take(folder, name, "kill", "killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if _take(folder, name, "lose", "lost"):
        raise LostAnswerError(f"failpoint {name}")


def _take(folder: Path, name: str, kind: str, taken: str) -> bool:
    """Whether there was a file of this kind, and it is now ours."""
    for path in sorted(folder.glob(f"{name}.{kind}.*")):
        try:
            path.rename(folder / path.name.replace(f".{kind}.", f".{taken}."))
        except FileNotFoundError:  # another process was faster
            continue
        return True
    return False
