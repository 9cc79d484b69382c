"""Secrets taken out of what is written down: user info and secret parameters of URLs, values of telling names."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
_TELLING = r"token|secret|passw|credential|signature|authorization"
# "key" is a secret's name, but keypoints and key frames are what a hand tracker is about.
_SECRET_NAME = re.compile(rf"{_TELLING}|key(?!_?-?(point|frame))", re.IGNORECASE)
# What becomes a path has one slash left; a password may hold an @.
_USER_INFO = re.compile(r"(?<=:/)(/?)[^/\s?#]+@")
# Strangers write these texts: a name that held ?, & or ; would be looked through once from each of them.
_PARAMETER = re.compile(r"(?<=[?&;#])([^=?&;#\s]*=)[^&\s;'\"]+")
_SECRET_PARAMETER = re.compile(rf"{_TELLING}|key|sig", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a name is one that secrets have."""
    return _SECRET_NAME.search(name) is not None


def redact(text: str) -> str:
    """Take user names, passwords and tokens out of the URLs and headers in a text."""
    text = _USER_INFO.sub(rf"\g<1>{REDACTED}@", text)
    text = _PARAMETER.sub(_without_value, text)
    return _BEARER.sub(rf"\g<1> {REDACTED}", text)


def _without_value(found: re.Match[str]) -> str:
    return f"{found[1]}{REDACTED}" if _SECRET_PARAMETER.search(found[1]) else found[0]


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that strangers may take over."""
    return {name: redact(value) for name, value in environment.items() if not is_secret(name)}


def redact_all(value: Any) -> Any:
    """The same in every text of a tree of settings; what stands below a secret's name goes as a whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: REDACTED if is_secret(str(name)) else redact_all(part) for name, part in value.items()}
    return [redact_all(part) for part in value] if isinstance(value, list | tuple) else value
