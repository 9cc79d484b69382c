"""What a dead MLflow costs, counted in questions and not in seconds; and what it is told when it is back."""

import re
import time
from itertools import pairwise

import pytest
from mlflow import MlflowClient

from semihand.tracking import CampaignTracker, breaker, outbox
from semihand.tracking.spool import Entry, Spool
from silent_server import silent_server
from slow_server import slow_server


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """Two files; MLflow adds this package to them."""
    folder = tmp_path_factory.mktemp("model")
    for name in ("model.safetensors", "model.json"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def asked(monkeypatch):
    """When the server was asked whether it lives, and how long it took."""
    times = []

    def ask(uri):
        began = time.monotonic()
        try:
            breaker.check_answer(uri)
        finally:
            times.append((began, time.monotonic() - began))

    monkeypatch.setattr(outbox, "check_answer", ask)
    return times


def log_round(tracker, number):
    with tracker.round_run(number, {"seed": number}) as run:
        run.log_metrics({"epe_mm": 9.0 + number})
        run.log_curve("loss", [0, 1], [2.0, 1.0])
        run.promote(None)
    assert tracker.champion() is None


def test_a_silent_server_is_asked_once_and_then_left_alone(tmp_path, monkeypatch, asked):
    with silent_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        tracker = CampaignTracker("silent", tmp_path)
        for number in range(20):
            log_round(tracker, number)
        assert len(server.taken) == len(asked) == 1
        [(_, took_s)] = asked
        assert took_s < 10  # whatever the machine does meanwhile, one timeout and no more
    assert len(Spool(tmp_path / "mlflow_spool.jsonl").read()) == 20 * 6


def test_a_server_that_refuses_costs_a_hundredth_of_the_time_at_most(tmp_path, monkeypatch, asked):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracker = CampaignTracker("refused", tmp_path)
    for number in range(40):
        log_round(tracker, number)
    for (began, took_s), (later, _) in pairwise(asked):
        assert later - began >= took_s / breaker.SHARE
    assert 1 <= len(asked) < 40


def test_a_server_that_falls_silent_in_a_round_costs_one_wait(tmp_path, monkeypatch, asked):
    """The connection was good, so MLflow itself is waited for, once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with silent_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        tracker = CampaignTracker("falls silent", tmp_path)
        away = tracker._outbox
        away._connection = away._delivery.Connection(
            MlflowClient(server.url, server.url), away.location, "falls silent", "0", "falls silent", {1: "some run"}
        )
        with tracker.round_run(1, {}) as run:
            for step in range(50):
                run.log_metrics({"epe_mm": 1.0}, step=step)
        assert len(server.taken) == 1
        assert asked == []


def test_after_the_breaks_time_a_server_that_is_back_is_told_everything_once(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(breaker.time, "monotonic", lambda: now[0])
    tracker = CampaignTracker("back", tmp_path)
    dead = [True]

    def ask(uri):
        if dead[0]:
            now[0] += 2.0
            raise ConnectionError("nothing there")

    monkeypatch.setattr(outbox, "check_answer", ask)
    log_round(tracker, 1)
    dead[0] = False
    now[0] += 199.0
    with tracker.round_run(2, {}) as run:
        assert run.run_id is None
    now[0] += 2.0
    with tracker.round_run(3, {}) as run:
        assert run.run_id is not None
    client = MlflowClient(tracker.uri, tracker.uri)
    [experiment] = [each for each in client.search_experiments() if each.name == "back"]
    rounds = {run.data.tags["round"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(rounds) == {"1", "2", "3"}
    [metric] = client.get_metric_history(rounds["1"].info.run_id, "epe_mm")
    began, ended = rounds["1"].info.start_time, rounds["1"].info.end_time
    assert began <= metric.timestamp <= ended  # the times of the round, not of the delivery
    assert ended <= rounds["2"].info.start_time
    assert not (tmp_path / "mlflow_spool.jsonl").exists()


def test_a_model_that_is_refused_late_does_not_move_the_alias_to_the_one_before(tmp_path, model_folder):
    tracker = CampaignTracker("gone", tmp_path)
    with tracker.round_run(1, {}) as run:
        run.promote(run.register_model(model_folder).version)
    values = {"folder": str(tmp_path / "gone"), "tags": {}, "metrics": {}, "timestamp_ms": 1}
    spool = Spool(tmp_path / "mlflow_spool.jsonl")
    spool.append(Entry("model", 2, values))
    spool.append(Entry("champion", 2, {"version": None}))
    assert tracker.champion() == 1
    assert not spool
    assert "gone" in (tmp_path / "mlflow_refused.jsonl").read_text()


def test_an_alias_moves_to_its_rounds_model_although_the_server_went_away_between_both(
    tmp_path, model_folder, monkeypatch
):
    spool = Spool(tmp_path / "mlflow_spool.jsonl")
    values = {"folder": str(model_folder), "tags": {}, "metrics": {}, "timestamp_ms": 1}
    spool.append(Entry("model", 1, values))
    spool.append(Entry("champion", 1, {"version": None}))
    tracker = CampaignTracker("between", tmp_path)
    with monkeypatch.context() as away:
        away.setitem(tracker._outbox._delivery._DOORS, "champion", failing)
        assert tracker.champion() is None
    assert [entry.kind for entry in spool.read()] == ["champion"]
    assert CampaignTracker("between", tmp_path).champion() == 1


def failing(*arguments):
    raise ConnectionError("gone")


def test_a_round_that_is_recorded_again_has_every_metric_once(tmp_path, model_folder):
    for _ in range(2):
        with CampaignTracker("again", tmp_path).round_run(1, {}) as run:
            run.log_metrics({"epe_mm": 9.0, "labels": 12})
            run.register_model(model_folder, {"epe_mm": 9.0})
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name, value in {"epe_mm": 9.0, "labels": 12.0}.items():
        assert [point.value for point in client.get_metric_history(run.run_id, name)] == [value]


SLOW_S = 0.2


@pytest.mark.parametrize("what", ["many small things", "a model of many files"])
def test_a_slow_server_costs_a_round_what_it_may_and_no_more(what, tmp_path, model_folder, monkeypatch, caplog):
    """It answers every question within MLflow's own time-out, so none of them fails."""
    with slow_server(SLOW_S) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        tracker = CampaignTracker("slow", tmp_path, limit_s=10 * SLOW_S)
        for number in (1, 2):
            before = len(server.asked)
            with tracker.round_run(number, {}) as run:
                for step in range(50 if what == "many small things" else 0):
                    run.log_metrics({f"epe_mm_{step}": 1.0})
                run.register_model(model_folder)
            assert 1 <= len(server.asked) - before <= 10
            assert tracker.champion() is None
        told = server.asked.count("POST /api/2.0/mlflow/runs/log-batch")
        waiting = [entry.kind for entry in Spool(tmp_path / "mlflow_spool.jsonl").read()]
    assert waiting.count("model") == 2
    assert waiting.count("metrics") + told == (100 if what == "many small things" else 0)
    [said] = [record.message for record in caplog.records if record.name.startswith("semihand")]
    assert re.search(r"is too slow \(a round waited \d+ s for it; --mlflow_limit_s is 2\)", said)


def test_a_start_that_has_only_to_deliver_takes_its_time(tmp_path, monkeypatch):
    spool = Spool(tmp_path / "mlflow_spool.jsonl")
    for number in range(30):
        spool.append(Entry("tags", number, {"seen": "yes"}))
    CampaignTracker("patient", tmp_path, limit_s=1e-6).deliver()
    assert not spool


def test_an_entry_after_one_that_a_crash_cut_short_is_not_lost(tmp_path):
    spool = Spool(tmp_path / "spool.jsonl")
    entries = [Entry("tags", number, {"seen": "yes"}) for number in range(3)]
    for entry in entries[:2]:
        spool.append(entry)
    spool.path.write_text(spool.path.read_text()[:-10])
    spool.append(entries[2])
    assert spool.read() == [entries[0], entries[2]]
