"""Folders of data sets: what lies in them under the names that the authors gave."""

import os
import re
from pathlib import Path

from semihand.frames.errors import InputError


def names_in(folder: Path, pattern: str, at_least: int = 1) -> list[str]:
    """The names in a folder that a pattern matches as a whole, sorted.

    Raises:
        InputError: there is no such folder, or too few such names are in it.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if re.fullmatch(pattern, name))
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}; the data set is not complete, or not in its own layout"
        ) from error
    if len(names) < at_least:
        raise InputError(f"{folder}: nothing in it is called like {pattern}; the data set is not complete")
    return names
