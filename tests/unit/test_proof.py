"""proof/: who is killed, what a campaign is at, and what is said of it."""

import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from table_rows import ids, label_rows

from semihand.failpoints import POINTS, STEPS, VARIABLE
from semihand.frames.errors import InputError
from semihand.proof.driver import draw_plan, places_of, run_campaign, step_at_work
from semihand.proof.killer import Killer
from semihand.proof.oracle import _left_behind
from semihand.proof.run import Proof, ProofConfig, prove
from semihand.rounds.ledger import Done, Ledger
from semihand.tables import Store

IDS = ids(3)
WORKER = (
    "import ctypes, time; ctypes.CDLL(None).prctl(15, b'ray::Labelling'); print('ready', flush=True); time.sleep(60)"
)


def worker(failpoints):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], env={VARIABLE: str(failpoints)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_workers_of_this_campaign_are_killed_and_no_others(tmp_path):
    ours, theirs = worker(tmp_path / "ours"), worker(tmp_path / "theirs")
    try:
        with Killer(tmp_path / "ours", 0.01, 1, lambda: "label") as killer:
            ours.wait(30)
            time.sleep(0.5)
            assert theirs.poll() is None
        assert killer.landed == Counter({("label", "Labelling"): 1})
    finally:
        for process in (ours, theirs):
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_plan_has_a_place_for_every_step_and_all_places_are_drawn():
    drawn = [draw_plan(random.Random(seed)) for seed in range(300)]
    assert all(tuple(plan) == STEPS for plan in drawn)
    places = {step: {plan[step] for plan in drawn} for step in STEPS}
    assert places == {step: set(places_of(step)) for step in STEPS}
    assert set().union(*places.values()) <= set(POINTS)


def test_what_a_campaign_is_at_is_what_follows_the_last_step_that_is_done(tmp_path):
    assert step_at_work(tmp_path / "nothing") == "ingest"
    store = Store(tmp_path)
    store.create()
    ledger, seen = Ledger(store), []
    for number, step in ((0, "ingest"), (0, "train"), (0, "promote"), (1, "subjects"), (1, "calibrate"), (1, "select"),
                         (1, "promote"), (1, "control"), (2, "subjects")):  # fmt: skip
        ledger.once(number, step, Done)
        seen.append(step_at_work(tmp_path))
    assert seen == ["train"] * 3 + ["calibrate", "label", "train", "control", "control", "calibrate"]


@pytest.mark.parametrize(
    ("left", "is_left"),
    [("tables/labels/round=1/odd.parquet", True), ("tables/labels/_delta_log/odd.tmp", True),
     ("tables/labels/odd", True), ("mlartifacts/tables/odd", True), ("rounds/1/odd", True), ("tables/labels/_delta_log/"
     f"{100:020d}.checkpoint.parquet", False), (f"tables/labels/_delta_log/{9:020d}.json", False)],
)  # fmt: skip
def test_a_file_is_left_behind_whatever_the_sweep_takes_it_for(tmp_path, left, is_left):
    folders = [tmp_path / "disturbed", tmp_path / "undisturbed"]
    for folder, pieces in zip(folders, ([IDS], [IDS[:1], IDS[1:]]), strict=True):
        store = Store(folder)
        store.create()
        for piece in pieces:  # as many shards as it takes
            store.append("labels", label_rows(piece), 1)
    assert _left_behind(*folders) == []
    (folders[0] / left).parent.mkdir(parents=True, exist_ok=True)
    (folders[0] / left).write_text("{}")
    assert _left_behind(*folders) == ([f"{left} is left behind"] if is_left else [])


@pytest.fixture
def job(tmp_path):
    """A job that does nothing well, but for campaigns of one name."""
    path = tmp_path / "job.py"
    path.write_text("import sys; sys.exit(0 if sys.argv[-1].endswith('undisturbed') else 3)")
    return path


def test_a_job_that_ends_with_an_error_is_not_started_again(job, tmp_path):
    run = run_campaign([str(job)], tmp_path / "campaign", {}, None, 0)
    assert run.starts == 1
    assert run.error == f"start 1 ended with 3; see {tmp_path / 'campaign-failpoints.log'}"


def test_an_error_of_a_disturbed_campaign_is_a_violation_and_of_the_undisturbed_one_the_end(job, tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.proof.run.num_rows", lambda campaign: 0)
    proof = prove(ProofConfig(out=tmp_path / "proof", minutes=1e-6), job)
    assert len(proof.violations) == proof.campaigns == 1
    assert "disturbed-1: start 1 ended with 3; see" in proof.table()
    job.write_text("import sys; sys.exit(3)")
    with pytest.raises(InputError, match="the undisturbed campaign is not done: start 1 ended with 3"):
        prove(ProofConfig(out=tmp_path / "again"), job)
    with pytest.raises(InputError, match=r"exists. Name a folder that does not"):
        prove(ProofConfig(out=tmp_path), job)


def test_a_table_counts_deaths_by_step_and_kind_and_names_what_is_violated():
    landed = {("label", "at a failpoint"): 2, ("label", "MapWorker.submit"): 4, ("label", "MapWorker"): 1,
              ("train", "Trainer"): 1}  # fmt: skip
    proof = Proof(Counter(landed), 3, 9, 70)
    proof.violations.append("disturbed-2: labels: 8 rows and 9")
    table = proof.table().splitlines()
    assert table[0] == "| step | at a failpoint | workers, at any time | all |"
    assert "| label | 2 | 5 | 7 |" in table
    assert "| seal | 0 | 0 | 0 |" in table
    assert table[-3] == "workers: 5 MapWorker, 1 Trainer"
    assert table[-2].endswith("8 deaths in 3 disturbed campaigns, 9 starts; 70 rows compared with the undisturbed "
                              "campaign's: 1 violation")  # fmt: skip
    assert table[-1] == "  disturbed-2: labels: 8 rows and 9"
