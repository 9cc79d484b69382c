"""What MLflow may be told: nested settings made flat, secrets taken out, numbers told from non-numbers."""

import json
import math
import re
from collections.abc import Iterator, Mapping

from semihand.redaction import REDACTED, is_secret, redact

MAX_KEY_LENGTH = 250
MAX_VALUE_LENGTH = 6000


def flatten_parameters(config: Mapping[str, object]) -> dict[str, str]:
    """Nested settings as flat MLflow parameters, ``section.field`` to text, with secrets redacted.

    A key that contains token, secret, password, credential or key (keypoints and key frames excepted), at any
    depth, hides everything below it; user info and tokens in URLs are hidden everywhere. Lists become JSON.
    """
    return {clean_name(name): as_text(value) for name, value in _leaves(config, "")}


def finite_metrics(metrics: Mapping[str, object]) -> tuple[dict[str, float], dict[str, str]]:
    """Split metrics, nested ones flattened, into the finite ones and the texts of those that are not.

    Raises:
        ValueError: a metric is not a number.
    """
    finite: dict[str, float] = {}
    not_finite: dict[str, str] = {}
    for name, value in _leaves(metrics, "", redact=False):
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ValueError(f"metric {name!r} is {value!r}, not a number; leave it out or log it as a tag") from error
        if math.isfinite(number):
            finite[clean_name(name)] = number
        else:
            not_finite[clean_name(name)] = str(number)
    return finite, not_finite


def clean_name(name: str) -> str:
    """A name that MLflow takes as a key: letters, digits and ``_-./: `` only, at most 250 characters."""
    return re.sub(r"[^\w\-./: ]", "_", name, flags=re.ASCII)[:MAX_KEY_LENGTH]


def model_name(campaign: str) -> str:
    """The registered model of a campaign, in characters that are safe in a ``models:/`` URI."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", campaign).strip("-") + "-hand"


def as_text(value: object) -> str:
    """A setting as text, cut to what MLflow stores, with user info taken out of URLs."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return redact(text)[:MAX_VALUE_LENGTH]


def _leaves(values: Mapping[str, object], prefix: str, redact: bool = True) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if redact and is_secret(str(key)):
            yield name, REDACTED
        elif isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.", redact)
        else:
            yield name, [_hidden(item) for item in value] if isinstance(value, list | tuple) else value


def _hidden(item: object) -> object:
    """A list's item; mappings in it lose their secrets too."""
    return dict(_leaves(item, "")) if isinstance(item, Mapping) else item
