#!/usr/bin/env python3
"""Which labels moved between two rounds, or what two models say of the same frames: by how much, whose, of which poses.

python jobs/diff_rounds.py --campaign campaigns/demo                        # the last two rounds
python jobs/diff_rounds.py --campaign campaigns/demo --before 1 --after 3 --out diffs/1-3
python jobs/diff_rounds.py --campaign campaigns/demo --before 2 --after campaigns/other/models/0123456789abcdef
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.rounds.diffing import DiffConfig, diff_labels


def main(config: DiffConfig) -> None:
    """Print the comparison, and say where its page is."""
    diff_labels(config)
    print(f"\npage, rows and figures: {config.out / 'report.html'}, moves.parquet, summary.json")


if __name__ == "__main__":
    run_job(DiffConfig, main, ROOT / "jobs" / "recipes", default=None)
