#!/usr/bin/env python3
"""What each part of the method is worth: every row from the same weights, steps, frames and augmentation.

    python jobs/ablation.py --recipe small --campaign campaigns/ablation
    python jobs/ablation.py --recipe small --rows source_only,semihand,ceiling --seeds 1 --budget-minutes 60

Run again with the same campaign, it keeps what is finished. It needs neither Ray nor MLflow.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.ablation.config import AblationConfig
from semihand.ablation.run import run_ablation, write_results
from semihand.command_line import run_job


def main(config: AblationConfig) -> None:
    """Run what is open, then print the table of all that is finished."""
    left = run_ablation(config)
    print(write_results(config))
    if left:
        print(f"{len(left)} rows are left, next {' '.join(map(str, left[0]))}: run the same command again")


if __name__ == "__main__":
    run_job(AblationConfig, main, ROOT / "jobs" / "recipes" / "ablation", default="small")
