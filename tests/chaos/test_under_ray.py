"""The same under Ray: its workers and its driver die, and the tables are those of one process that nobody disturbed."""

import json
import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from campaigns import Kill
from clusters import meanwhile, told_to_stop
from oracle import check_same

# A call in four is lost: on its way, on the way of its answer, or in between.
LOST = {"num_failures": -1, "req_failure_prob": 9, "resp_failure_prob": 8, "in_flight_failure_prob": 8}
LOSSES = {
    "CoreWorkerService.grpc_client.PushTask": LOST,
    "NodeManagerService.grpc_client.RequestWorkerLease": LOST,
}
LEAST_LOST = 3  # of each
PATIENCE_S = 1600.0  # Ray Train begins anew whenever a call to a worker is lost: mostly ten times, now and then thirty
STOPPED_IN = {"train", "label", "search", "control"}
BY_WORKERS = ("file.shard.named", "file.tensors.half", "fit.listed")
BY_THE_DRIVER = ("commit.labels.made", "seal.between", "step.promote.done")


@pytest.mark.timeout(1200)
def test_workers_and_drivers_of_a_ray_cluster_die_and_the_tables_are_those_of_one_undisturbed_process(
    under_ray, undisturbed_round
):
    # The first shard is the source's, the pool's comes second: those after them are of labels.
    plan = [Kill(name, passes=3 if name == "file.shard.named" else 0) for name in (*BY_WORKERS, *BY_THE_DRIVER)]
    ended = under_ray().run("under-ray", tuple(plan))
    assert {name: ended.deaths(name) for name in (*BY_WORKERS, *BY_THE_DRIVER)} == dict.fromkeys(
        (*BY_WORKERS, *BY_THE_DRIVER), 1
    )
    assert 1 + len(BY_THE_DRIVER) <= ended.starts <= 2 + len(BY_THE_DRIVER)
    check_same(ended.folder, undisturbed_round.folder)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_quarter_of_the_calls_between_processes_is_lost_and_the_tables_are_the_same(under_ray, undisturbed_round):
    with TemporaryDirectory(prefix="r", dir="/tmp") as logs:  # short: Ray puts sockets into it, too
        told = {"RAY_TMPDIR": logs, "RAY_BACKEND_LOG_LEVEL": "info"}
        ended = under_ray(PATIENCE_S, RAY_testing_rpc_failure=json.dumps(LOSSES), **told).run("lossy")
        landed = losses_by_method(Path(logs))
    print(f"calls lost: {dict(landed)}")
    assert min(landed[method] for method in LOSSES) >= LEAST_LOST
    assert ended.starts == 1
    check_same(ended.folder, undisturbed_round.folder)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_a_driver_that_is_told_to_stop_goes_on_when_it_is_started_again(under_ray, undisturbed_round):
    campaigns, told = under_ray(), []
    with meanwhile(told_to_stop(campaigns.campaign("told"), STOPPED_IN, told)):
        ended = campaigns.run("told")
    assert set(told) == STOPPED_IN
    assert ended.starts == 1 + len(STOPPED_IN)
    check_same(ended.folder, undisturbed_round.folder)


def losses_by_method(folder: Path) -> Counter[str]:
    """How many calls of each method Ray says, in the logs of its processes, that it has lost."""
    logs = (path.read_text(errors="replace") for path in folder.glob("session_2*/logs/**/*") if path.is_file())
    return Counter(method for log in logs for method in re.findall(r"Inject RPC .*failure .*for (\S+)", log))
