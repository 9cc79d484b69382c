#!/usr/bin/env python3
"""Evaluate a model on frames with truth, under a named protocol, or without any.

python jobs/evaluate.py --campaign campaigns/laptop --frames campaigns/laptop/evaluation
python jobs/evaluate.py --model campaigns/laptop/models/0123456789abcdef --frames stb.parquet --protocol stb
python jobs/evaluate.py --campaign campaigns/digits --frames digits --hand right --label_free
python jobs/evaluate.py --campaign campaigns/digits --frames clip.mp4 --localiser FOLDER --label_free
"""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.frames.options import Box, Hand, Intrinsics, ListOptions
from semihand.rounds.config import ProtocolName
from semihand.rounds.evaluation import champion_of, evaluate_frames, look_without_truth, write_evaluation
from semihand.steps.following import FindConfig


class EvaluationJob(BaseSettings):
    """Which model, which frames, which convention."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    frames: Path = Field(description="frames with truth: manifest, FRAMES table or data set; any with --label_free")
    model: Path | None = Field(None, description="a model folder; default: the campaign's last promoted one")
    campaign: Path = Field(Path("campaigns/laptop"), description="the campaign whose model is evaluated")
    protocol: ProtocolName = Field("default", description="root, joints, alignment and AUC")
    label_free: bool = Field(False, description="ask for no truth: bone lengths, joint limits, views, masks, jitter")
    hand: Hand | None = Field(None, description="which hand frames show where nothing says it")
    box: Box | None = Field(None, description="x,y,w,h of the hand in px where a frame has no box")
    intrinsics: Intrinsics | None = Field(None, description="fx,fy,cx,cy in px where a frame has no camera")
    subject_id: str | None = Field(None, description="whose hands frames show where nothing says it")
    localiser: Path | None = Field(None, description="a model that finds hands without a box; with --label_free")
    find: FindConfig = Field(FindConfig(), description="how the localiser is asked")
    limits: Limits = Field(Limits(), description="what a picture, video or manifest may take before it is refused")
    out: Path = Field(Path("evaluation"), description="folder that summary.json is written to")


def main(job: EvaluationJob) -> None:
    """Print the figures and leave them as JSON."""
    if job.localiser is not None and not job.label_free:
        raise InputError(f"--localiser {job.localiser} goes with --label_free: frames with truth keep their boxes")
    model = job.model or champion_of(job.campaign)
    options = ListOptions.said_by(job)
    if job.label_free:
        metrics = look_without_truth(job.frames, model, options, job.localiser, job.find)
    else:
        metrics = evaluate_frames(job.frames, model, job.protocol, options)
    for name, value in metrics.items():
        print(f"{name:>21} {value:10.3f}")
    protocol = None if job.label_free else job.protocol
    print(f"written to {write_evaluation(job.out, model, protocol, metrics)}")


if __name__ == "__main__":
    run_job(EvaluationJob, main, ROOT / "jobs" / "recipes", default=None)
