"""Fits in processes of their own, forked from one that has imported all they need, which failpoints may kill."""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from semihand.failpoints import VARIABLE
from semihand.steps.fitting import Fit, work

_PATIENCE_S = 300.0


def fit_in_child(job: Fit, failpoints: Path) -> int | None:
    """Do a fit, or go on with it, with a checkpoint at every report; gives how its process ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_fits", "transformers.models.resnet.modeling_resnet"])
    process = context.Process(target=_fit, args=(job, failpoints))
    with pytest.MonkeyPatch.context() as patch:  # the server that forks does not take over this one's search path
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        process.start()
    process.join(_PATIENCE_S)
    assert not process.is_alive(), "the fit hangs"
    return process.exitcode


def _fit(job: Fit, failpoints: Path) -> None:
    os.environ[VARIABLE] = str(failpoints)
    work(job, 1)
