"""The disturbed: what a process that runs a campaign does; it is forked from one that has imported all it needs."""

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import matplotlib.pyplot
import mlflow.store.tracking.sqlalchemy_store
import transformers.models.resnet.modeling_resnet
from mutations import MUTATIONS

import semihand.tracking.delivery
from semihand.command_line import read_config
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_rounds

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
_IMPORTED_BY = os.getpid()
PRELOADED = (
    matplotlib.pyplot,
    mlflow,
    semihand.tracking.delivery,
    transformers,
)  # their imports take longer than a round


def drive(words: list[str], environment: dict[str, str], log: Path, mutation: str | None = None) -> None:
    """Run a campaign, or go on with it, and say what it says in the log.

    Args:
        words: the command line.
        environment: what is to be set in it.
        log: its lines are added to.
        mutation: one of `MUTATIONS`, to be made in what keeps a campaign whole.
    """
    assert os.getpid() != _IMPORTED_BY, "the server that forks did not find this module, and says nothing about it"
    os.environ.update(environment)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(handle, stream.fileno())
    if mutation is not None:
        MUTATIONS[mutation]()
    run_rounds(read_config(RoundConfig, words, RECIPES, default=None))
