"""The pictures and videos below a folder, in an order that does not depend on the file system."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from semihand.frames.errors import BadFrame

# Pictures that are not decoded are listed as well: they are quarantined with a reason rather than overlooked.
PICTURE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"}
    | {".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl"}
)
VIDEO_EXTENSIONS = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mts", ".m2ts", ".ts", ".3gp"}
)


@dataclass(frozen=True)
class FoundFile:
    """A picture or video, or what stands where one should.

    Attributes:
        key: path relative to the folder, `/` between its parts; printable where the name is not UTF-8.
        problem: why it cannot be used, None where nothing is known against it yet.
    """

    key: str
    problem: BadFrame | None = None


def is_video(name: str) -> bool:
    """Whether a file of this name is taken for a video."""
    return os.path.splitext(name)[1].lower() in VIDEO_EXTENSIONS


def find_files(folder: Path) -> list[FoundFile]:
    """All pictures and videos below a folder, sorted by path; other files are passed over.

    Linked folders are not followed, since a link can lead to its own parent: each is found as a problem.
    """
    found: list[FoundFile] = []

    def closed(error: OSError) -> None:
        detail = f"{error.filename}: {error.strerror}; let it be read, or take it out"
        found.append(_found(folder, error.filename, BadFrame("unreadable", detail)))

    for parent, folders, files in os.walk(folder, onerror=closed):
        for name in folders:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                detail = f"{path}: a linked folder is not followed; give its target or copy it"
                found.append(_found(folder, path, BadFrame("bad_path", detail)))
        for name in files:
            if os.path.splitext(name)[1].lower() in PICTURE_EXTENSIONS | VIDEO_EXTENSIONS:
                found.append(_found(folder, os.path.join(parent, name), None))
    return sorted(found, key=lambda file: file.key)


def _found(folder: Path, path: str, problem: BadFrame | None) -> FoundFile:
    key = Path(path).relative_to(folder).as_posix()
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(key).decode("utf-8", "backslashreplace")
        return FoundFile(shown, BadFrame("bad_name", f"{shown}: the name is not UTF-8; rename the file"))
    return FoundFile(key, problem or _special(path))


def _special(path: str) -> BadFrame | None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None  # a broken or looping link: resolving it gives the reason
    regular = stat.S_ISREG(mode)
    return None if regular else BadFrame("bad_path", f"{path} is neither a regular file nor a link to one")
