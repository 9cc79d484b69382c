"""Manifests as a user writes them, and what listing says of their rows."""

import json
from pathlib import Path

from semihand.frames.listing import Listing
from semihand.frames.options import ListOptions

NOTHING = ListOptions()


def write_jsonl(folder: Path, rows: list[object], name: str = "m.jsonl") -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def rows_for(paths: list[Path], **columns: object) -> list[dict[str, object]]:
    return [{"uri": path.name, "hand": "right", **columns} for path in paths]


def reasons(listing: Listing) -> list[str]:
    return listing.quarantine["reason"].to_pylist()
