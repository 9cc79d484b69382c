"""No wait in silence: what makes no progress says what it waits for, and ends after a while where that can be."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from semihand.frames.errors import InputError

SILENCE_S = 120.0  # the longest that a stage goes without progress and without a word

logger = logging.getLogger(__name__)


class End(NamedTuple):
    """How a wait is given up."""

    after_s: float  # without progress
    give_up: Callable[[], None]  # called once, by another thread; whoever waits goes on, with an error or without


@dataclass(eq=False)
class Watch:
    """A wait that somebody watches; called at every progress."""

    what: str
    look: Callable[[], str]
    silence_s: float
    say: Callable[[str], object]
    end: End | None
    moved_s: float = field(default_factory=time.monotonic)
    given_up: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.moved_s = time.monotonic()

    def go_on(self) -> None:
        """Watch until the wait is over."""
        said_s = self.moved_s
        while not self.over.wait(max(0.0, self._due_s(said_s) - time.monotonic())):
            if _open[-1:] != [self]:  # the wait inside this one speaks
                self()
            elif self.end is not None and not self.given_up and time.monotonic() >= self.moved_s + self.end.after_s:
                self.given_up = True
                self.end.give_up()
            elif time.monotonic() >= max(said_s, self.moved_s) + self.silence_s:
                said_s, seen = time.monotonic(), self.look()
                self.say(f"no progress for {said_s - self.moved_s:.0f} s: waiting for {self.what}{seen and '; '}{seen}")

    def _due_s(self, said_s: float) -> float:
        word_s = max(said_s, self.moved_s) + self.silence_s
        return word_s if self.end is None or self.given_up else min(word_s, self.moved_s + self.end.after_s)

    def check(self, cause: BaseException | None = None) -> None:
        """Raise what is said of a wait that was given up."""
        if self.given_up and self.end is not None:
            raise stalled(self.what, self.end.after_s, self.look()) from cause


_open: list[Watch] = []  # of this process, the innermost last
_lock = threading.Lock()


@contextmanager
def watched(
    what: str,
    look: Callable[[], str] = lambda: "",
    silence_s: float | None = None,
    say: Callable[[str], object] = logger.warning,
    end: End | None = None,
) -> Iterator[Watch]:
    """Have somebody watch a wait; gives what is to be called at every progress.

    Of waits within one another the innermost speaks alone, and its end is progress of the others.

    Args:
        what: it waits for.
        look: what there is to be seen meanwhile, asked by another thread; it may not wait itself.
        silence_s: a line is said whenever so many seconds have passed without progress; None: `SILENCE_S`.
        say: takes the line.
        end: how the wait is given up; None: it lasts as long as it takes.

    Raises:
        InputError: it was given up.
    """
    watch = Watch(what, look, SILENCE_S if silence_s is None else silence_s, say, end)
    with _lock:
        _open.append(watch)
    threading.Thread(target=watch.go_on, daemon=True, name=f"watching {what}").start()
    try:
        yield watch
    except Exception as error:
        watch.check(error)
        raise
    finally:
        watch.over.set()
        with _lock:
            for outer in _open[: _open.index(watch)]:
                outer()
            _open.remove(watch)
    watch.check()


def stalled(what: str, limit_s: float, seen: str) -> InputError:
    """What is said of a wait that came to nothing."""
    return InputError(
        f"no {what} came for {limit_s:g} s, and nothing moved; {seen}. Add CPUs, or lower --cluster.label.num_actors "
        "or --cluster.train.num_workers; if the work is that slow, raise --cluster.stall_limit_s. Run again, it goes "
        "on where it stopped."
    )
