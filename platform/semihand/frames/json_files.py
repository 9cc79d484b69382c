"""JSON files that say how something is to be read: settings of a campaign, cards of models."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from semihand.frames.errors import InputError, first_line, shown
from semihand.frames.files import check_input
from semihand.frames.strict_json import parse_json

_MAX_BYTES = 2**20  # the largest there is, the settings of a campaign, has 6 kB
_Card = TypeVar("_Card", bound=BaseModel)


def read_json(path: Path) -> dict[str, Any]:
    """What a file of one JSON object holds.

    Raises:
        InputError: it is missing, too large, or no JSON of one object, NaN and repeated keys included.
    """
    check_input(path, _MAX_BYTES)
    try:
        found = parse_json(path.read_bytes().decode("utf-8"), finite=True)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON that can be read ({first_line(error)}); restore it from a copy") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds {shown(found)}, not an object of JSON; restore it from a copy")
    return found


def read_as(path: Path, kind: type[_Card]) -> _Card:
    """A file of one JSON object as the model that it describes; its values have the types they should, or are refused.

    Raises:
        InputError: as `read_json`, or it lacks a field, has another one, or one is out of bounds.
    """
    try:
        return kind.model_validate(read_json(path), strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])[:120] or "it"
        said = f"{name} is {shown(problem['input'])}: {problem['msg']}"
        raise InputError(f"{path}: {said}; restore it from a copy") from None
