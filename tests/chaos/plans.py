"""Plans of deaths: every failpoint once and twice, in as few campaigns as can be."""

import random
from collections import Counter
from collections.abc import Iterable

from campaigns import Kill

from semihand.failpoints import POINTS

# Moments of a plan: none of these keeps another from being reached, as a commit that was made is not made again.
_TOGETHER = (
    ("begun", "seen", "registered"), ("half", "done", "modelled", "uploaded"), ("unnamed", "made"),
    ("named", "synced", "between"), ("kept", "recorded", "promoted", "listed"),
)  # fmt: skip
#: What these leave is done for good: recovery does not come there again, and dies where it comes to first.
ONCE = {
    "file.settings.named": "file.shard.begun",
    "file.settings.kept": "file.shard.begun",
    "step.ingest.recorded": "file.shard.begun",
}
#: Each step is recorded once a round: these plans take two.
LONG = ("twice-kept",)


def all_plans(arrivals: Iterable[str], seed: int) -> dict[str, tuple[Kill, ...]]:
    """Every failpoint x {1, 2} deaths, by the name of the campaign that suffers them.

    Args:
        arrivals: the places that an undisturbed campaign came to.
        seed: after which of its arrivals a place kills, so that other files and commits are hit.
    """
    counts, rng, plans = Counter(arrivals), random.Random(seed), {}
    for kills in (1, 2):
        for moments in _TOGETHER:
            names = [name for name in POINTS if name.rsplit(".", 1)[1] in moments]
            here = [name for name in names if not (kills == 2 and name in ONCE)]
            plan = [Kill(name, kills, rng.randrange(_latest(counts[name], kills))) for name in here]
            plans[f"{'twice' if kills == 2 else 'once'}-{moments[0]}"] = tuple(plan)
    plans |= {f"twice-{name}": (Kill(name), Kill(then)) for name, then in ONCE.items()}
    return plans


def _latest(count: int, kills: int) -> int:
    # Far from the last: what was recovered is not always done again.
    return max(1, (count - kills) // 2 + 1)
