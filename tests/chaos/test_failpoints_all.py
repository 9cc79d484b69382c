"""Whatever dies, wherever, once or twice: the campaign ends as if nothing had happened."""

from concurrent.futures import ThreadPoolExecutor

from campaigns import Ended
from oracle import check_same
from plans import ONCE, all_plans

from semihand.failpoints import POINTS, arrivals

SEED = 20261122


def test_every_failpoint_kills_once_and_twice_and_nothing_is_lost_doubled_or_left(campaigns, undisturbed):
    plans = all_plans(arrivals(undisturbed.failpoints), SEED)
    killed = {(kill.name, kill.kills) for plan in plans.values() for kill in plan}
    assert {(name, 1) for name in POINTS} | {(name, 2) for name in POINTS if name not in ONCE} <= killed

    def run(name: str) -> str:
        return _judged(campaigns.run(name, plans[name]), name, undisturbed)

    def _judged(ended: Ended, name: str, undisturbed: Ended) -> str:
        missed = [kill for kill in plans[name] if ended.deaths(kill.name) < kill.kills]
        assert not missed, f"{name}: not reached: {missed}"
        assert ended.starts == 1 + sum(kill.kills for kill in plans[name])
        check_same(ended.folder, undisturbed.folder)
        return f"{name}: {ended.starts - 1} deaths"

    with ThreadPoolExecutor(2) as pool:
        print(*pool.map(run, plans), sep="\n")
