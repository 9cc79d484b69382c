"""Rows that kill their workers are given up after three deaths alone; no other row is, whatever else dies."""

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest

import killing_work
from killing_work import guarded, num_killed, poison
from semihand.deaths import MOST_DEATHS, _key, forget_deaths

NAMES = ["a", "b", "c", "d", "e", "f"]


def work_once(folder, names):
    """What a worker does, in a process of its own; its answer goes to a file."""
    answers = guarded(folder)(pa.table({"name": names})).to_pylist()
    (folder / "answer.txt").write_text("\n".join(f"{row['answer']} {row['together']}" for row in answers))


def work_as_ray_does(folder, names=NAMES):
    """Begun again whenever its worker dies; returns the answers and how many died."""
    deaths = 0
    while True:
        worker = get_context("fork").Process(target=work_once, args=(folder, names))
        worker.start()
        worker.join()
        if worker.exitcode == 0:
            return (folder / "answer.txt").read_text().split("\n"), deaths
        assert worker.exitcode == -signal.SIGKILL
        deaths += 1
        assert deaths < 50


def notes(folder, *words):
    """Attempts that nobody ended, as preemptions leave them."""
    (folder / "attempts").mkdir(exist_ok=True)
    for number in range(MOST_DEATHS):
        (folder / "attempts" / f"{_key(words)}.before-{number}").touch()


@pytest.mark.parametrize("bad", [set(), {"c"}, {"a", "f"}, set(NAMES)], ids=lambda bad: "".join(sorted(bad)) or "none")
def test_what_kills_is_given_up_and_its_neighbours_are_worked_together(tmp_path, bad):
    poison(tmp_path, bad)
    answers, deaths = work_as_ray_does(tmp_path)
    left = [name for name in NAMES if name not in bad]
    assert sorted(answers) == sorted(
        [*(f"no {name} 0" for name in bad), *(f"{name.upper()} {len(left)}" for name in left)]
    )
    assert deaths == num_killed(tmp_path) == (MOST_DEATHS + MOST_DEATHS * len(bad) if bad else 0)


def test_a_row_is_known_in_another_block(tmp_path):
    poison(tmp_path, {"c"})
    work_as_ray_does(tmp_path)
    answers, deaths = work_as_ray_does(tmp_path, ["x", "c", "y"])
    assert sorted(answers) == ["X 2", "Y 2", "no c 0"]
    assert deaths == 0


def test_preemptions_cost_no_row_and_split_no_block(tmp_path):
    poison(tmp_path, set())
    notes(tmp_path, "block", *NAMES)
    assert work_as_ray_does(tmp_path) == ([f"{name.upper()} 6" for name in NAMES], 0)
    notes(tmp_path, "rest", "block", *NAMES)  # six of them, none while a row was alone
    assert work_as_ray_does(tmp_path) == ([f"{name.upper()} 1" for name in NAMES], 0)


def test_blocks_that_are_done_leave_no_note_and_an_error_is_no_death(tmp_path):
    poison(tmp_path, set())
    work = guarded(tmp_path)
    work(pa.table({"name": NAMES}))
    assert list((tmp_path / "attempts").iterdir()) == []
    with pytest.raises(AttributeError):
        work(pa.table({"name": ["a", None]}))
    assert list((tmp_path / "attempts").iterdir()) == []
    forget_deaths(tmp_path / "attempts")
    assert not (tmp_path / "attempts").exists()


def test_a_process_that_only_its_user_starts_again_dies_once_for_a_block_that_kills(tmp_path):
    poison(tmp_path, {"b", "z"})
    platform = Path(killing_work.__file__).parents[1] / "platform"
    path = os.pathsep.join([str(platform), str(Path(killing_work.__file__).parent)])

    def start():
        command = [sys.executable, killing_work.__file__, str(tmp_path), "a,b,c", "d,e", "y,z"]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)

    starts = [start(), start()]
    assert [each.returncode for each in starts] == [-signal.SIGKILL, -signal.SIGKILL]
    last = start()
    assert last.returncode == 0, last.stderr
    assert sorted(last.stdout.splitlines()) == ["A 2", "C 2", "D 2", "E 2", "Y 1", "no b 0", "no z 0"]
    assert num_killed(tmp_path) == 2 * (MOST_DEATHS + MOST_DEATHS)
