"""rounds/driver.py: one driver at a time; the dead hold nothing."""

import os
import signal
import subprocess
import sys

import pytest

from semihand.frames.errors import InputError
from semihand.rounds.config import ClusterConfig, RoundConfig
from semihand.rounds.driver import LOCK, only_driver
from semihand.rounds.run import run_pretraining, run_rounds

HOLDING = """
import os, sys, time
from pathlib import Path
from semihand.rounds.driver import only_driver
with only_driver(Path(sys.argv[1])):
    if sys.argv[2] == "forks" and os.fork() == 0:
        print(os.getpid(), flush=True)
    elif sys.argv[2] == "alone":
        print(os.getpid(), flush=True)
    time.sleep(120)
"""


def holder(folder, kind):
    """A process that drives the campaign, and the pid that it or its child says once it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(folder), kind], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def test_a_second_driver_is_told_of_the_first_and_takes_over_when_it_is_dead(tmp_path):
    process, _ = holder(tmp_path, "alone")
    try:
        with (
            pytest.raises(InputError, match=rf"driven by process {process.pid} on \S+ since 20\d\d-"),
            only_driver(tmp_path),
        ):
            pass
    finally:
        process.kill()
        process.wait()
    with only_driver(tmp_path):
        assert f'"pid": {os.getpid()},' in (tmp_path / LOCK).read_text()
    with only_driver(tmp_path):
        pass


def test_a_child_that_outlives_its_driver_does_not_hold_the_campaign(tmp_path):
    process, child = holder(tmp_path, "forks")
    try:
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        with only_driver(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_a_lock_whose_words_cannot_be_read_still_holds(tmp_path):
    process, _ = holder(tmp_path, "alone")
    try:
        (tmp_path / LOCK).write_text("{")
        with pytest.raises(InputError, match="driven by another process"), only_driver(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("run", [run_rounds, run_pretraining])
def test_a_second_first_start_settles_nothing(tmp_path, run):
    """The first holds the folder before it has written a word of its configuration."""
    process, _ = holder(tmp_path, "alone")
    try:
        with pytest.raises(InputError, match=f"driven by process {process.pid}"):
            run(RoundConfig(campaign=tmp_path, cluster=ClusterConfig(alone=True)))
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
