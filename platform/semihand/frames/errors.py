"""What goes wrong with frames: in one of them, or in what the caller asked for."""

from semihand.tables.schemas import QUARANTINE_REASONS


class InputError(ValueError):
    """The input as a whole cannot be used; one line that names the value and the way out."""


class BadFrame(Exception):  # noqa: N818  (a frame that fails is a row with its reason, not a program's error)
    """One frame cannot be used, while its neighbours can.

    Attributes:
        reason: one of `semihand.tables.schemas.QUARANTINE_REASONS`.
        detail: what was found, for a person to read.
    """

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in QUARANTINE_REASONS:
            raise ValueError(f"reason {reason!r} is not one of {', '.join(QUARANTINE_REASONS)}")
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
