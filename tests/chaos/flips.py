"""Single bits that flip in what a campaign keeps, by kind of file."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake import DeltaTable

from semihand.tables import SCHEMAS, Store
from semihand.tables.log import open_table
from semihand.tables.sweeping import tables_below

#: kind: the files of a campaign, as patterns; shards are those that some table holds
KINDS = {
    "log": ("**/_delta_log/*.json",),
    "log's checkpoint": ("**/_delta_log/*.checkpoint.parquet",),
    "witness": ("**/witness/*.json",),
    "seal": ("seals/*.json",),
    "manifest": ("manifest.parquet",),
    "weights": ("models/*/*.safetensors",),
    "card": ("models/*/*.json",),
    "checkpoint": ("fits/*/*.safetensors",),
    "list of checkpoints": ("fits/*/*.json",),
    "kept file": ("rounds/*/calibration*",),
}
SHARD = "shard"


def files_of_kind(campaign: Path, kind: str) -> list[Path]:
    """The files of a kind, in order."""
    if kind == SHARD:
        tables = [open_table(uri) for uri in tables_below(campaign)]
        return sorted(Path(path) for table in tables for paths in table.data_files().values() for path in paths)
    return sorted(path for pattern in KINDS[kind] for path in campaign.glob(pattern))


def make_checkpoints(campaign: Path) -> None:
    """Have deltalake write a checkpoint of every log, which else it does every hundred commits; it is noted at once."""
    store = Store(campaign)
    for name in SCHEMAS:
        DeltaTable(store.path(name)).create_checkpoint()
        (campaign / "witness" / f"{name}.json").unlink()
    store.create()


@contextmanager
def flipped(path: Path, rng: random.Random) -> Iterator[int]:
    """A file with one bit of it another one, inside; says which."""
    whole = path.read_bytes()
    bit = rng.randrange(8 * len(whole))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    try:
        yield bit
    finally:
        path.write_bytes(whole)
