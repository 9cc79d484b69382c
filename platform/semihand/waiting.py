"""No wait in silence: what makes no progress says what it waits for, for how long, and what to look at."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SILENCE_S = 120.0  # the longest that a stage goes without progress and without a word

logger = logging.getLogger(__name__)


@contextmanager
def watched(
    what: str,
    look: Callable[[], str] = lambda: "",
    silence_s: float | None = None,
    say: Callable[[str], None] = logger.warning,
) -> Iterator[Callable[[], None]]:
    """Have somebody watch a wait; gives a function to be called at every progress.

    Args:
        what: it waits for.
        look: what there is to be seen meanwhile, asked by another thread; it may not wait itself.
        silence_s: a line is said whenever so many seconds have passed without progress; None: `SILENCE_S`.
        say: takes the line.
    """
    limit_s = SILENCE_S if silence_s is None else silence_s
    ended, moved_s = threading.Event(), time.monotonic()

    def progress() -> None:
        nonlocal moved_s
        moved_s = time.monotonic()

    def watch() -> None:
        said_s = moved_s
        while not ended.wait(max(0.0, max(said_s, moved_s) + limit_s - time.monotonic())):
            if time.monotonic() < max(said_s, moved_s) + limit_s:
                continue
            said_s, seen = time.monotonic(), look()
            say(f"no progress for {said_s - moved_s:.0f} s: waiting for {what}{seen and '; '}{seen}")

    watcher = threading.Thread(target=watch, daemon=True, name=f"watching {what}")
    watcher.start()
    try:
        yield progress
    finally:
        ended.set()
