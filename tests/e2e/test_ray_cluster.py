"""A real cluster takes the jobs through `ray job submit`, and tables and tracking answer for them."""

import json
import re

import polars as pl
from servers import ROOT

# What Ray, Tune and MLflow would print between the lines of a job.
NOISE = re.compile(r"WARNING|INFO worker|core_worker|Traceback|─|tensorboard|A new study|\[36m|Progress")
BEFORE_THE_JOB = re.compile(r"Runtime env is setting up|^Running entrypoint for job")
MOST_UPLOADED_BYTES = 8 * 1024**2  # of which the localiser that comes along is 4.5


def test_a_cluster_runs_a_round_and_its_tables_and_tracking_answer(head, server, tmp_path):
    campaign = tmp_path / "night"
    settings = {"env_vars": {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true"}}
    done = head.submit(
        "--submission-id", "night", "--working-dir", ".", "--runtime-env-json", json.dumps(settings),
        "--", "python", "jobs/semihand_round.py", "--recipe", "tiny", "--campaign", str(campaign),
        cwd=ROOT, timeout_s=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    of_ray = ("Runtime env is setting up", "Running entrypoint for job")
    lines = [line for line in head.logs("night") if not any(text in line for text in of_ray)]
    assert [line for line in lines if NOISE.search(line)] == []
    assert lines[0] == f"campaign night in {campaign}"
    assert any(line.split()[:1] == ["round"] and "EPE mm" in line for line in lines)
    assert len(lines) < 40

    labels = pl.scan_delta(str(campaign / "tables" / "labels"))
    answer = labels.group_by("subject_id").agg(pl.col("predicted_error_mm").mean(), pl.len()).collect()
    assert len(answer) > 1
    assert answer["len"].sum() > 80
    assert answer["predicted_error_mm"].is_between(1, 500).all()

    rounds = server.rounds("night")
    assert {number: status for number, (status, _) in rounds.items()} == {"0": "FINISHED", "1": "FINISHED"}
    summary = json.loads((campaign / "summary.json").read_text())
    for each in summary["rounds"]:
        assert abs(rounds[str(each["round"])][1]["epe_mm"] - each["evaluation"]["epe_mm"]) < 1e-6
    assert not (campaign / "mlflow.db").exists()

    assert_little_is_uploaded(head)


def assert_little_is_uploaded(head):
    packages = list(head.folder.glob("session_2*/runtime_resources/working_dir_files/_ray_pkg_*"))
    [working] = [path for path in packages if path.is_dir() and (path / "jobs").is_dir()]
    uploaded = [path for path in working.rglob("*") if path.is_file() and path.suffix != ".pyc"]  # compiled there
    assert sum(path.stat().st_size for path in uploaded) < MOST_UPLOADED_BYTES
    assert not {".git", ".venv", "campaigns", "tests"} & {path.name for path in working.iterdir()}
    assert (working / "platform" / "semihand" / "frames" / "synthetic" / "domains.toml").is_file()


def test_a_campaign_in_rays_own_folder_is_refused(head):
    """A relative path of a submitted job lies in a copy of the working folder that goes with the job."""
    done = head.submit(
        "--submission-id", "relative", "--working-dir", ".", "--",
        "python", "jobs/semihand_round.py", "--recipe", "tiny", "--campaign", "campaigns/here",
        cwd=ROOT, timeout_s=200,
    )  # fmt: skip
    assert done.returncode != 0
    [said] = [line for line in head.logs("relative") if line.startswith("error:")]
    assert "--campaign campaigns/here lies in Ray's copy" in said


def test_a_job_is_submitted_by_its_bare_name(head, tmp_path):
    done = head.submit("--submission-id", "bare", "--", "jobs/semihand_round.py", "--help", cwd=tmp_path, timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(line.startswith("usage: semihand_round.py") for line in head.logs("bare"))
