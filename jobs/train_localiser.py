#!/usr/bin/env python3
"""Train the localiser on synthetic scenes, and say how many hands it finds on unseen ones.

python jobs/train_localiser.py --recipe small --out localisers
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.rounds.localising import LocaliserJob, run_localiser_training


def main(job: LocaliserJob) -> None:
    """Layers and rooms, fit, threshold, figures."""
    run_localiser_training(job)


if __name__ == "__main__":
    run_job(LocaliserJob, main, ROOT / "jobs" / "recipes" / "localiser", default="small")
