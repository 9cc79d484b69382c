"""A disk that fills up, or a campaign's folder that may not be written, ends a run with one line that names it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semihand.frames.errors import InputError, first_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Ray, deltalake, safetensors and sqlite pass the system's error on as words.
_FULL_IN_WORDS = ("No space left on device", "os error 28", "Disk quota exceeded", "disk is full")
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_FORBIDDEN_IN_WORDS = ("Permission denied", "Operation not permitted", "Read-only file system")
_SESSION_BYTES = 16 * 1024**2  # logs and sockets of Ray


@contextmanager
def unwritable_told(folder: Path) -> Iterator[None]:
    """Say which disk is full or what may not be written, whoever finds out and however deep below; others pass.

    Args:
        folder: the campaign's.

    Raises:
        InputError: there was no room left for something, or something in the folder may not be read or written.
    """
    try:
        yield
    except Exception as error:
        if found := _found(error, _FULL, _FULL_IN_WORDS):
            disk = shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.exists()))
            raise InputError(
                f"there is no room left: {found}. The disk of {folder} has {disk.free:,} bytes free of {disk.total:,}. "
                "Make room and run again, it goes on where it stopped; nothing is half-written."
            ) from error
        found = _found(error, _FORBIDDEN, _FORBIDDEN_IN_WORDS)
        if found and str(folder) in found and not isinstance(error, InputError):
            raise InputError(
                f"--campaign {folder} cannot be used: {found}. Let this user read and write all of it, or name "
                "another folder."
            ) from error
        raise


def check_temporary(folder: str) -> None:
    """Refuse a folder for Ray's sockets, logs and spilled blocks that does not take them.

    Raises:
        InputError: it cannot be made or written, or has no room.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _SESSION_BYTES)
    except OSError as error:
        raise InputError(
            f"Ray's temporary folder {folder} does not take {_SESSION_BYTES:,} bytes: {error.strerror}. Make room or "
            "let this user write there, or name another folder with RAY_TMPDIR."
        ) from error


def _found(error: BaseException, codes: tuple[int, ...], words: tuple[str, ...]) -> str | None:
    """What says so in an error or one below it; None if it is about something else."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.errno in codes:
            return f"{at.strerror}: {at.filename or 'a file of the campaign'}"
        for line in str(at).splitlines():
            if any(each in line for each in words):
                return first_line(ValueError(line.strip()))
        at = at.__cause__ or at.__context__
    return None
