"""JSON as its standard has it: no key twice, and where it matters no NaN."""

import json
from collections import Counter
from typing import Any


def parse_json(text: str | bytes, finite: bool = False) -> Any:
    """What a text holds.

    Args:
        text: all of it, in UTF-8 where it is bytes.
        finite: whether NaN and Infinity are refused, which Python writes and data sets have for what is unknown.

    Raises:
        ValueError: it is no JSON, an object gives a key twice, or an integer has thousands of digits.
        RecursionError: it is too deep.
    """
    if finite:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_no_repeats)
    return json.loads(text, object_pairs_hook=_no_repeats)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON; leave out what is unknown")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"a key is given twice: {repeated[:60]!r}")
    return found
