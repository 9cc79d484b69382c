"""Which code made a row, and when."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

_HERE = Path(__file__).parent


def provenance() -> dict[str, str | None]:
    """The commit of the checkout, with `-dirty` where it was changed since, or None outside of one; the time, UTC."""
    return {"commit": _commit(), "finished": datetime.now(UTC).isoformat(timespec="seconds")}


def _commit() -> str | None:
    asked = ["git", "-C", str(_HERE), "describe", "--always", "--dirty", "--abbrev=12", "--match="]
    try:
        return subprocess.run(asked, capture_output=True, check=True, text=True, timeout=20).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
