"""A process's own end, should one item take too long: the kernel's timer, which no native code can hold up.

SIGALRM is left to its default, which is to end the process at once. Only the process that decodes arms it; in any
other, `again` does nothing.
"""

import signal

_seconds = 0.0


def arm(seconds: float) -> None:
    """From now on this process has so many seconds to live, unless `again` or `disarm` comes first."""
    global _seconds
    _seconds = seconds
    signal.setitimer(signal.ITIMER_REAL, seconds)


def again() -> None:
    """A step was done: the seconds count anew, where they count at all."""
    if _seconds:
        signal.setitimer(signal.ITIMER_REAL, _seconds)


def disarm() -> None:
    """The item is done."""
    arm(0.0)
