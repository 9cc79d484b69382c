#!/usr/bin/env python3
"""Labels of a finished round in the forms that other tools read, and the ones most worth a look for people.

python jobs/export_labels.py --campaign campaigns/demo --out exports/demo --formats freihand,coco,webdataset
python jobs/export_labels.py --campaign campaigns/demo --out exports/fits --formats mano,ho3d --mano MANO_RIGHT.pkl
python jobs/export_labels.py --campaign campaigns/demo --out exports/look --formats review --review.num 50
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))

from semihand.command_line import run_job
from semihand.rounds.exporting import ExportConfig, export_labels
from semihand.words import counted


def main(config: ExportConfig) -> None:
    """Write, and say what each form holds and what it had no room for."""
    summary = export_labels(config)
    for name in dict.fromkeys(config.formats):
        print(f"{name}: {counted(summary[name]['samples'], 'sample')} in {config.out / name}")
        for reason, num in sorted(summary[name]["left_out"].items()):
            print(f"  {num} left out: {reason}")
    if "fit" in summary:
        off = summary["fit"]["residual_mm"]
        print(f"fit of {summary['fit']['model']}: mean residual {off['mean']:.2f} mm, greatest {off['max']:.2f} mm")


if __name__ == "__main__":
    run_job(ExportConfig, main, ROOT / "jobs" / "recipes", default=None)
