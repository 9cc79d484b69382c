"""Secrets planted where users have them: a campaign's folder, tables, record and output hold none of them."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from made_pools import write_pictures
from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.rounds.auth_token import token_path
from semihand.tables import Store, scan

ROOT = Path(__file__).resolve().parents[2]
CANARY = "c4n4ry-0f-a-s3cret"
SECRETS = ("RAY_AUTH_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN")
SMALLEST = {
    "data.num_source": 120, "data.num_evaluation": 16, "pretrain.num_steps": 4, "hand": "right",
    "train.num_steps": 4, "label.views.num_views": 2, "select.num_trials": 2, "select.max_label_error_mm": 1000,
}  # fmt: skip
REMOTE = (
    f"https://me:{CANARY}@store/a.png", f"https://store/b.png?X-Amz-Signature={CANARY}&X-Amz-Expires=60",
    f"s3://{CANARY}@bucket/c.mp4",
)  # fmt: skip


def run(job, campaign, frames, **environment):
    given = SMALLEST | {"frames": frames}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
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


def manifest_of(folder):
    """Twelve pictures, and rows that name pictures elsewhere with what opens them."""
    names = write_pictures(
        folder, generate_frames(SyntheticConfig(domain="target", num_frames=12, seed=11), range(12)), 12
    )
    rows = [{"uri": uri} for uri in (*names[:-1], *REMOTE)] + [{"uri": names[-1], "background_uri": REMOTE[0]}]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A campaign of one round with a record of its own, and one whose server, with a password, does not answer."""
    kept, away = tmp_path_factory.mktemp("secrets") / "kept", tmp_path_factory.mktemp("secrets") / "away"
    frames = manifest_of(tmp_path_factory.mktemp("secrets") / "pool")
    said = run("semihand_round", kept, frames)
    said += run("pretrain", away, frames, MLFLOW_TRACKING_URI=f"http://me:{CANARY}@127.0.0.1:9")
    return kept, away, said


def test_no_file_of_a_campaign_and_no_line_of_its_jobs_holds_a_secret(written):
    kept, away, said = written
    assert CANARY not in said
    assert "http://[redacted]@127.0.0.1:9" in said
    assert holding(kept, CANARY) == []
    assert holding(away, CANARY) == []


def test_a_remote_picture_is_refused_and_its_row_says_where_it_lies_without_what_opens_it(written):
    kept, _, _ = written
    rows = scan(Store(kept), "quarantine", round=1).sort("uri").collect()
    assert rows["reason"].to_list() == ["bad_path"] * 4
    assert {"https://[redacted]@store/a.png", "s3://[redacted]@bucket/c.mp4",
            "https://store/b.png?X-Amz-Signature=[redacted]&X-Amz-Expires=60"} < set(rows["uri"])  # fmt: skip
    assert all("[redacted]" in detail and "only files are read" in detail for detail in rows["detail"])
    listed = pl.read_parquet(kept / "manifest.parquet")
    assert set(rows["uri"]) <= set(listed["uri"])


def test_the_places_that_were_looked_through_are_those_where_secrets_would_be(written):
    kept, away, _ = written
    names = {path.name for path in kept.rglob("*")}
    assert {
        "config.json",
        "summary.json",
        "mlflow.db",
        "manifest.parquet",
        "_delta_log",
        "report.html",
        "model.json",
    } <= names
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
