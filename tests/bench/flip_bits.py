"""Single bits flipped in what a campaign keeps: how many are seen by whoever opens the file next.

    python tests/bench/flip_bits.py --flips 10000 --seed 5

Every flip is undone before the next. Exit status 1 where one was not seen.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("platform", "tests", "tests/chaos")]

from campaigns import Campaigns
from flips import KINDS, SHARD, files_of_kind, flipped, make_checkpoints

from made_pools import write_pictures
from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.methods.semihand.weights import load_model
from semihand.rounds.kept_files import kept_file
from semihand.rounds.ledger import Ledger
from semihand.rounds.listed import MANIFEST, check_manifest
from semihand.steps.checkpoint import CheckpointError, Checkpoints
from semihand.tables import DamagedTable, Store
from semihand.tables.log import open_table
from semihand.tables.readers import check_digest
from semihand.tables.records import RecordError, read_record
from semihand.tables.witness import forget_logs

SEEN = (DamagedTable, RecordError, CheckpointError, ValueError)


def open_log(campaign: Path, path: Path) -> None:
    """As a process that begins opens the table."""
    forget_logs()
    open_table(str(path.parent.parent))


def open_witnessed(campaign: Path, path: Path) -> None:
    """The table that a witness speaks of."""
    forget_logs()
    open_table(str(path.parent.parent / "tables" / path.stem))


def open_checkpoints(campaign: Path, path: Path) -> None:
    """All that a fit would go on from, and what it says that it left."""
    Checkpoints(path.parent).check()
    read_record(str(path.parent / "fitted.json"))


DOORS: dict[str, Callable[[Path, Path], object]] = {
    "log": open_log,
    "log's checkpoint": open_log,
    "witness": open_witnessed,
    SHARD: lambda campaign, path: check_digest(str(path)),
    "seal": lambda campaign, path: Store(campaign).seal_record(int(path.stem.removeprefix("round-"))),
    "manifest": lambda campaign, path: check_manifest(campaign / MANIFEST, Ledger(Store(campaign))),
    "weights": lambda campaign, path: load_model(path.parent),
    "card": lambda campaign, path: load_model(path.parent),
    "checkpoint": open_checkpoints,
    "list of checkpoints": open_checkpoints,
    "kept file": lambda campaign, path: kept_file(
        campaign / "rounds", Ledger(Store(campaign)), int(path.parent.name), "calibrate", path.name
    ),
}


def is_seen(campaign: Path, kind: str, path: Path) -> bool:
    """Whether opening the file by its door is refused."""
    try:
        DOORS[kind](campaign, path)
    except SEEN:
        return True
    return False


def main() -> None:
    """Flip, open, count, and undo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pictures(folder / "pool", generate_frames(SyntheticConfig(domain="target", num_frames=12), range(12)), 12)
        campaign = Campaigns(folder, folder / "pool").run("flips").folder
        make_checkpoints(campaign)
        rng, tried, missed, begun = random.Random(options.seed), Counter(), [], time.monotonic()
        paths = {kind: files_of_kind(campaign, kind) for kind in (SHARD, *KINDS)}
        for kind, of_kind in paths.items():
            assert of_kind, kind
            assert not any(is_seen(campaign, kind, path) for path in of_kind), kind
        for _ in range(options.flips):
            kind = rng.choice(list(paths))
            path = rng.choice(paths[kind])
            with flipped(path, rng) as bit:
                tried[kind] += 1
                if not is_seen(campaign, kind, path):
                    missed.append(f"{kind}: bit {bit} of {path.relative_to(campaign)}")
    for kind, num in sorted(tried.items()):
        print(f"{kind:>20} {num:6} flips in {len(paths[kind])} files")
    print(f"{tried.total()} flips, seed {options.seed}: {len(missed)} not seen; {time.monotonic() - begun:.0f} s")
    print(*missed[:20], sep="\n")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
