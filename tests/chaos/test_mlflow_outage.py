"""MLflow's server is away from the start, dies in a round, dies while it is told of the last: it is told all, once."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from campaigns import ONE_ROUND, Campaigns
from clusters import meanwhile
from mlflow import MlflowClient
from oracle import check_same

from mlflow_server import Server, free_ports
from semihand.failpoints import TRAIL, arrivals
from semihand.tables.comparing import differences

_LOOK_EVERY_S = 0.01
#: Which arrival of the campaign's, at which place, is the server's last moment; None: it was never there.
DEATHS = {
    "from the start": None,
    "in the middle of a round": ("step.label.recorded", 1),
    "while it is told of the last round": ("record.registered", 2),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """MLflow's server, which takes up what it had whenever it is started."""
    server = Server(tmp_path_factory.mktemp("server"), *free_ports(1))
    yield server
    server.stop()


def killed_at(server: Server, trail: Path, place: str, arrival: int) -> Callable[[threading.Event], None]:
    """The server dies by SIGKILL as soon as a campaign has come to a place so often."""

    def disturb(ended: threading.Event) -> None:
        while not ended.wait(_LOOK_EVERY_S):
            if trail.exists() and arrivals(trail.parent).count(place) == arrival:
                server.kill()
                return

    return disturb


def record(uri: str, campaign: Path) -> dict[str, tuple[str, dict[str, str], Counter[tuple[str, int, float]]]]:
    """Status, parameters and every point of every metric, by round; the campaign's own path and name left out."""
    client, found = MlflowClient(uri, uri), {}
    for run in client.search_runs([client.get_experiment_by_name(campaign.name).experiment_id]):
        assert run.data.tags["round"] not in found, "a round has two runs"
        assert not [name for name in run.data.tags if name.startswith("changed.")]
        params = {name: value.replace(str(campaign), "#") for name, value in run.data.params.items()}
        points = (point for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name))
        metrics = Counter((point.key, point.step, point.value) for point in points)
        found[run.data.tags["round"]] = run.info.status, params, metrics
    return found


@pytest.mark.parametrize("death", DEATHS)
def test_a_server_that_dies_is_told_everything_once_when_it_is_back(
    death, server, campaigns, undisturbed_round, one_record, monkeypatch
):
    name, place = death.replace(" ", "-"), DEATHS[death]
    expected = record(one_record, undisturbed_round.folder)
    away = Campaigns(campaigns.folder, campaigns.pool, ONE_ROUND, environment={"MLFLOW_TRACKING_URI": server.url})
    dying = nullcontext()
    if place is not None:
        if server.process is None:
            server.start()
        dying = meanwhile(killed_at(server, away.failpoints(name) / TRAIL, *place))
    with dying:
        ended = away.run(name, trail=True)
    assert server.process is None
    assert ended.starts == 1
    assert differences(ended.folder, undisturbed_round.folder) == []
    spool = ended.folder / "mlflow_spool.jsonl"
    assert spool.exists()

    server.start()
    away.once_more(name)
    assert not spool.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    check_same(ended.folder, undisturbed_round.folder)
    told = record(server.url, ended.folder)
    assert told == expected
    assert set(told) == {"0", "1"}
    assert {status for status, _, _ in told.values()} == {"FINISHED"}
    assert {num for _, _, metrics in told.values() for num in metrics.values()} == {1}
