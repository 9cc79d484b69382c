"""Records: JSON that hashes itself, written whole; a flipped bit is seen before anything of it is believed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from semihand.tables import files


class RecordError(RuntimeError):
    """The bytes of a record are not those that were written."""


def write_record(uri: str, values: Mapping[str, Any]) -> None:
    """Write the values and their hash under a name that never stands for half of them.

    Args:
        uri: where; what was there is replaced.
        values: plain values, finite ones.

    Raises:
        ValueError: a number among them is not finite.
        OSError: the disk is full or refuses; the record is what it was.
    """
    files.write_whole(uri, _rendered(values), "record")


def read_record(uri: str) -> dict[str, Any] | None:
    """The values of a record, or None where there is none.

    Raises:
        RecordError: a single bit of it is another one than was written.
    """
    data = files.read_whole(uri)
    if data is None:
        return None
    try:
        values = dict(json.loads(data)["values"])
        whole = _rendered(values) == data
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{uri}: no record can be read from its {len(data)} bytes ({error})") from error
    if not whole:
        raise RecordError(f"{uri}: its content is not what its own sha256 says")
    return values


def _rendered(values: Mapping[str, Any]) -> bytes:
    text = _json(dict(values))
    return _json({"sha256": hashlib.sha256(text.encode()).hexdigest(), "values": dict(values)}).encode() + b"\n"


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, allow_nan=False, separators=(",", ":"))
