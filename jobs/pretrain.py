#!/usr/bin/env python3
"""Train the first teacher on the labelled source alone; `semihand_round.py` does this by itself when there is none.

python jobs/pretrain.py --recipe laptop --campaign campaigns/mine
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job, where_to_look
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_pretraining


def main(config: RoundConfig) -> None:
    """Source set, teacher, and its figures where there are evaluation frames."""
    summary = run_pretraining(config)
    print(summary.table())
    print(where_to_look(config.campaign))


if __name__ == "__main__":
    run_job(RoundConfig, main, ROOT / "jobs" / "recipes", default="laptop")
