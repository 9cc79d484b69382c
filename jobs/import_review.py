#!/usr/bin/env python3
"""Read corrected labels back from Label Studio as frames with truth, for `--calibration` or `--source`.

python jobs/import_review.py --campaign campaigns/demo --corrected project-1-at-2026-11-21.json --out sets/checked
python jobs/semihand_round.py --calibration sets/checked --transductive ...
"""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.rounds.reviewing import import_review
from semihand.words import counted


class ReviewJob(BaseSettings):
    """Whose labels were reviewed, and where the corrections lie."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    campaign: Path = Field(Path("campaigns/laptop"), description="the campaign whose labels were handed to people")
    corrected: Path = Field(description="Label Studio's export of the project, as JSON")
    out: Path = Field(description="a folder that does not exist yet: the set of checked frames")


def main(job: ReviewJob) -> None:
    """Say what the corrections became."""
    found = import_review(job.campaign, job.corrected, job.out)
    print(
        f"{counted(found['hands_3d'], 'hand')} with 3D truth (the label's depth fits the corrected joints), "
        f"{found['hands_2d']} with 2D truth; joints were moved by {found['moved_px_mean']:.1f} px, "
        f"at most {found['moved_px_max']:.1f} px"
    )
    for reason, num in found["why_2d"].items():
        print(f"  {num} in 2D alone: {reason}")
    for problem, num in found["problems"].items():
        print(f"  {num} left out: {problem}")
    print(f"written to {job.out}")


if __name__ == "__main__":
    run_job(ReviewJob, main, ROOT / "jobs" / "recipes", default=None)
