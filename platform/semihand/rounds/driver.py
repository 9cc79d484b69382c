"""One driver a campaign: a second one is refused while the first lives, and takes over when it is dead."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from semihand.frames.errors import InputError

LOCK = "driver.lock"


@contextmanager
def only_driver(folder: Path) -> Iterator[None]:
    """Hold a campaign's folder while this process drives it.

    The lock is the kernel's (POSIX, which network file systems with a lock service keep across machines), and belongs
    to this process: it ends with it, however it dies, and no worker that outlives it keeps it.

    Args:
        folder: the campaign's; it exists.

    Raises:
        InputError: another process drives the campaign; says which one, on which machine, since when.
    """
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError | PermissionError):  # EAGAIN or EACCES: it is held
                raise
            raise InputError(
                f"--campaign {folder} is driven by {_holder(folder)}. Wait for it, or stop it: the next start goes "
                "on where it was."
            ) from error
        file.seek(0)
        file.truncate()
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(" ", "seconds")}
        file.write(json.dumps(about))
        file.flush()
        yield


def _holder(folder: Path) -> str:
    try:
        about = json.loads((folder / LOCK).read_text())
        return f"process {about['pid']} on {about['host']} since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has only just begun
        return "another process"
