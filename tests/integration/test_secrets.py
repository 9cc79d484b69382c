"""Secrets planted where users have them: a campaign's folder, tables, record and output hold none of them."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from semihand.rounds.auth_token import token_path

ROOT = Path(__file__).resolve().parents[2]
CANARY = "c4n4ry-0f-a-s3cret"
SECRETS = ("RAY_AUTH_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN")
SMALLEST = {
    "data.num_source": 120, "data.num_target": 32, "data.num_evaluation": 16, "pretrain.num_steps": 4,
    "train.num_steps": 4, "label.views.num_views": 2, "select.num_trials": 2, "select.max_label_error_mm": 1000,
}  # fmt: skip


def run(job, campaign, **environment):
    words = [word for name, value in SMALLEST.items() for word in (f"--{name}", str(value))]
    command = [f"jobs/{job}.py", "--recipe", "tiny", "--cluster.alone", "--campaign", str(campaign), *words]
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | dict.fromkeys(SECRETS, CANARY) | {"OMP_NUM_THREADS": "1"} | environment,
        cwd=ROOT, capture_output=True, text=True, timeout=560, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def holding(folder, canary):
    """Every file below a folder that holds it, in bytes or in the name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    return [path for path in files if canary.encode() in path.read_bytes() or canary in str(path.relative_to(folder))]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A campaign of one round with a record of its own, and one whose server, with a password, does not answer."""
    kept, away = tmp_path_factory.mktemp("secrets") / "kept", tmp_path_factory.mktemp("secrets") / "away"
    said = run("semihand_round", kept)
    said += run("pretrain", away, MLFLOW_TRACKING_URI=f"http://me:{CANARY}@127.0.0.1:9")
    return kept, away, said


def test_no_file_of_a_campaign_and_no_line_of_its_jobs_holds_a_secret(written):
    kept, away, said = written
    assert CANARY not in said
    assert "http://[redacted]@127.0.0.1:9" in said
    assert holding(kept, CANARY) == []
    assert holding(away, CANARY) == []


def test_the_places_that_were_looked_through_are_those_where_secrets_would_be(written):
    kept, away, _ = written
    names = {path.name for path in kept.rglob("*")}
    assert {"config.json", "summary.json", "mlflow.db", "_delta_log", "report.html", "model.json"} <= names
    assert (away / "mlflow_spool.jsonl").is_file()
    with sqlite3.connect(kept / "mlflow.db") as connection:
        assert connection.execute("select count(*) from params").fetchone()[0] > 50
    (kept / "note").write_text(CANARY)
    assert holding(kept, CANARY) == [kept / "note"]
    (kept / "note").unlink()


def test_the_token_of_ray_is_in_no_folder_of_ours(written):
    kept, away, said = written
    if token_path().is_file():
        token = token_path().read_text().strip()
        assert holding(kept, token) == holding(away, token) == []
        assert token not in said
