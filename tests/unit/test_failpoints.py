"""failpoints.py: who comes to an armed place dies there, as often as asked for, over any number of processes."""

import os
import signal
import subprocess
import sys

import pytest

from semihand.failpoints import FILES, POINTS, STEPS, TABLES, VARIABLE, arm, deaths, reach
from semihand.tables import SCHEMAS, files
from semihand.tables.schemas import ROUND_STEPS

WRITING = """
import sys
from semihand.tables import files
files.write_whole(sys.argv[1], sys.argv[2].encode(), "record")
"""


def write(path, text, folder):
    """The exit status of a process that writes a file whole."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: str(folder)}
    return subprocess.run([sys.executable, "-c", WRITING, str(path), text], env=environment, check=False).returncode


def test_a_process_dies_at_the_armed_place_as_often_as_asked_and_then_lives(tmp_path):
    arm(tmp_path, "file.record.unnamed", kills=2)
    path = tmp_path / "record.json"
    path.write_text("old")
    for _ in range(2):
        assert write(path, "new", tmp_path) == -signal.SIGKILL
        assert path.read_text() == "old"
    assert deaths(tmp_path, "file.record.unnamed") == 2
    assert write(path, "new", tmp_path) == 0
    assert path.read_text() == "new"


@pytest.mark.parametrize("moment", ["begun", "half", "unnamed", "named", "kept"])
def test_a_file_is_the_old_one_or_the_new_one_wherever_its_writer_dies(tmp_path, moment):
    arm(tmp_path, f"file.record.{moment}")
    path = tmp_path / "record.json"
    path.write_text("old")
    assert write(path, "new", tmp_path) == -signal.SIGKILL
    assert path.read_text() == ("new" if moment in ("named", "kept") else "old")
    left = list(tmp_path.glob(files.UNFINISHED))
    assert len(left) == (moment in ("half", "unnamed"))


def test_arrivals_that_pass_live_and_the_next_one_dies(tmp_path):
    arm(tmp_path, "file.record.begun", passes=1)
    path = tmp_path / "record.json"
    assert write(path, "first", tmp_path) == 0
    assert write(path, "second", tmp_path) == -signal.SIGKILL
    assert path.read_text() == "first"
    assert write(path, "third", tmp_path) == 0


def test_unarmed_nothing_dies_and_no_place_is_unknown(tmp_path, monkeypatch):
    for name in POINTS:
        reach(name)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name in POINTS:
        reach(name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"failpoint 'file\.nowhere' is not among POINTS"):
        reach("file.nowhere")
    with pytest.raises(ValueError, match=r"no failpoint 'file\.nowhere'; they are file\.shard\.begun, "):
        arm(tmp_path, "file.nowhere")


def test_every_table_and_step_has_its_places():
    assert set(TABLES) == set(SCHEMAS)
    assert set(STEPS) == set(ROUND_STEPS)
    assert len(POINTS) >= 40
    assert all(f"file.{kind}.named" in POINTS for kind in FILES)
