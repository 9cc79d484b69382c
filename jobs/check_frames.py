#!/usr/bin/env python3
"""Check frames before anything is learned from them: units, sides, joint order, camera, duplicates, leaks.

    python jobs/check_frames.py --frames 'freihand:/data/FreiHAND_pub_v2?split=training'
    python jobs/check_frames.py --frames pool.parquet --calibration checked.parquet --evaluation test.parquet
    python jobs/check_frames.py --frames clip.mp4 --frames pictures --hand right --out checks/mine
    python jobs/check_frames.py --frames clip.mp4 --localiser FOLDER    # says how many frames have no hand

Leaves check.html and summary.json in --out; ends with 1 where there is an error among the findings, with 2 where there
was nothing to check.
"""

import sys
from pathlib import Path

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.frames.options import Box, Hand, Intrinsics, ListOptions
from semihand.rounds.checking import check_and_write, given_sets, open_finder
from semihand.steps.checking.sets import ROLES
from semihand.steps.following import FindConfig
from semihand.words import counted


class CheckJob(BaseSettings):
    """Which sets, in the forms that `semihand_round.py` takes; several by commas, or by giving an option again."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    frames: list[str] = Field([], description="manifest, folder, video, table or NAME:FOLDER; several are compared")
    source: list[str] = Field([], description="the labelled source")
    source_2d: list[str] = Field([], description="frames learned from by their joints in the picture alone")
    calibration: list[str] = Field([], description="checked real frames")
    evaluation: list[str] = Field([], description="frames with truth, for the report alone")
    hand: Hand | None = Field(None, description="which hand frames show where nothing says it")
    box: Box | None = Field(None, description="x,y,w,h of the hand in px where a frame has no box")
    intrinsics: Intrinsics | None = Field(None, description="fx,fy,cx,cy in px where a frame has no camera")
    subject_id: str | None = Field(None, description="whose hands frames show where nothing says it")
    localiser: Path | None = Field(
        None, description="a model that finds hands in --frames where nothing says box or side"
    )
    find: FindConfig = Field(FindConfig(), description="how the localiser is asked")
    frame_step: PositiveInt = Field(1, description="take every n-th frame of a video")
    transductive: bool = Field(False, description="frames may be of whom calibration and evaluation are: it is meant")
    limits: Limits = Field(Limits(), description="what a picture, video or manifest may take before it is refused")
    out: Path = Field(Path("check"), description="folder that check.html and summary.json are written to")


def main(job: CheckJob) -> None:
    """Print the findings, the worst first."""
    sets, find = given_sets({role: getattr(job, role) for role in ROLES}), None
    if job.localiser is not None:
        if not job.frames:
            raise InputError(f"--localiser {job.localiser} goes with --frames: frames with truth keep their boxes")
        find = open_finder(job.localiser, job.find, job.limits)
    checked = check_and_write(sets, ListOptions.said_by(job), job.transductive, job.out, find)
    for each in checked.sets:
        print(f"{each.given.name}: {counted(each.looked.rows.num_rows, 'frame')} of {each.given.path}")
    for finding in checked.findings:
        print(finding.line())
    print(f"{checked.counts_in_words}; the page is {job.out / 'check.html'}")
    if checked.counts["errors"]:
        sys.exit(1)


if __name__ == "__main__":
    run_job(CheckJob, main, ROOT / "jobs" / "recipes", default=None)
