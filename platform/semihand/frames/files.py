"""Opening files that strangers named: inside a root, regular, of a sane size."""

import errno
import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path, PurePosixPath

from semihand.frames import alarm
from semihand.frames.errors import BadFrame, InputError

_CHUNK_BYTES = 2**20


def resolve_inside(uri: str, folder: Path, root: Path | None) -> Path:
    """The real path of a file, all links followed, once it is known to lie inside the root.

    Args:
        uri: a path, absolute or relative to `folder`; without `..` unless it comes from our own tables, or the
            caller opened a wider root.
        folder: what relative paths start from.
        root: the resolved folder that the file must lie in; None where the paths are our own.

    Raises:
        BadFrame: bad_name, bad_path or missing_file.
    """
    _check_name(uri)
    if "://" in uri:
        raise BadFrame("bad_path", f"{uri}: only files are read; copy it below {folder} and give its path")
    if root == folder and ".." in PurePosixPath(uri).parts:
        raise BadFrame("bad_path", f"{uri}: '..' is refused; give the path below {folder}")
    try:
        path = Path(os.path.realpath(folder / uri, strict=True))
    except (FileNotFoundError, NotADirectoryError):
        raise BadFrame("missing_file", f"{uri}: no such file below {folder}") from None
    except (OSError, ValueError) as error:
        raise BadFrame("bad_path", f"{uri}: {_message(error)}") from error
    if root is not None and not path.is_relative_to(root):
        raise BadFrame("bad_path", f"{uri}: leads to {path}, outside {root}; move it there, or the manifest above both")
    _check_name(str(path))
    return path


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise BadFrame("bad_name", f"{name}: the name is not UTF-8; rename the file") from None


def read_file(path: Path, limit: int) -> bytes:
    """All bytes of a regular file that has some.

    Raises:
        BadFrame: missing_file, bad_path, empty_file, too_large or unreadable.
    """
    size = check_regular(path).st_size
    if size > limit:
        raise BadFrame("too_large", f"{path} has {size} bytes, above the limit of {limit}")
    try:
        # O_NOFOLLOW: the path was resolved when it was listed, so a link now is a swap.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BadFrame("unreadable", f"{path}: {_message(error)}") from error
    if not data:
        raise BadFrame("empty_file", f"{path} has 0 bytes")
    if len(data) > limit:
        raise BadFrame("too_large", f"{path} has grown beyond the limit of {limit} bytes")
    return data


def check_regular(path: Path) -> os.stat_result:
    """The state of a file that may be opened without harm: no FIFO, no device, not empty.

    Raises:
        BadFrame: missing_file, bad_path, empty_file or unreadable.
    """
    try:
        state = os.lstat(path)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        raise BadFrame("missing_file" if missing else "unreadable", f"{path}: {_message(error)}") from error
    if not stat.S_ISREG(state.st_mode):
        raise BadFrame("bad_path", f"{path} is not a regular file")
    if state.st_size == 0:
        raise BadFrame("empty_file", f"{path} has 0 bytes")
    return state


def check_input(path: Path, limit: int) -> os.stat_result:
    """The state of a file that describes many frames, and that may be a link; what is none of these may hang.

    Raises:
        InputError: it is missing, no regular file, or too large.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {_message(error)}; the data set is not complete, or not in its own layout") from None
    if not stat.S_ISREG(state.st_mode):
        raise InputError(f"{path} is not a regular file; write it to one")
    if state.st_size > limit:
        raise InputError(f"{path}: {state.st_size} bytes, the limit is {limit}")
    return state


def file_sha256(path: Path, limit: int) -> str:
    """The sha256 of a file of up to so many bytes; hashed once per process while size and times stay the same.

    Raises:
        BadFrame: too_large, or as `check_regular`.
    """
    state = check_regular(path)
    if state.st_size > limit:
        raise BadFrame("too_large", f"{path} has {state.st_size} bytes, above the limit of {limit}")
    try:
        return _file_sha256(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    except OSError as error:
        raise BadFrame("unreadable", f"{path}: {_message(error)}") from error


@lru_cache(maxsize=256)
def _file_sha256(path: Path, *state: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            alarm.again()
    return digest.hexdigest()


def _message(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
