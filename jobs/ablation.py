#!/usr/bin/env python3
"""What each part of the method is worth: every row from the same weights, steps, frames and augmentation.

    python jobs/ablation.py --recipe small --campaign campaigns/ablation
    python jobs/ablation.py --recipe small --rows source_only,semihand,ceiling --seeds 1 --budget-minutes 60
    python jobs/ablation.py --recipe small --budget-minutes 0

Run again with the same campaign, it keeps what is finished; the last line only writes the report. It needs neither
Ray nor MLflow; where MLflow is installed, the report goes there too.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.ablation.config import AblationConfig
from semihand.ablation.plans import NOT_DECIDING
from semihand.ablation.report import Report, write_report
from semihand.ablation.run import run_ablation
from semihand.command_line import run_job
from semihand.tracking import track_ablation
from semihand.words import counted


def main(config: AblationConfig) -> None:
    """Run what is open, then report all that is finished."""
    left = run_ablation(config)
    report = write_report(config)
    print(report.table)
    print(f"summary.json, table.md and ablation.png are in {config.campaign}; {_track(config, report)}")
    if left:
        print(f"{counted(len(left), 'row')} left, next {' '.join(map(str, left[0]))}: run the same command again")


def _track(config: AblationConfig, report: Report) -> str:
    """Log the report to MLflow; what became of it."""
    if not config.track or not report.summary["rows"]:
        return "nothing was sent to MLflow"
    if find_spec("mlflow") is None:
        return "MLflow is not installed"
    plans = {name: plan.model_dump(mode="json", exclude=NOT_DECIDING) for name, plan in config.all_plans().items()}
    return f"MLflow: {track_ablation(config.campaign, report.summary, plans, report.table, report.figure)}"


if __name__ == "__main__":
    run_job(AblationConfig, main, ROOT / "jobs" / "recipes" / "ablation", default="small")
