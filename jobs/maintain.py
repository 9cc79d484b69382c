#!/usr/bin/env python3
"""Keep a campaign's folder in order; without --apply it only says what it would do.

    python jobs/maintain.py --campaign campaigns/demo                         # every file against its hash
    python jobs/maintain.py --campaign campaigns/demo --task sweep --apply    # what killed processes left
    python jobs/maintain.py --campaign campaigns/demo --task compact --apply  # few files for each round
    python jobs/maintain.py --campaign campaigns/demo --task vacuum --apply   # files that no kept version holds
    python jobs/maintain.py --campaign campaigns/demo --task repair --apply   # a log whose last entry is torn

Ends with 1 where a verification finds a damage.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.rounds.maintaining import MaintainConfig, maintain


def main(config: MaintainConfig) -> None:
    """Do the task; a damage that is found is no success."""
    found = maintain(config)
    if config.task == "verify" and found:
        sys.exit(1)


if __name__ == "__main__":
    run_job(MaintainConfig, main, ROOT / "jobs" / "recipes", default=None)
