"""What goes wrong with frames: in one of them, or in what the caller asked for."""

import reprlib

from semihand.reasons import QUARANTINE_REASONS
from semihand.redaction import redact

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = 120


class InputError(ValueError):
    """The input as a whole cannot be used; one line that names the value and the way out."""


class BadFrame(Exception):  # noqa: N818  (a frame that fails is a row with its reason, not a program's error)
    """One frame cannot be used, while its neighbours can.

    Attributes:
        reason: one of `semihand.reasons.QUARANTINE_REASONS`.
        detail: what was found, for a person to read; secrets in the URLs of a manifest are redacted.
    """

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in QUARANTINE_REASONS:
            raise ValueError(f"reason {reason!r} is not one of {', '.join(QUARANTINE_REASONS)}")
        # It may quote names that no table can hold.
        detail = redact(detail).encode("utf-8", "backslashreplace").decode()
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def first_line(error: BaseException) -> str:
    """What an error says, for a message of one line."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def shown(value: object, length: int = 60) -> str:
    """A value that a stranger wrote, for a message: short, however deep, long or often repeated in itself it is."""
    try:
        return _SHORT.repr(redact(value) if isinstance(value, str) else value)[:length]
    except (ValueError, RecursionError, MemoryError):  # an integer of too many digits, for one
        return f"a {type(value).__name__}"
