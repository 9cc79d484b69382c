"""JSON files that say how something is to be read: settings of a campaign, cards of models."""

import hashlib
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from semihand.frames.errors import InputError, first_line, shown
from semihand.frames.files import check_input
from semihand.frames.strict_json import parse_json

_SIGNATURE = "card_sha256"  # of the text without it
_SIGNED_END = re.compile(rf',\n  "{_SIGNATURE}": "[0-9a-f]{{64}}"\n}}$')
_MAX_BYTES = 2**20  # the largest there is, the settings of a campaign, has 6 kB
_Card = TypeVar("_Card", bound=BaseModel)


def signed(text: str) -> str:
    """An object of JSON in lines, with the hash of that text as its last field.

    Args:
        text: as pydantic writes a model with `indent=2`.
    """
    body = text.removesuffix("\n}")
    return f'{body},\n  "{_SIGNATURE}": "{hashlib.sha256(text.encode()).hexdigest()}"\n}}'


def read_json(path: Path) -> dict[str, Any]:
    """What a file of one JSON object holds.

    Raises:
        InputError: it is missing, too large, or no JSON of one object, NaN and repeated keys included; or it was
            `signed`, and a bit of it is another one.
    """
    check_input(path, _MAX_BYTES)
    try:
        text = path.read_bytes().decode("utf-8")
        found = parse_json(text, finite=True)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON that can be read ({first_line(error)}); restore it from a copy") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds {shown(found)}, not an object of JSON; restore it from a copy")
    if found.pop(_SIGNATURE, None) is not None and not _is_signed(text):
        raise InputError(
            f"{path} is not what was written: its content has another {_SIGNATURE}; restore it from a copy"
        )
    return found


def _is_signed(text: str) -> bool:
    end = _SIGNED_END.search(text)
    return end is not None and signed(text[: end.start()] + "\n}") == text


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
