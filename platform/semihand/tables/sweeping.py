"""What killed processes left: files that are no row's and no name's; found first, removed only when asked."""

import os
import re
import time
from typing import NamedTuple

import pyarrow.fs as pafs
from deltalake import DeltaTable

from semihand.tables import files
from semihand.tables.log import committed_paths, open_table
from semihand.tables.witness import LOG

# deltalake writes an entry or a checkpoint of a log as NAME#1 and links or renames it to its NAME. It never reads, and
# never takes away, one whose writer died before that, or before the second name was gone.
_UNFINISHED_IN_LOG = re.compile(rf".*/{LOG}/[^/]+#\d+")


class Stray(NamedTuple):
    """A file that nothing refers to."""

    uri: str
    size: int  # bytes
    age_s: float  # since it was written


def stray_files(folder: str | os.PathLike[str], older_than_s: float) -> list[Stray]:
    """Shards that no commit took, and files that were never finished, log entries too, below a campaign's folder.

    A shard that any version of a table has held is none, so that every round can be travelled back to; and a
    young one may be of a worker whose driver will commit it.

    Args:
        folder: the campaign's.
        older_than_s: leave out what is younger.

    Raises:
        DamagedTable: a log cannot be read, so nobody knows what it holds.
    """
    uri = files.absolute(folder)
    path = files.filesystem(uri)[1]
    infos = _files_below(uri)
    tables = _tables_of(infos)
    known = {f"{table}/{part}" for table in tables for part in _known_parts(_uri(uri, path, table))}
    now = time.time()
    return [
        Stray(_uri(uri, path, info.path), info.size, now - info.mtime.timestamp())
        for info in sorted(infos, key=lambda info: info.path)
        if now - info.mtime.timestamp() >= older_than_s
        and (_is_unfinished(info.path, info.base_name) or (_is_shard(info.path, tables) and info.path not in known))
    ]


def tables_below(folder: str | os.PathLike[str]) -> list[str]:
    """Every table anywhere below a folder: the campaign's own, and those of its sets."""
    uri = files.absolute(folder)
    return [_uri(uri, files.filesystem(uri)[1], table) for table in _tables_of(_files_below(uri))]


def sweep(strays: list[Stray]) -> None:
    """Remove these files; one that is gone already is no matter."""
    for stray in strays:
        store, path = files.filesystem(stray.uri)
        if store.get_file_info(path).type == pafs.FileType.File:
            store.delete_file(path)


def _files_below(uri: str) -> list[pafs.FileInfo]:
    store, path = files.filesystem(uri)
    found = store.get_file_info(pafs.FileSelector(path, recursive=True, allow_not_found=True))
    return [info for info in found if info.type == pafs.FileType.File]


def _tables_of(infos: list[pafs.FileInfo]) -> list[str]:
    return sorted({info.path.split(f"/{LOG}/")[0] for info in infos if f"/{LOG}/" in info.path})


def _known_parts(table: str) -> set[str]:
    return committed_paths(open_table(table)) if DeltaTable.is_deltatable(table) else set()


def _uri(folder: str, root: str, path: str) -> str:
    """The uri of a path as the file system gives it, from those of the folder that holds it."""
    return folder + path[len(root) :]


def _is_unfinished(path: str, name: str) -> bool:
    before, after = files.UNFINISHED.split("*")
    return (name.startswith(before) and name.endswith(after)) or _UNFINISHED_IN_LOG.fullmatch(path) is not None


def _is_shard(path: str, tables: list[str]) -> bool:
    return any(path.startswith(f"{table}/") and f"/{LOG}/" not in path for table in tables)
