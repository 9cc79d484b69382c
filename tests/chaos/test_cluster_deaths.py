"""Nodes of a cluster are lost or preempted, its GCS is killed and comes back, and the tables are the same."""

from contextlib import ExitStack, closing
from functools import partial
from itertools import count

import pytest
from campaigns import ALONE, CONTROL, SMALL, Campaigns, Kill
from clusters import LOSSES, RayCluster, at_any_time, meanwhile, once_a_round
from oracle import check_same

from semihand.proof.driver import step_at_work
from semihand.proof.killer import Killer

SEED = 20261122
ROUNDS = 20
PATIENCE_S = 3300.0
WORKERS_DIE_EVERY_S, NODES_DIE_EVERY_S = 15.0, 30.0
DRIVERS_DIE_AT = ("commit.labels.made", "step.search.done", "step.train.recorded")


@pytest.fixture
def cluster(tmp_path):
    """A cluster whose parts may be killed."""
    with closing(RayCluster(tmp_path, nodes=2, cpus=2, seed=SEED)) as cluster:
        yield cluster


@pytest.fixture
def joining(campaigns, cluster):
    """Makes campaigns that join it; takes words and switches of theirs."""
    more = {**SMALL, "cluster.label.num_actors": 2}
    address = {"RAY_ADDRESS": cluster.address}
    return lambda *switches, **words: Campaigns(
        campaigns.folder, campaigns.pool, more | words, switches, address, PATIENCE_S
    )


@pytest.mark.chaos
@pytest.mark.timeout(3000)
def test_nodes_the_gcs_workers_and_drivers_die_at_any_time_and_the_tables_are_the_same(cluster, joining, undisturbed):
    torn = joining(CONTROL)
    for number in count():
        name = f"torn-{number}"
        killer = Killer(torn.failpoints(name), WORKERS_DIE_EVERY_S, number, partial(step_at_work, torn.campaign(name)))
        with ExitStack() as stack:
            stack.enter_context(killer)
            stack.enter_context(meanwhile(at_any_time(cluster, NODES_DIE_EVERY_S, number)))
            ended = torn.run(name, tuple(map(Kill, DRIVERS_DIE_AT)))
        check_same(ended.folder, undisturbed.folder)
        print(f"{name}: {dict(cluster.losses)}, {killer.landed.total()} workers, {ended.starts} starts")
        if min(cluster.losses[what] for what in LOSSES) >= 3:
            return


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_the_gcs_dies_in_every_round_and_every_round_ends_as_if_it_had_not(cluster, joining, campaigns):
    # No search for limits: it takes a fifth of a round, and the GCS is back by then.
    rounds = {"rounds": ROUNDS, "select.num_trials": 0, "select.accept_shares": "[0.5]"}
    long, hit = joining(**rounds, **{"cluster.label.num_actors": 1}), set()
    with meanwhile(once_a_round(cluster, long.campaign("gcs-dies"), "gcs", SEED, hit)):
        ended = long.run("gcs-dies")
    assert hit == set(range(1, ROUNDS + 1))
    assert ended.starts == 1
    alone = Campaigns(campaigns.folder, campaigns.pool, rounds, (ALONE,)).run("alone")
    check_same(ended.folder, alone.folder)
