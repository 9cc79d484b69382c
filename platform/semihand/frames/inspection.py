"""What a picture or video is, before any frame of it is read: where, how large, of which content."""

import hashlib
import os
from pathlib import Path

from semihand.frames.decode import read_header
from semihand.frames.errors import BadFrame
from semihand.frames.files import file_sha256, read_file, resolve_inside
from semihand.frames.limits import Limits
from semihand.frames.medium import Medium
from semihand.frames.video import index_video


def inspect_file(uri: str, folder: Path, root: Path | None, as_video: bool, limits: Limits) -> Medium:
    """What a path points to.

    Raises:
        BadFrame: it cannot be used, as far as its beginning shows it.
    """
    path = resolve_inside(uri, folder, root)
    key = _key(uri, folder, path)
    if as_video:
        digest = file_sha256(path, limits.max_video_bytes)
        video = index_video(path, limits)
        return Medium(str(path), key, digest, video.width, video.height, video.conversions, video)
    data = read_file(path, limits.max_picture_bytes)
    try:
        return Medium(str(path), key, hashlib.sha256(data).hexdigest(), *read_header(data, limits))
    except BadFrame as problem:
        raise BadFrame(problem.reason, f"{path}: {problem.detail}") from problem


def inspect_bytes(data: bytes, limits: Limits) -> Medium:
    """What encoded bytes are.

    Raises:
        BadFrame: as `inspect_file`.
    """
    if len(data) > limits.max_picture_bytes:
        raise BadFrame("too_large", f"{len(data)} bytes, above the limit of {limits.max_picture_bytes}")
    header = read_header(data, limits)
    digest = hashlib.sha256(data).hexdigest()
    return Medium(None, f"sha256/{digest}", digest, *header)


def _key(uri: str, folder: Path, path: Path) -> str:
    """Where a file stands in its data set: as it was named, unless it was named by an absolute path."""
    if not os.path.isabs(uri):
        key = Path(os.path.normpath(uri)).as_posix()
    else:
        key = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix().lstrip("/")
    if key.startswith("\\"):  # which an id takes for a slash
        raise BadFrame("bad_name", f"{key}: begins with a backslash; rename it")
    return key
