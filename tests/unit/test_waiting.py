"""A wait without progress says so, and again, and may be given up; one that goes on, or has ended, is silent."""

import re
import threading
import time

import pytest

from semihand import waiting
from semihand.frames.errors import InputError
from semihand.rounds.ledger import Done, Ledger
from semihand.tables import Store
from semihand.waiting import SILENCE_S, End, watched


class Listener:
    """Collects lines, and lets a test wait for them."""

    def __init__(self):
        self.lines, self.condition = [], threading.Condition()

    def say(self, line):
        with self.condition:
            self.lines.append(line)
            self.condition.notify_all()

    def wait_for(self, num):
        with self.condition:
            assert self.condition.wait_for(lambda: len(self.lines) >= num, timeout=30)


def test_silence_is_broken_again_and_again_and_says_what_is_waited_for_and_what_is_to_be_seen():
    heard = Listener()
    with watched("labels", lambda: "0 of 4 CPUs are free", 0.6, heard.say):
        heard.wait_for(2)
    first, second = (re.fullmatch(r"no progress for (\d) s: waiting for (.*)", line) for line in heard.lines[:2])
    assert first[2] == second[2] == "labels; 0 of 4 CPUs are free"
    assert int(second[1]) >= int(first[1]) >= 1


def test_progress_puts_the_line_off_and_the_end_is_the_end():
    heard = Listener()
    with watched("labels", silence_s=1.0, say=heard.say) as progress:
        for _ in range(20):
            time.sleep(0.1)
            progress()
    assert heard.lines == []
    time.sleep(1.2)
    assert heard.lines == []


def test_after_progress_the_silence_counts_anew():
    heard = Listener()
    with watched("labels", silence_s=0.3, say=heard.say) as progress:
        heard.wait_for(1)
        progress()
        heard.wait_for(2)
    assert all("for 0 s" in line for line in heard.lines[:2])


def test_an_error_ends_the_watch():
    heard = Listener()
    try:
        with watched("labels", silence_s=0.2, say=heard.say):
            raise RuntimeError
    except RuntimeError:
        time.sleep(0.5)
    assert heard.lines == []


def test_no_stage_is_silent_for_longer_than_two_minutes(caplog):
    assert SILENCE_S <= 120
    with watched("labels", silence_s=0.1):
        time.sleep(0.3)
    assert "waiting for labels" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("cancelled"), None])
def test_a_wait_without_progress_is_given_up_and_says_for_how_long_and_the_way_out(error):
    woken, heard = threading.Event(), Listener()

    def wait():
        with watched("labels", lambda: "0 CPUs", 0.2, heard.say, End(0.5, woken.set)):
            assert woken.wait(30)
            if error is not None:
                raise error

    with pytest.raises(InputError, match=r"no labels came for 0\.5 s, and nothing moved; 0 CPUs\. .*limit_s") as told:
        wait()
    assert heard.lines
    assert told.value.__cause__ is error


def test_a_wait_that_goes_on_is_not_given_up_and_its_own_error_is_told():
    given_up = threading.Event()

    def work():
        with watched("labels", end=End(1.0, given_up.set)) as progress:
            for _ in range(20):
                time.sleep(0.1)
                progress()
            raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        work()
    assert not given_up.is_set()


def test_of_waits_within_one_another_the_innermost_speaks_alone_and_its_end_is_progress():
    outer, inner = Listener(), Listener()
    with watched("steps", silence_s=0.5, say=outer.say):
        with watched("labels", silence_s=0.2, say=inner.say) as progress:
            inner.wait_for(5)
            progress()
        assert outer.lines == []
        time.sleep(0.3)
        assert outer.lines == []
        outer.wait_for(1)
    num = len(inner.lines)
    assert "waiting for steps" in outer.lines[0]
    time.sleep(0.3)
    assert len(inner.lines) == num


def test_a_wait_that_outlives_the_one_around_it_does_not_silence_those_after_it():
    def blocks():
        with watched("labels", silence_s=30.0):
            yield 1

    left = blocks()
    heard = Listener()
    with watched("steps", silence_s=0.2, say=heard.say):
        next(left)
    left.close()
    with watched("steps", silence_s=0.2, say=heard.say):
        heard.wait_for(1)


def test_a_step_that_is_silent_is_named_once_and_what_it_waits_for_inside_instead_of_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(waiting, "SILENCE_S", 0.4)
    store = Store(tmp_path / "campaign")
    store.create()

    def evaluate():
        time.sleep(0.6)
        with watched("MLflow"):
            time.sleep(0.6)
        return Done()

    Ledger(store).once(3, "evaluate", evaluate)
    said = [record.getMessage() for record in caplog.records if record.name == waiting.__name__]
    assert [re.search("waiting for ([^;]*)", line)[1] for line in said] == ["step evaluate of round 3", "MLflow"]
