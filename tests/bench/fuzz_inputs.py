#!/usr/bin/env python3
"""Hostile and damaged inputs through the reading path: nothing crashes, hangs or gets lost, and memory is bounded.

    python tests/bench/fuzz_inputs.py --count 10000 --seed 1

Every batch of inputs is a function of the seed and its number. Batches are run in a process of their own, which a
watchdog ends when one takes longer than its limits allow; the process that decodes is that process's child. The last
line is the summary; the exit code is 1 if anything was lost.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]

from hostile.kinds import KINDS, Seeds, make_seeds  # noqa: E402
from hostile.nasties import nasties  # noqa: E402
from hostile.outcomes import LIMITS, Outcome  # noqa: E402

#: of the process that lists and crops, and of the largest that decodes; what 50 Mpx take, and room for one manifest
MEMORY_BOUND_MB = 3072
_BATCHES_PER_PROCESS = 40
_START_S = 120.0  # a busy machine takes a while to import and to make the seeds


def batches(count: int, seed: int) -> list[tuple[str, int]]:
    """Kind and size of every batch; the hand-made inputs are batches of one."""
    rng = np.random.default_rng(seed)
    names, shares = list(KINDS), np.array([share for _, _, share in KINDS.values()])
    plan: list[tuple[str, int]] = []
    left = count
    while left > 0:
        name = names[rng.choice(len(names), p=_by_batch(shares, [KINDS[name][1] for name in names]))]
        plan.append((name, min(left, KINDS[name][1])))
        left -= plan[-1][1]
    return plan


def _by_batch(shares: np.ndarray, sizes: list[int]) -> np.ndarray:
    """How often each kind is drawn, so that its inputs are the given share."""
    weights = shares / np.array(sizes)
    return np.asarray(weights / weights.sum())


def run_batch(plan: tuple[str, int], seed: int, number: int, seeds: Seeds, folder: Path) -> Outcome:
    """Make and read one batch; `nasty` is the hand-made input of that place."""
    folder.mkdir()
    try:
        kind, size = plan
        if kind == "nasty":
            every = nasties(seeds, folder / "canary")
            name = sorted(every)[size % len(every)]
            (folder / "in").mkdir()
            found = every[name](folder / "in")
            found.lost = [f"{name}: {line}" for line in found.lost]
            return found
        return KINDS[kind][0](seeds, size, folder, np.random.default_rng([seed, number]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def planned(count: int, seed: int) -> list[tuple[str, int]]:
    """All batches: every hand-made input once where there is room, then mutations."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Seeds(Path(folder), [], [], [], {})
        num = len(nasties(empty, Path(folder) / "canary"))
    num = min(num, count // 4)
    return [("nasty", place) for place in range(num)] + batches(count - num, seed)


def serve(arguments: argparse.Namespace) -> None:
    """The process that runs batches from one on, telling what becomes of each."""
    folder = Path(arguments.folder)
    seeds = make_seeds(folder / "seeds")
    plan = planned(arguments.count, arguments.seed)
    for number in range(arguments.start, min(arguments.start + _BATCHES_PER_PROCESS, len(plan))):
        _say({"begin": number})
        found = run_batch(plan[number], arguments.seed, number, seeds, folder / str(number))
        from semihand.frames.worker import dismiss

        dismiss()  # so that its memory is counted
        _say({"done": number, "found": vars(found) | {"reasons": dict(found.reasons)}, "memory_mb": _peaks_mb()})


def _say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def _peaks_mb() -> list[float]:
    return [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


class Watch:
    """What all processes told, and what became of those that did not."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.plan = planned(count, seed)
        self.total = Outcome()
        self.crashes: list[str] = []
        self.hangs: list[str] = []
        self.peaks_mb = [0.0, 0.0]
        self.next = 0

    def run(self) -> None:
        """Start processes until every batch is accounted for."""
        while self.next < len(self.plan):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                command = [sys.executable, __file__, "--serve", "--start", str(self.next), "--folder", folder,
                           "--count", str(self.count), "--seed", str(self.seed)]  # fmt: skip
                with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                    self._follow(process)
            print(f"{self.total.num_inputs}/{self.count} {dict(self.total.reasons.most_common(4))}", flush=True)

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        stopped = len(self.plan)
        for line in _lines(process, self._patience_s):
            if line is None:
                self._fail(self.hangs, f"no answer in {self._patience_s():.0f} s")
                process.kill()
                return
            told = json.loads(line)
            if "begin" in told:
                self.next = told["begin"]
            else:
                self._add(told)
        stopped = process.wait()
        if stopped:
            errors = process.stderr.read()[-1500:] if process.stderr else ""
            self._fail(self.crashes, f"exit code {stopped}: {errors}")

    def _patience_s(self) -> float:
        """What the limits allow the batch that runs, every item at its limit."""
        kind, size = self.plan[min(self.next, len(self.plan) - 1)]
        items = 2 if kind == "nasty" else size + 1
        return _START_S + items * LIMITS.max_item_s + LIMITS.max_file_s

    def _add(self, told: dict[str, object]) -> None:
        found = Outcome(**told["found"])  # type: ignore[arg-type]
        found.reasons = type(self.total.reasons)(found.reasons)
        self.total += found
        self.peaks_mb = [max(pair) for pair in zip(self.peaks_mb, told["memory_mb"], strict=True)]  # type: ignore[call-overload]
        self.next += 1

    def _fail(self, failures: list[str], what: str) -> None:
        kind, size = self.plan[self.next]
        failures.append(f"batch {self.next} ({kind}, {size}): {what}")
        print(failures[-1], flush=True)
        self.total.num_inputs += 1 if kind == "nasty" else size
        self.next += 1


def _lines(process: "subprocess.Popen[str]", patience_s: object) -> Iterator[str | None]:
    """The lines a process prints; None when it is silent for too long."""
    import queue
    import threading

    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=patience_s())  # type: ignore[operator]
        except queue.Empty:
            yield None
            return
        if line == "":
            return
        yield line


def main() -> None:
    """Fuzz, and say in the last line what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=1)
    for name in ("--serve", "--start", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS, **({"action": "store_true"} if name == "--serve" else {}))
    arguments = parser.parse_args()
    if arguments.serve:
        arguments.start = int(arguments.start)
        serve(arguments)
        return
    began = time.monotonic()
    watch = Watch(arguments.count, arguments.seed)
    watch.run()
    sys.exit(report(watch, time.monotonic() - began))


def report(watch: Watch, seconds: float) -> int:
    """Print the summary; 1 where something was lost."""
    total, peak = watch.total, watch.peaks_mb
    for line in total.lost:
        print(f"lost: {line}")
    reasons = ", ".join(f"{count} {reason}" for reason, count in total.reasons.most_common())
    print(f"reasons: {reasons}")
    fine = not (watch.crashes or watch.hangs or total.lost) and max(peak) <= MEMORY_BOUND_MB
    print(
        f"{'OK' if fine else 'FAILED'}: {total.num_inputs} inputs of seed {watch.seed}: {len(watch.crashes)} crashes, "
        f"{len(watch.hangs)} hangs over the limit, {len(total.lost)} lost; {total.num_read} rows read, "
        f"{total.reasons.total()} quarantined, {total.num_refused} inputs refused whole; peak memory {peak[0]:.0f} MB "
        f"reading, {peak[1]:.0f} MB decoding, bound {MEMORY_BOUND_MB} MB; {seconds:.0f} s"
    )
    return 0 if fine else 1


if __name__ == "__main__":
    main()
