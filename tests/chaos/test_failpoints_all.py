"""Whatever dies, wherever, once or twice: the campaign ends as if nothing had happened."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from campaigns import CONTROL, ONE_ROUND, SMALL, Campaigns, Ended, Kill
from clusters import RayCluster
from oracle import check_same
from plans import LONG, ONCE, all_plans

from semihand.failpoints import POINTS, arrivals

SEED = 20261122


def plans_for(undisturbed: Ended) -> dict[str, tuple[Kill, ...]]:
    """Deaths by the name of the campaign that suffers them; every failpoint is in two of them."""
    found = all_plans(arrivals(undisturbed.failpoints), SEED)
    killed = {(kill.name, kill.kills) for plan in found.values() for kill in plan}
    assert {(name, 1) for name in POINTS} | {(name, 2) for name in POINTS if name not in ONCE} <= killed
    return found


def suffered(campaigns: Campaigns, name: str, plan: tuple[Kill, ...], undisturbed: Ended) -> Ended:
    """A campaign that its plan has disturbed, all of it reached, and that is as the undisturbed one."""
    ended = campaigns.run(name, plan)
    missed = [kill for kill in plan if ended.deaths(kill.name) < kill.kills]
    assert not missed, f"{name}: not reached: {missed}"
    check_same(ended.folder, undisturbed.folder)
    print(f"{name}: {sum(kill.kills for kill in plan)} deaths, {ended.starts} starts")
    return ended


def test_every_failpoint_kills_once_and_twice_and_nothing_is_lost_doubled_or_left(
    campaigns, undisturbed, undisturbed_round
):
    # Once over two rounds, of which the second builds on what the first left.
    long = {name: plan for name, plan in plans_for(undisturbed).items() if name.startswith("once") or name in LONG}
    short = {name: plan for name, plan in plans_for(undisturbed_round).items() if name not in long}
    of_one_round = Campaigns(campaigns.folder, campaigns.pool, ONE_ROUND)

    def run(name: str) -> None:
        if name in long:
            ended = suffered(campaigns, name, long[name], undisturbed)
        else:
            ended = suffered(of_one_round, name, short[name], undisturbed_round)
        assert ended.starts == 1 + sum(kill.kills for kill in {**long, **short}[name])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [*long, *short]))


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_every_failpoint_kills_drivers_and_workers_on_a_ray_cluster(
    campaigns, undisturbed, undisturbed_round, tmp_path
):
    plans = plans_for(undisturbed_round)
    with closing(RayCluster(tmp_path, nodes=0, cpus=8, seed=SEED)) as cluster, ThreadPoolExecutor(2) as pool:

        def run(name: str) -> None:
            rounds, same = ({}, undisturbed) if name in LONG else (ONE_ROUND, undisturbed_round)
            joining = Campaigns(
                campaigns.folder, campaigns.pool, {**SMALL, **rounds}, (CONTROL,), {"RAY_ADDRESS": cluster.address}
            )
            suffered(joining, f"ray-{name}", plans[name], same)

        list(pool.map(run, plans))
