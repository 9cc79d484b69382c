#!/usr/bin/env python3
"""See for yourself that nothing is lost: campaigns that are killed all the time, compared with one that is not.

    python jobs/prove_durability.py --minutes 60 --seed 1
    python jobs/prove_durability.py --kills 1000

Drivers and workers die by SIGKILL, at named places of every step and at any time. Every table must then hold the rows
of the undisturbed campaign, byte for byte; every model its weights; and nothing of the dead may be left. Ends with 1
where something is not so.

Only processes of this machine are killed: run it where drivers and workers are. Of a cluster of several machines it
kills the driver and the workers here, and its table counts no others.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.proof.run import ProofConfig, prove


def main(config: ProofConfig) -> None:
    """Print what was suffered, and what came of it."""
    proof = prove(config, ROOT / "jobs" / "semihand_round.py")
    print(proof.table())
    if proof.violations:
        sys.exit(1)


if __name__ == "__main__":
    run_job(ProofConfig, main, ROOT / "jobs" / "recipes", default=None)
