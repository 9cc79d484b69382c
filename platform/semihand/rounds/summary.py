"""The figures of a campaign, for people and as `summary.json`."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semihand.tables import files


@dataclass
class Summary:
    """What every round came to."""

    evaluated: bool
    rounds: list[dict[str, Any]] = field(default_factory=list)
    source_only: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None  # why the campaign ended before its last round

    def add_round(self, number: int, metrics: Mapping[str, float], evaluation: Mapping[str, float]) -> None:
        """Add a round; round 0 is the pre-trained teacher."""
        counts = {name: int(metrics[name]) for name in ("labels", "quarantined", "selected") if name in metrics}
        rest = {name: value for name, value in metrics.items() if name not in counts}
        self.rounds.append({"round": number, **counts, **rest, "evaluation": dict(evaluation)})

    def line(self, number: int) -> str:
        """A round in a line."""
        row = self.rounds[number]
        found = row["evaluation"]
        if not found:
            return "no evaluation frames: nothing to compare with" if number == 0 else "done; see the figures in MLflow"
        return f"EPE {found['epe_mm']:.2f} mm, {found['uv_px']:.2f} px on {found['frames']:.0f} unseen target frames"

    def as_json(self) -> dict[str, Any]:
        """What `summary.json` holds."""
        result: dict[str, Any] = {"rounds": self.rounds}
        if self.source_only:
            result["source_only_equal_steps"] = self.source_only
        if self.stopped is not None:
            result["stopped"] = self.stopped
        return result

    def table(self) -> str:
        """A small table for the terminal."""
        lines = [f"{'round':>5} {'labels':>8} {'selected':>9} {'quarantined':>12} {'EPE mm':>8} {'uv px':>7}"]
        for row in self.rounds:
            found = row["evaluation"]
            counts = [str(row.get(name, "-")) for name in ("labels", "selected", "quarantined")]
            errors = [f"{found[name]:.2f}" if name in found else "-" for name in ("epe_mm", "uv_px")]
            lines.append(
                f"{row['round']:>5} {counts[0]:>8} {counts[1]:>9} {counts[2]:>12} {errors[0]:>8} {errors[1]:>7}"
            )
        if self.source_only:
            ours, theirs = self.rounds[-1]["evaluation"]["epe_mm"], self.source_only["epe_mm"]
            lines.append(f"source only, equal steps: EPE {theirs:.2f} mm, uv {self.source_only['uv_px']:.2f} px")
            lines.append(f"the student's EPE is {100 * (1 - ours / theirs):.1f} % below it")
        return "\n".join(lines)


def write_summary(folder: Path, summary: Summary) -> None:
    """Write `summary.json` whole."""
    text = json.dumps(_finite(summary.as_json()), indent=2, allow_nan=False)
    files.write_whole(str(folder / "summary.json"), text.encode(), "state")


def _finite(value: Any) -> Any:
    """What is no number is null: JSON knows no NaN."""
    if isinstance(value, dict):
        return {name: _finite(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
