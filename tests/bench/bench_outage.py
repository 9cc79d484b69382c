"""What a dead MLflow costs a campaign: `python tests/bench/bench_outage.py [rounds]`.

The same campaign is run beside a server that refuses and one that never answers; the time in which it waited for
MLflow is clocked in the very run that it is compared with, so that a busy machine does not show.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "tests")]

from semihand.command_line import read_config
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_rounds
from semihand.tracking.outbox import Outbox
from silent_server import silent_server


@contextmanager
def clocked(waited: list[float]) -> Iterator[None]:
    """Add up the seconds in everything that speaks to MLflow."""
    names, depth = ("open", "send", "run_id", "champion"), [0]
    before = {name: getattr(Outbox, name) for name in names}

    def clock(method):
        def timed(*arguments):
            depth[0] += 1
            began = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                depth[0] -= 1
                if depth[0] == 0:
                    waited.append(time.perf_counter() - began)

        return timed

    for name, method in before.items():
        setattr(Outbox, name, clock(method))
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Outbox, name, method)


def main(rounds: int) -> None:
    """Print a line for each kind of outage."""
    with silent_server() as silent, tempfile.TemporaryDirectory() as scratch:
        for kind, url in (("none (sqlite)", ""), ("refuses", "http://127.0.0.1:9"), ("is silent", silent.url)):
            os.environ["MLFLOW_TRACKING_URI"] = url
            words = ["--recipe", "tiny", "--campaign", f"{scratch}/{kind[:4]}", "--rounds", str(rounds)]
            config = read_config(RoundConfig, [*words, "--cluster.alone"], ROOT / "jobs" / "recipes", default=None)
            waited: list[float] = []
            began = time.perf_counter()
            with clocked(waited):
                run_rounds(config)
            took = time.perf_counter() - began
            share = 100 * sum(waited) / (took - sum(waited))
            print(
                f"outage: {kind:<14} {took:6.1f} s, {sum(waited):6.2f} s of it with MLflow: {share:.2f} % of the rest"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
