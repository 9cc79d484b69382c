"""An ablation in MLflow: one experiment, one run for the whole, and below it one run for each row."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from semihand.tracking.outbox import Outbox
from semihand.tracking.parameters import clean_name
from semihand.tracking.round_run import RoundRun

WHOLE = "ablation"


def track_ablation(
    folder: Path,
    summary: Mapping[str, Any],
    plans: Mapping[str, Mapping[str, object]],
    table: str,
    figure: Figure | None,
) -> str:
    """Log what is finished; logged again, nothing is doubled. Returns the address of the store.

    The store is found as a campaign's is: ``MLFLOW_TRACKING_URI`` where it is set, else in the folder. A row of
    another plan is another run.

    Args:
        folder: the ablation's folder; its name is the experiment's.
        summary: as in `summary.json`.
        plans: the plan of every row, by name.
        table: the rows as Markdown.
        figure: the rows as a picture.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """
    outbox = Outbox(folder.resolve().name, folder)
    outbox.open()
    whole = RoundRun(outbox, WHOLE)
    whole.log_tags({"rows": str(len(summary["rows"]))})
    for row in summary["rows"]:
        _log_row(RoundRun(outbox, _run_name(row["name"], plans[row["name"]])), row, plans[row["name"]], whole.run_id)
    whole.log_text("summary.json", json.dumps(summary, indent=2))
    whole.log_text("table.md", table)
    if figure is not None:
        whole.log_figure("ablation", figure)
    whole.set_status("FINISHED")
    return outbox.location.shown_uri


def _log_row(run: RoundRun, row: Mapping[str, Any], plan: Mapping[str, object], parent: str | None) -> None:
    tags = {"row": row["name"], "about": row["about"], "kind": row["kind"]}
    run.log_tags(tags if parent is None else {**tags, "mlflow.parentRunId": parent})
    run.log_params(plan)
    for name, by_seed in _by_domain(row["runs"]).items():
        run.log_curve(name, list(by_seed), list(by_seed.values()))
    # A mean's step is the number of runs that it is of, so that a later one does not look like a second value.
    for name in (name for name in row["runs"][0] if row.get(name) is not None):
        run.log_curve(name, [row["num_runs"]], [row[name]])
    run.set_status("FINISHED")


def _by_domain(runs: list[dict[str, Any]]) -> dict[str, dict[int, float]]:
    """Every figure of every domain, by seed; what names a run (domain, seed, commit, start) is no float."""
    found: dict[str, dict[int, float]] = {}
    for run in runs:
        for name, value in run.items():
            if isinstance(value, float):
                found.setdefault(f"{run['domain']}/{name}", {})[run["seed"]] = value
    return found


def _run_name(row: str, plan: Mapping[str, object]) -> str:
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:8]
    return clean_name(f"{row} {digest}")
