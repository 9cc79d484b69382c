#!/usr/bin/env python3
"""Make a FRAMES table of hands made by code, in parallel; the same configuration gives the same bytes.

python jobs/make_synthetic.py --out sets/randomised --set.domain randomised --set.num_frames 20000
python jobs/make_synthetic.py --out sets/clips --set.kind sequences --set.num_frames 960
"""

import sys
import time
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.rounds.cluster import connected
from semihand.rounds.config import ClusterConfig, InsecureCluster
from semihand.rounds.sets import make_set
from semihand.words import counted


class SyntheticJob(BaseSettings):
    """What to make, and where."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    out: Path = Field(description="folder of the new set; `--frames` and `--source` take it")
    set: SyntheticConfig = Field(SyntheticConfig(), description="what the frames show")
    cluster: ClusterConfig = Field(ClusterConfig(), description="what is taken of the machine or the cluster")
    insecure_cluster: InsecureCluster = False


def main(job: SyntheticJob) -> None:
    """Render, commit, and say how fast it was."""
    with connected(job.cluster, job.insecure_cluster):
        started = time.monotonic()
        made = make_set(job.set, job.out)
        seconds = time.monotonic() - started
    print(
        f"{counted(made, 'frame')} in {seconds:.1f} s, {made / seconds:.0f} a second"
        if made
        else "all frames were there already"
    )
    print(f"look: python -c \"from semihand.tables import scan; print(scan('{job.out}', 'frames').collect())\"")


if __name__ == "__main__":
    run_job(SyntheticJob, main, ROOT / "jobs" / "recipes", default=None)
