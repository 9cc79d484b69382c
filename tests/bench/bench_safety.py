"""What hashing and fsync cost labelling: `python tests/bench/bench_safety.py [frames] [repetitions]`.

The same frames are labelled by the real stage in one process, in turn as it is, and with no file hashed or synced.
Printed is the ratio of the throughputs, and its spread over the repetitions; 1 is no cost.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("platform", "tests/bench")]

import numpy as np
import torch
from bench_memory import made_store

from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.weights import ModelCard, save_model
from semihand.stages.labelling import LabelClusterConfig, Labelling, label_frames
from semihand.steps.label import LabelConfig
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import files, readers, witness
from semihand.tables.places import Places
from semihand.workforce import working_alone


class _NoHash:
    """Stands where a hash was, and looks at nothing."""

    def hexdigest(self) -> str:
        """Of another name each time, as files are named by it."""
        return os.urandom(32).hex()


@contextmanager
def unsafe() -> Iterator[None]:
    """No hashing of shards, logs and records, no fsync; the pictures' own hashes stay, in another process."""
    no_hashes = SimpleNamespace(sha256=lambda data=b"": _NoHash())
    with (
        patch("semihand.tables.store.hashlib", no_hashes),
        patch("semihand.tables.records.hashlib", no_hashes),
        patch.object(os, "fsync", lambda handle: None),
        patch.object(files, "sync", lambda uri: None),
        patch.object(readers, "check_digest", lambda uri: None),
        patch("semihand.tables.log.check_log", lambda uri: False),
        patch("semihand.tables.commits.witness", lambda *arguments: None),
    ):
        yield


def main(num: int, repetitions: int) -> None:
    """Print frames per second of both, and the ratio."""
    cluster = LabelClusterConfig(num_actors=1)
    with tempfile.TemporaryDirectory() as scratch, working_alone():
        store = made_store(Path(scratch, "campaign"), num, 48)
        torch.manual_seed(1)
        card = ModelCard(network=NetworkConfig(), crop_margin=1.2, template_mm=[30.0 + bone for bone in range(20)])
        teacher = save_model(HandNetwork(NetworkConfig()).eval(), card, Path(scratch, "models"))
        places = Places(store.folder, store.version("frames"))
        listing = places.listed(["frame_id", "subject_id", "uri", "video_frame"])
        lengths = Lengths({UNNAMED: np.array(card.template_mm)})

        def rate(number: int) -> float:
            job = Labelling(LabelConfig(), teacher, lengths, None, number, places=places)
            began = time.perf_counter()
            label_frames(listing, job, store, cluster)
            return num / (time.perf_counter() - began)

        rate(1)  # opens what is opened once
        rates = []
        for turn in range(repetitions):
            safe = rate(2 + 2 * turn)
            with unsafe():
                rates.append((safe, rate(3 + 2 * turn)))
        witness.forget_logs()
    safe, bare = np.array(rates).T
    ratio = safe / bare
    print(f"labelling {num} frames: {np.median(safe):.1f} frames/s, without hashes and fsync {np.median(bare):.1f}")
    print(f"ratio {np.median(ratio):.3f} (of {repetitions}: {ratio.min():.3f} to {ratio.max():.3f})")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*[*given, *(256, 5)[len(given) :]])
