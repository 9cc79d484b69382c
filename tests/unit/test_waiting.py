"""A wait without progress says so, and again; one that goes on, or has ended, is silent."""

import re
import threading
import time

from semihand.waiting import SILENCE_S, watched


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
