"""Entries of annotation files that strangers wrote: what stands where, or the row's problem."""

from pathlib import Path
from typing import Any, TypeVar

from semihand.frames.errors import BadFrame, InputError, shown
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.sets.files import read_annotation

T = TypeVar("T", int, str)


def at(tree: Any, *keys: str) -> Any:
    """What lies at the end of these keys; None where there is nothing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def field(entry: Any, key: str, kind: type[T], where: str) -> T:
    """A text or whole number of an entry.

    Raises:
        BadFrame: bad_row, it is missing or something else.
    """
    value = at(entry, key)
    if not isinstance(value, kind):
        raise BadFrame("bad_row", f"{where}: {key} is {shown(value)}, not {kind.__name__}")
    return value


def read_list(path: Path, *keys: str, limits: Limits = STANDARD) -> list[Any]:
    """A list in a .json file, under these keys where it is not the file itself.

    Raises:
        InputError: as `read_annotation`, or there is no such list, or nothing in it.
    """
    entries = at(read_annotation(path, limits), *keys)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: holds no list {'.'.join(keys)}; is it the data set's own?")
    return entries


def with_images(path: Path, start: int, stop: int, limits: Limits = STANDARD) -> list[tuple[Any, Any]]:
    """Annotations of a COCO-like file, each with its image, None where that is not listed.

    Raises:
        InputError: as `read_list`.
    """
    annotations = read_list(path, "annotations", limits=limits)[start:stop]
    named = [at(annotation, "image_id") for annotation in annotations]
    wanted = {name for name in named if isinstance(name, int)}
    # Inlined, because it runs over a million images.
    images = {
        image["id"]: image
        for image in read_list(path, "images", limits=limits)
        if isinstance(image, dict) and isinstance(image.get("id"), int) and image["id"] in wanted
    }
    return [
        (annotation, images.get(name) if isinstance(name, int) else None)
        for annotation, name in zip(annotations, named, strict=True)
    ]
