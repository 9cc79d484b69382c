"""jobs/ablation.py on a machine without Ray and MLflow, and what reaches MLflow where there is one."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from matplotlib.figure import Figure
from test_ablation_results import GAP, write

from semihand.ablation.config import AblationConfig
from semihand.ablation.results import ResultFolder
from semihand.command_line import read_config
from semihand.steps.train import _decay
from semihand.tracking import ablation as tracking
from semihand.tracking.environment import StoreLocation
from semihand.tracking.outbox import Outbox
from semihand.tracking.spool import Entry

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = """
import sys
sys.modules.update(ray=None, mlflow=None)  # importing either raises ModuleNotFoundError
sys.path.insert(0, "jobs")
import ablation
from semihand.ablation.config import AblationConfig
ablation.main(AblationConfig(campaign=sys.argv[1], budget_minutes=0))
print("loaded:", *sorted({name.split(".")[0] for name, module in sys.modules.items() if module}))
"""
KILLED = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
sys.path.insert(0, "platform")
from semihand.children import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600).result()
"""
MODULES = {"faiss-cpu": "faiss", "pillow": "PIL", "pydantic-settings": "pydantic_settings",
           "scikit-image": "skimage", "scikit-learn": "sklearn"}  # fmt: skip


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """One finished row."""
    config = AblationConfig(campaign=tmp_path, rows=["semihand"], domains=["target_view"], seeds=1)
    for cell, text in config.cells(config.plans()).items():
        write(ResultFolder(tmp_path), cell, GAP["semihand"], text)
    return tmp_path


def test_the_job_runs_without_ray_and_mlflow_and_the_docs_say_what_it_needs(campaign: Path):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(campaign)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| semihand: " in done.stdout
    assert "MLflow is not installed" in done.stdout
    loaded = set(done.stdout.partition("loaded: ")[2].split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[\[<>=]", dependency)[0] for dependency in project]
    said = re.search(r"^pip install --constraint constraints.txt (.*?)\n```", (ROOT / "docs/ablation.md").read_text(),
                     re.MULTILINE | re.DOTALL)  # fmt: skip
    assert said is not None
    assert {name for name in names if MODULES.get(name, name) in loaded} == set(said[1].replace("\\", " ").split())


def test_the_rows_of_two_ema_schedules_differ_within_the_rounds_of_every_recipe():
    """The warm-up bounds every memory by a tenth of the steps so far: in short rounds 0.995 and more are one."""
    recipes = ROOT / "jobs" / "recipes" / "ablation"
    for name in ("small", "full"):
        config = read_config(AblationConfig, [], recipes, name)
        fits = [config.all_plans()[row].train for row in ("mean_teacher", "adaptive_ema")]
        steps = fits[0].num_steps // config.rounds
        fits = [fit.model_copy(update={"num_steps": steps}) for fit in fits]
        decays = np.array([[_decay(step, fit) for step in range(1, steps)] for fit in fits])
        assert (np.abs(decays[0] - decays[1]) > 0.01).mean() > 0.3


def test_every_recipe_is_one_and_full_is_at_128_px_with_three_seeds():
    recipes = ROOT / "jobs" / "recipes" / "ablation"
    found = {path.stem: read_config(AblationConfig, [], recipes, path.stem) for path in recipes.glob("*.toml")}
    assert found.keys() == {"tiny", "small", "full"}
    full = found["full"]
    assert (full.sets.size_px, full.network.input_px) == (128, 128)
    assert (full.seeds, found["small"].seeds) == (3, 2)
    for config in found.values():
        for plan in config.plans().values():
            plan.train.check_workers(1)


class FakeOutbox(Outbox):
    """Keeps what is sent; every run's id is its name."""

    last: "FakeOutbox"

    def __init__(self, campaign: str, folder: Path) -> None:
        self.campaign, self.sent = campaign, list[Entry]()
        self.location = StoreLocation("sqlite:///here", None, None)
        FakeOutbox.last = self

    def open(self) -> bool:
        return True

    def run_id(self, round: int | str) -> str:
        return f"id of {round}"

    def send(self, entry: Entry) -> None:
        self.sent.append(entry)


def test_mlflow_gets_a_run_for_the_whole_and_one_below_it_for_each_row(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tracking, "Outbox", FakeOutbox)
    runs = [
        {"domain": domain, "seed": seed, "epe_mm": 10.0 + seed, "uv_px": None} for domain in "ab" for seed in (1, 2)
    ]
    row: dict[str, Any] = {
        "name": "semihand",
        "about": "",
        "kind": "method",
        "num_runs": 4,
        "epe_mm": 11.5,
        "runs": runs,
    }
    plan: dict[str, object] = {"train": {"num_steps": 7}}
    for _ in range(2):
        said = tracking.track_ablation(tmp_path / "abl", {"rows": [row]}, {"semihand": plan}, "| table |", Figure())
    assert said == "sqlite:///here"
    sent = FakeOutbox.last.sent
    assert FakeOutbox.last.campaign == "abl"
    name = next(entry.round for entry in sent if entry.kind == "parameters")
    assert str(name).startswith("semihand ")
    of_row = [entry for entry in sent if entry.round == name]
    assert {"train.num_steps": "7"} in [entry.values for entry in of_row]
    tags = next(entry.values for entry in of_row if entry.kind == "tags")
    assert tags["mlflow.parentRunId"] == "id of ablation"
    curves = {entry.values["name"]: (entry.values["steps"], entry.values["values"]) for entry in of_row
              if entry.kind == "curve"}  # fmt: skip
    assert curves == {"a/epe_mm": ([1, 2], [11, 12]), "b/epe_mm": ([1, 2], [11, 12]), "epe_mm": ([4], [11.5])}
    whole = {entry.values.get("path") for entry in sent if entry.round == "ablation"}
    assert whole >= {"summary.json", "table.md", "figures/ablation.png"}
    other = {"train": {"num_steps": 8}}
    tracking.track_ablation(tmp_path / "abl", {"rows": [row]}, {"semihand": other}, "", None)
    assert all(entry.round != name for entry in FakeOutbox.last.sent)


def test_a_killed_run_leaves_no_row_computing_on():
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout is not None
        row = psutil.Process(int(run.stdout.readline()))
        run.kill()
    assert not psutil.wait_procs([row], timeout=60)[1]
