"""Where a Ray started here keeps its sockets, logs and spilled frames: Ray lets everybody write there."""

import os
import stat
from pathlib import Path

from semihand.frames.errors import InputError

_ROOT = Path("/tmp")  # not TMPDIR: sockets lie below, whose paths hold 107 characters


def private_folder(root: Path = _ROOT) -> str:
    """A folder within one that only this user enters; RAY_TMPDIR names another.

    Raises:
        InputError: somebody else's has its name, or it cannot be made.
    """
    if given := os.environ.get("RAY_TMPDIR"):
        return given
    closed = root / f"semihand-{os.geteuid()}"
    try:
        closed.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{closed}, Ray's temporary folder, cannot be made: {error.strerror}. Name another with RAY_TMPDIR."
        ) from error
    about = closed.lstat()
    if about.st_uid != os.geteuid() or not stat.S_ISDIR(about.st_mode):
        raise InputError(f"{closed} belongs to somebody else. Name a folder of your own with RAY_TMPDIR.")
    closed.chmod(0o700)
    return str(closed / "ray")
