"""A disk that fills up ends a run with one line that names it; what was done stays done."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semihand.frames.errors import InputError, first_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Ray, deltalake, safetensors and sqlite pass the system's error on as words.
_IN_WORDS = ("No space left on device", "os error 28", "Disk quota exceeded", "disk is full")


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Say which disk is full, whoever finds out and however deep below; other errors pass.

    Args:
        folder: the campaign's.

    Raises:
        InputError: there was no room left for something.
    """
    try:
        yield
    except Exception as error:
        found = _no_room(error)
        if found is None:
            raise
        disk = shutil.disk_usage(folder)
        raise InputError(
            f"there is no room left: {found}. The disk of {folder} has {disk.free:,} bytes free of {disk.total:,}. "
            "Make room and run again, it goes on where it stopped; nothing is half-written."
        ) from error


def _no_room(error: BaseException) -> str | None:
    """What says so in an error or one below it; None if it is about something else."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.errno in _FULL:
            return f"{at.strerror}: {at.filename or 'a file of the campaign'}"
        for words in _IN_WORDS:
            for line in str(at).splitlines():
                if words in line:
                    return first_line(ValueError(line.strip()))
        at = at.__cause__ or at.__context__
    return None
