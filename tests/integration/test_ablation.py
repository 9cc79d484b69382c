"""ablation/: a tiny ablation from nothing; what is finished is kept, and truth stays out of the rows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from pyarrow import feather

from semihand.ablation.config import AblationConfig
from semihand.ablation.plans import Cell
from semihand.ablation.report import write_report
from semihand.ablation.results import ResultFolder
from semihand.ablation.run import run_ablation
from semihand.frames.errors import InputError
from semihand.methods.semihand.weights import read_card
from semihand.tables import fixed_list_column
from semihand.tracking import track_ablation

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "seeds": 1,
    "parallel": 2,
    "domains": ["target_sensor"],
    "device": "cpu",
    "rows": ["source_only", "fused_confidence", "all_additions", "ceiling"],
    "sets": {"num_source": 64, "num_calibration": 24, "num_target": 24, "num_evaluation": 12},
    "network": {"width": 8, "depth": 1, "decoder_channels": 16},
    "pretrain": {"num_steps": 4, "source_batch": 16, "target_batch": 0},
    "base": {"train": {"num_steps": 4, "source_batch": 16, "target_batch": 16}, "label": {"views": {"num_views": 2}}},
}

RUN = """
import json, sys
from semihand.ablation.config import AblationConfig
from semihand.ablation.run import run_ablation
assert run_ablation(AblationConfig(campaign=sys.argv[1], **json.loads(sys.argv[2]))) == []
"""


def models(campaign: Path) -> dict[str, str]:
    found = (json.loads(path.read_text()) for path in campaign.glob("results/*/*/*.json"))
    return {result["row"]: result["model"] for result in found}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every row, run where neither Ray nor MLflow can be imported, nor in the rows' own processes."""
    folder, blocked = tmp_path_factory.mktemp("ablation"), tmp_path_factory.mktemp("blocked")
    for name in ("ray", "mlflow"):
        (blocked / f"{name}.py").write_text("raise ModuleNotFoundError(__name__)")
    path = os.pathsep.join([str(blocked), str(ROOT / "platform")])
    subprocess.run([sys.executable, "-c", RUN, str(folder), json.dumps(TINY)], env=os.environ | {"PYTHONPATH": path},
                   check=True)  # fmt: skip
    return folder


def test_rows_are_kept_and_summed_up(campaign: Path):
    report = write_report(AblationConfig(campaign=campaign, **TINY))
    summary = json.loads((campaign / "summary.json").read_text())
    assert [row["name"] for row in summary["rows"]] == TINY["rows"]
    assert all(row["epe_mm"] > 0 for row in summary["rows"])
    assert summary["domains"]["target_sensor"]["ratio"] > 0
    assert "all_additions" in report.table
    assert summary == report.summary
    assert (campaign / "ablation.png").is_file()
    errors = pl.read_parquet(campaign / "results" / "target_sensor" / "1" / "ceiling.parquet")
    assert len(errors) == 12


def test_what_is_finished_is_not_run_again_and_a_budget_of_no_time_starts_nothing(campaign: Path):
    before = {path: path.stat().st_mtime_ns for path in campaign.glob("results/*/*/*")}
    said: list[str] = []
    more = TINY | {"rows": [*TINY["rows"], "consistency_only"], "budget_minutes": 1e-6}
    left = run_ablation(AblationConfig(campaign=campaign, **more), said.append)
    assert left == [Cell("consistency_only", "target_sensor", 1)]
    assert {path: path.stat().st_mtime_ns for path in campaign.glob("results/*/*/*")} == before
    assert "4 of 5 rows were done already" in said


def test_a_row_that_would_end_too_late_by_the_longest_so_far_is_not_started(campaign: Path):
    before = {path: path.stat().st_mtime_ns for path in campaign.glob("results/*/*/*")}
    config = AblationConfig(campaign=campaign, **TINY)
    longest_s = ResultFolder(campaign).longest_s(config.cells(config.plans()))
    assert longest_s > 0
    more = TINY | {"rows": [*TINY["rows"], "consistency_only"], "budget_minutes": 0.9 * longest_s / 60}
    assert run_ablation(AblationConfig(campaign=campaign, **more)) == [Cell("consistency_only", "target_sensor", 1)]
    assert {path: path.stat().st_mtime_ns for path in campaign.glob("results/*/*/*")} == before


def test_the_report_is_in_mlflow_once_however_often_it_is_logged(campaign: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    report = write_report(AblationConfig(campaign=campaign, **TINY))
    plans = {name: {"steps": 4} for name in TINY["rows"]}
    for _ in range(2):
        uri = track_ablation(campaign, report.summary, plans, report.table, report.figure)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(campaign.name)
    runs = {run.data.tags.get("row"): run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {None, *TINY["rows"]}
    whole, ceiling = runs[None], runs["ceiling"]
    assert {each.path for each in client.list_artifacts(whole.info.run_id)} == {"figures", "summary.json", "table.md"}
    assert {run.data.tags["mlflow.parentRunId"] for row, run in runs.items() if row} == {whole.info.run_id}
    points = client.get_metric_history(ceiling.info.run_id, "target_sensor/epe_mm")
    assert [(point.step, point.value) for point in points] == [(1, report.summary["rows"][-1]["epe_mm"])]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_a_folder_of_another_configuration_is_refused(campaign: Path):
    with pytest.raises(InputError, match="began with another base"):
        run_ablation(AblationConfig(campaign=campaign, **TINY | {"base": {"train": {"num_steps": 6}}}))


def test_semihand_runs_with_the_hourglass_of_the_paper(campaign: Path, tmp_path: Path):
    shutil.copytree(campaign / "sets", tmp_path / "sets")
    hourglass = TINY | {"rows": ["semihand"], "network": {"backbone": "hourglass", "width": 8}}
    assert run_ablation(AblationConfig(campaign=tmp_path, **hourglass)) == []
    (model,) = models(tmp_path).values()
    assert read_card(tmp_path / "models" / model).network.backbone == "hourglass"


def test_truth_reaches_no_row_that_may_not_learn_from_it(campaign: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    (copy / "sets").mkdir(parents=True)
    for path in campaign.glob("sets/*"):
        table = feather.read_table(path, memory_map=False)
        if "truth" in path.name or "evaluation" in path.name:
            noise = np.random.default_rng(0).normal(0, 50, (table.num_rows, 21, 3)) + np.array([0, 0, 500])
            place = table.schema.get_field_index("joints_mm")
            table = table.set_column(place, table.schema.field(place), _column(noise, table.schema.field(place)))
        feather.write_feather(table, copy / "sets" / path.name)
    assert run_ablation(AblationConfig(campaign=copy, **TINY)) == []
    before, after = models(campaign), models(copy)
    assert before["source_only"] == after["source_only"]
    for row in ("fused_confidence", "all_additions"):  # one selects by the expected error, one by the instability
        assert before[row] == after[row]
    assert before["ceiling"] != after["ceiling"]


def _column(values: np.ndarray, field: pa.Field) -> pa.Array:
    return fixed_list_column(values.astype(np.float32)).cast(field.type)
