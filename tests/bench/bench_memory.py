"""Memory while frames stream through labelling: `python tests/bench/bench_memory.py [times] [store_mb] [picture_kb]`.

A store of frames that carry their pictures, as many times the size of Ray's object store, is labelled by the real
stage. Printed are the slopes of what the driver and the workers hold alone (USS, without shared memory), in per cent of
their level per GB of pictures labelled after the first tenth, and what Ray has spilled.
"""

import io
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform")]

import numpy as np
import psutil
import pyarrow as pa
import ray
import torch
from PIL import Image

from semihand.methods.semihand.labeller import ViewConfig
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.weights import ModelCard, save_model
from semihand.rounds.cluster import connected
from semihand.rounds.config import ClusterConfig
from semihand.stages.labelling import LabelClusterConfig, Labelling, label_frames
from semihand.steps.label import LabelConfig
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import FRAMES, Store, content_sha256, frame_id
from semihand.tables.places import Places

ROWS_PER_FILE = 128
_LEAST_S, _SETTLED = 0.5, 0.1  # between samples; of the frames, after which memory is to be flat


def made_store(folder: Path, num: int, picture_kb: int) -> Store:
    """Frames of noise: what is in them costs labelling nothing."""
    store = Store(folder)
    store.create()
    side = int((picture_kb * 1024 / 3) ** 0.5)
    noise = np.random.default_rng(1).integers(0, 255, (side, side, 3), np.uint8)
    for start in range(0, num, ROWS_PER_FILE):
        pictures = []
        for row in range(start, min(start + ROWS_PER_FILE, num)):
            noise[0, 0] = row % 251, row // 251 % 251, row // 63001  # no two alike
            buffer = io.BytesIO()
            Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
            pictures.append(buffer.getvalue())
        store.append("frames", _frames(start, pictures, side))
    return store


def _frames(start: int, pictures: list[bytes], side: int) -> pa.Table:
    num = len(pictures)
    ids = [frame_id("bench", f"{row}.png") for row in range(start, start + num)]
    said = {
        "frame_id": ids, "dataset": ["bench"] * num, "image": pictures, "modality": ["rgb"] * num,
        "content_sha256": [content_sha256(each) for each in pictures], "hand": ["right"] * num,
        "bbox_px": [[1.0, 1.0, side - 2.0, side - 2.0]] * num, "box_source": ["given"] * num,
        "supervision": ["none"] * num, "intrinsics_source": ["given"] * num, "subject_id": ["nobody"] * num,
        **{name: [float(side)] * num for name in ("fx", "fy")}, **{name: [side / 2] * num for name in ("cx", "cy")},
    }  # fmt: skip
    columns = [pa.array(said.get(field.name, [None] * num), field.type) for field in FRAMES]
    return pa.Table.from_arrays(columns, schema=FRAMES)


class Sampler(threading.Thread):
    """Looks at the driver and the actors while they work."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.num_done, self.ended = 0, threading.Event()
        self.samples: list[tuple[int, float, float]] = []  # frames done, MB of the driver, MB of the largest worker

    def run(self) -> None:
        """Until told to end."""
        driver = psutil.Process()
        while not self.ended.wait(_LEAST_S):
            workers = []
            for process in driver.children(recursive=True):
                try:
                    if "MapWorker" in " ".join(process.cmdline()):
                        workers.append(process.memory_full_info().uss / 1e6)
                except psutil.Error:
                    continue
            self.samples.append((self.num_done, driver.memory_full_info().uss / 1e6, max(workers, default=np.nan)))


def slope(samples: np.ndarray, column: int, gb_each: float) -> tuple[float, float]:
    """MB at the level, and its slope in per cent of that per GB, over all but the first of the frames."""
    settled = samples[(samples[:, 0] > _SETTLED * samples[-1, 0]) & np.isfinite(samples[:, column])]
    level = float(np.median(settled[:, column]))
    per_gb = np.polyfit(settled[:, 0] * gb_each, settled[:, column], 1)[0] if len(settled) > 2 else np.nan
    return level, 100 * float(per_gb) / level


def main(times: float, store_mb: int, picture_kb: int) -> None:
    """Print a line for the driver and one for the workers."""
    num = int(times * store_mb * 1024 / picture_kb)
    label = LabelClusterConfig(num_actors=1, cpus_per_actor=1, rows_per_shard=16, shards_per_commit=2)
    with tempfile.TemporaryDirectory() as scratch:
        store = made_store(Path(scratch, "campaign"), num, picture_kb)
        torch.manual_seed(1)
        network = NetworkConfig(width=8, depth=1, decoder_channels=16)
        template = [30.0 + bone for bone in range(20)]
        card = ModelCard(network=network, crop_margin=1.2, template_mm=template)
        teacher = save_model(HandNetwork(network).eval(), card, Path(scratch, "models"))
        places = Places(store.folder, store.version("frames"))
        listing = places.listed(["frame_id", "subject_id", "uri", "video_frame"])
        lengths = Lengths({UNNAMED: np.array(template)})
        config = LabelConfig(views=ViewConfig(num_views=2))  # the pictures count here, not the networks
        job = Labelling(config, teacher, lengths, None, 1, places=places, attempts=Path(scratch, "attempts"))
        sampler = Sampler()

        def progress(labelled: int, quarantined: int) -> None:
            sampler.num_done = labelled + quarantined

        with connected(ClusterConfig(num_cpus=2, object_store_mb=store_mb, label=label)):
            sampler.start()
            began = time.perf_counter()
            label_frames(listing, job, store, label, progress)
            took = time.perf_counter() - began
            sampler.ended.set()
            spilled = sum(path.stat().st_size for path in _session().glob("ray_spilled_objects*/*"))
        gb_each = picture_kb * 1024 / 1e9
        print(f"{num} frames, {num * gb_each:.2f} GB, {times:g} times the object store, in {took:.0f} s")
        samples = np.array(sampler.samples)
        for column, name in ((1, "driver"), (2, "worker")):
            level, per_gb = slope(samples, column, gb_each)
            most = np.nanmax(samples[:, column])
            print(f"memory: {name} {level:.0f} MB, slope {per_gb:+.2f} % per GB, at most {most:.0f} MB")
        print(f"spilled and left: {spilled / 1e6:.1f} MB")


def _session() -> Path:
    return Path(ray._private.worker._global_node.get_session_dir_path())


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    times, store_mb, picture_kb = [*given, *(50, 80, 1920)[len(given) :]]
    main(times, int(store_mb), int(picture_kb))
