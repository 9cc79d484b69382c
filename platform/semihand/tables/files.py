"""The one door to storage: whole files in, whole files out, on a disk or an object store."""

import contextlib
import hashlib
import os
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.fs as pafs

from semihand.failpoints import reach

UNFINISHED = ".*.unfinished"  # names of what a killed process had not finished; Delta ignores names with a dot


def absolute(folder: str | os.PathLike[str]) -> str:
    """The folder as an absolute path, or as the uri it already is (`s3://bucket/campaign`).

    Raises:
        ValueError: the folder is empty or has a % in its name.
    """
    name = os.fspath(folder)
    if not name:
        raise ValueError("campaign folder '' is empty; give a path such as campaigns/tiny")
    if is_local(name):
        name = unquote(urlsplit(name).path) if name.startswith("file://") else name
        path = str(Path(name).expanduser().absolute())
        if "%" in path:
            raise ValueError(f"campaign folder {path!r} has a % in it, which deltalake misreads; rename it")
        return path
    return name.rstrip("/")


def is_local(uri: str) -> bool:
    """Whether this is a path on a disk of this machine."""
    return "://" not in uri or uri.startswith("file://")


def join(uri: str, *parts: str) -> str:
    """The uri of something below another."""
    return "/".join([uri.rstrip("/"), *parts])


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """Whatever stores this uri, and the path to give it."""
    if is_local(uri):
        return pafs.LocalFileSystem(), uri
    store, path = pafs.FileSystem.from_uri(uri)
    return store, path


def write_whole(uri: str, data: bytes, kind: str) -> None:
    """Write a file so that its name never stands for half of it, even after a power cut.

    Args:
        uri: where; what was there is replaced.
        data: all of it.
        kind: one of `semihand.failpoints.FILES`.

    Raises:
        OSError: the disk is full or refuses; nothing is left at the name, and no leftover beside it.
    """
    if not is_local(uri):  # an object store puts whole objects only
        store, path = filesystem(uri)
        with store.open_output_stream(path) as stream:
            stream.write(data)
        return
    final = Path(uri)
    reach(f"file.{kind}.begun")
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = final.with_name(UNFINISHED.replace("*", uuid.uuid4().hex))
    try:
        with open(unfinished, "xb") as stream:
            stream.write(data[: len(data) // 2])
            stream.flush()
            reach(f"file.{kind}.half")
            stream.write(data[len(data) // 2 :])
            stream.flush()
            os.fsync(stream.fileno())
        reach(f"file.{kind}.unnamed")
        os.rename(unfinished, final)
        reach(f"file.{kind}.named")
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.filename is None:  # the system names no file that is open
            error.filename = f"{final} ({len(data):,} bytes)"
        raise
    sync(str(final.parent))
    reach(f"file.{kind}.kept")


def sync(uri: str) -> None:
    """Make a file, or the names in a folder, outlive a power cut; deltalake itself never does."""
    if not is_local(uri):
        return
    handle = os.open(uri, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_whole(uri: str) -> bytes | None:
    """The bytes of a file, or None where there is none."""
    store, path = filesystem(uri)
    try:
        with store.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        return None


def size(uri: str) -> int | None:
    """The size of a file in bytes, or None where there is none."""
    store, path = filesystem(uri)
    info = store.get_file_info(path)
    return int(info.size) if info.type == pafs.FileType.File else None


def stamp(uri: str) -> tuple[int, int] | None:
    """Size in bytes and time of writing in nanoseconds of a file, or None where there is none."""
    store, path = filesystem(uri)
    info = store.get_file_info(path)
    return (int(info.size), int(info.mtime_ns or 0)) if info.type == pafs.FileType.File else None


def sha256(uri: str) -> str | None:
    """The sha256 of a file in hexadecimal, or None where there is none."""
    store, path = filesystem(uri)
    digest = hashlib.sha256()
    try:
        with store.open_input_stream(path, compression=None) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()
