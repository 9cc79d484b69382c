#!/usr/bin/env python3
"""Hostile and damaged inputs through the reading path: nothing crashes, hangs or gets lost, and memory is bounded.

    python tests/bench/fuzz_inputs.py --count 10000 --seed 1

Every hand-made input once, then mutations; every batch of these is a function of the seed and its number. Batches run
in a process of their own, which a watchdog ends when one takes longer than its limits allow; the process that decodes
is that process's child. The last line is the summary; the exit code is 1 if anything was lost.
"""

import argparse
import json
import queue
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]

#: of the process that lists and crops, and of the largest that decodes: pictures of 50 Mpx, and room for a manifest
MEMORY_BOUND_MB = 3072
_BATCHES_PER_PROCESS = 150
_START_S = 300.0  # a busy machine takes a while to import, and to make the seeds


def serve(folder: Path, count: int, seed: int, start: int) -> None:
    """The process that runs batches from one on, telling of each when it begins and what became of it."""
    import numpy as np

    from hostile.kinds import KINDS, make_seeds
    from hostile.nasties import nasties
    from hostile.outcomes import LIMITS
    from semihand.frames.worker import dismiss

    seeds = make_seeds(folder / "seeds")
    by_hand = nasties(seeds, folder / "canary")
    plan = planned(count, seed, sorted(by_hand), {name: (size, share) for name, (_, size, share) in KINDS.items()})
    for number in range(start, min(start + _BATCHES_PER_PROCESS, len(plan))):
        name, size = plan[number]
        patience_s = (size + 1) * LIMITS.max_item_s + LIMITS.max_file_s
        _say(begin=number, of=len(plan), name=name, size=size, patience_s=patience_s)
        place = folder / str(number)
        place.mkdir()
        if name in KINDS:
            found = KINDS[name][0](seeds, size, place, np.random.default_rng([seed, number]))
        else:
            found = by_hand[name](place)
        shutil.rmtree(place, ignore_errors=True)
        _say(done=number, **vars(found) | {"lost": [f"batch {number}, {name}: {line}" for line in found.lost]})
    dismiss()  # so that the memory of what decoded is counted
    _say(peaks_mb=[resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)])


def planned(count: int, seed: int, by_hand: list[str], kinds: dict[str, tuple[int, float]]) -> list[tuple[str, int]]:
    """Name and size of every batch: hand-made inputs first, but no more than a quarter; kinds by their shares."""
    import numpy as np

    rng = np.random.default_rng(seed)
    plan = [(name, 1) for name in by_hand[: count // 4]]
    weights = np.array([share / size for size, share in kinds.values()])
    left = count - len(plan)
    while left > 0:
        name = str(rng.choice(list(kinds), p=weights / weights.sum()))
        plan.append((name, min(left, kinds[name][0])))
        left -= plan[-1][1]
    return plan


def _say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


class Watch:
    """What all processes told, and what became of those that did not."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.num_inputs = self.num_read = self.num_refused = self.next = 0
        self.reasons: Counter[str] = Counter()
        self.lost: list[str] = []
        self.crashes: list[str] = []
        self.hangs: list[str] = []
        self.peaks_mb = [0, 0]
        self._running: dict[str, Any] = {"of": 1, "size": 0, "name": "the start", "patience_s": 0.0}

    def run(self) -> None:
        """Start processes until every batch is accounted for."""
        while self.next < self._running["of"]:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                command = [sys.executable, __file__, "--serve", folder, "--start", str(self.next),
                           "--count", str(self.count), "--seed", str(self.seed)]  # fmt: skip
                with (
                    open(Path(folder) / "errors", "w+") as errors,
                    subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
                ):
                    self._follow(process)
                    if code := process.wait():
                        errors.seek(0)
                        self._fail(f"exit code {code}: {errors.read()[-1500:]}")
            print(f"{self.num_inputs} of {self.count} inputs", flush=True)

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        for line in _lines(process, lambda: _START_S + self._running["patience_s"]):
            if line is None:
                self.hangs.append(f"batch {self.next}, {self._running['name']}")
                process.kill()
                return
            told = json.loads(line)
            if "begin" in told:
                self._running = told
            elif "done" in told:
                self._add(told)
            else:
                self.peaks_mb = [max(pair) for pair in zip(self.peaks_mb, told["peaks_mb"], strict=True)]

    def _add(self, told: dict[str, Any]) -> None:
        self.num_inputs += told["num_inputs"]
        self.num_read += told["num_read"]
        self.num_refused += told["num_refused"]
        self.reasons.update(told["reasons"])
        self.lost += told["lost"]
        self.next += 1

    def _fail(self, what: str) -> None:
        """A process that ended before its batches had: the one that it was at is a hang or a crash."""
        if len(self.hangs) + len(self.crashes) > 20:
            sys.exit(f"too many failures; the last: {what}")
        if not self.hangs or not self.hangs[-1].startswith(f"batch {self.next},"):
            self.crashes.append(f"batch {self.next}, {self._running['name']}: {what}")
        self.num_inputs += self._running["size"]
        self.next += 1

    def report(self, seconds: float) -> bool:
        """Print the summary; whether all is well."""
        for kind in ("crashes", "hangs", "lost"):
            for line in getattr(self, kind):
                print(f"{kind}: {line}")
        print("reasons: " + ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common()))
        fine = not (self.crashes or self.hangs or self.lost) and max(self.peaks_mb) <= MEMORY_BOUND_MB
        print(
            f"{'OK' if fine else 'FAILED'}: {self.num_inputs} inputs of seed {self.seed}: {len(self.crashes)} crashes, "
            f"{len(self.hangs)} hangs over the limit, {len(self.lost)} lost; {self.num_read} rows read, "
            f"{self.reasons.total()} quarantined, {self.num_refused} inputs refused whole; peak memory "
            f"{self.peaks_mb[0]} MB reading, {self.peaks_mb[1]} MB decoding, bound {MEMORY_BOUND_MB} MB; "
            f"{seconds:.0f} s"
        )
        return fine


def _lines(process: "subprocess.Popen[str]", patience_s: Any) -> Iterator[str | None]:
    """The lines that a process prints; None when it is silent for too long."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=patience_s())
        except queue.Empty:
            yield None
            return
        if not line:
            return
        yield line


def main() -> None:
    """Fuzz, and say in the last line what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve, given.count, given.seed, given.start)
        return
    began = time.monotonic()
    watch = Watch(given.count, given.seed)
    watch.run()
    sys.exit(0 if watch.report(time.monotonic() - began) else 1)


if __name__ == "__main__":
    main()
