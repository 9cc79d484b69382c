#!/usr/bin/env python3
"""Label with the last teacher, teach the next one, keep the record; round after round.

    python jobs/semihand_round.py --recipe laptop
    python jobs/semihand_round.py --frames FOLDER_OR_VIDEO_OR_MANIFEST --hand right --campaign campaigns/mine
    ray job submit --working-dir . -- python jobs/semihand_round.py --recipe cluster --frames ...

Run again with the same campaign, it goes on where it stopped and repeats nothing.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))  # so that a submitted working folder needs no installation

from semihand.command_line import run_job, where_to_look
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_rounds


def main(config: RoundConfig) -> None:
    """Everything is in `run_rounds`; this prints what came of it."""
    summary = run_rounds(config)
    print(summary.table())
    print(where_to_look(config.campaign))


if __name__ == "__main__":
    run_job(RoundConfig, main, ROOT / "jobs" / "recipes", default="laptop")
