"""The secret that guards a Ray cluster: in a file for its owner alone, made before Ray would make one for everybody."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from semihand.frames.errors import InputError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# A mounted secret is root's, and a group is how whom it is meant for may read it.
_OTHERS_OF_A_MOUNT = _OTHERS & ~stat.S_IRGRP


def token_path() -> Path:
    """Where Ray looks for the token, as long as RAY_AUTH_TOKEN does not hold it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token").expanduser()


def make_token() -> None:
    """See to it that there is a token which nobody else can read; for a cluster that begins here.

    Raises:
        InputError: it cannot be written, or others may read or exchange the one that is there.
    """
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = token_path()
    if not path.exists():
        try:
            _write(path)
        except OSError as error:
            raise InputError(
                f"the token of Ray cannot be written to {path}: {error.strerror}. "
                "Name another file with RAY_AUTH_TOKEN_PATH."
            ) from error
    read_token()


def read_token() -> str:
    """The token that Ray would use; the file's mode is mended where it is ours to mend.

    Raises:
        InputError: there is none, or others may read or exchange it.
    """
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        return given.strip()
    path = token_path()
    try:
        _close(path)
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the token of Ray cannot be read from {path}: {error}. "
            "Copy the cluster's there (mode 0600), or name its file with RAY_AUTH_TOKEN_PATH."
        ) from error
    if not token:
        raise InputError(f"the token of Ray in {path} is empty. Delete the file, or copy the cluster's token there.")
    return token


def _write(path: Path) -> None:
    """Write a new token, whole or not at all: another process may read it at any time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=".token-", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(handle)
        os.link(unfinished, path)
    except FileExistsError:  # another process was first
        pass
    finally:
        os.unlink(unfinished)


def _close(path: Path) -> None:
    """Take from others what they may do with the file, and with Ray's own folder around it."""
    about = path.stat()
    ours = about.st_uid == os.geteuid()
    too_much = about.st_mode & (_OTHERS if ours else _OTHERS_OF_A_MOUNT)
    if too_much and ours:
        path.chmod(0o600)
    elif too_much:
        raise InputError(
            f"the token of Ray in {path} has mode {stat.S_IMODE(about.st_mode):04o} and is not yours to close: whoever "
            "reads it runs code on the cluster. Have it made 0600, or name a copy of your own with RAY_AUTH_TOKEN_PATH."
        )
    folder = path.parent
    if folder.name == ".ray" and folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & _OTHERS:
        folder.chmod(0o700)
