"""The sets of an ablation, as Arrow files: made once, by all cores."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch
from pyarrow import feather

from semihand.ablation.config import AblationConfig
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import generate_frames
from semihand.frames.truth import open_truth, without_truth
from semihand.steps.harden import HardenConfig, harden_frames

# Seeds of the sets, apart from one another: frames of one are never frames of another.
_SOURCE, _TARGET, _EVALUATION = 1, 3000, 4000
_ROWS_PER_TASK = 200


class Sets(NamedTuple):
    """Files of one target domain and seed, and of the source that all share."""

    source: Path  # labelled
    calibration: Path  # source frames held out, strongly augmented
    pool: Path  # unlabelled target frames
    truth: Path  # the same target frames with their truth: for the report and for rows that may learn from it
    evaluation: Path  # other target frames, with truth


def make_sets(config: AblationConfig, say: Callable[[str], None]) -> dict[tuple[str, int], Sets]:
    """Make what is missing; by (domain, seed)."""
    folder = config.campaign / "sets"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = config.sets

    def made(name: str, synthetic: SyntheticConfig) -> Path:
        path = folder / f"{name}-{synthetic.num_frames}-{synthetic.size_px}px.arrow"
        if not path.is_file():
            say(f"making {synthetic.num_frames} frames: {path.name}")
            _write(_generated(synthetic), path)
        return path

    source = made(
        "source", SyntheticConfig(domain="source", seed=_SOURCE, num_frames=sizes.num_source, size_px=sizes.size_px)
    )
    held_out = made(
        "calibration",
        SyntheticConfig(domain="source", seed=_SOURCE + 1, num_frames=sizes.num_calibration, size_px=sizes.size_px),
    )
    calibration = held_out.with_name(f"hardened-{held_out.name}")
    if not calibration.is_file():
        _write(harden_frames(open_truth(read_set(held_out)), HardenConfig()), calibration)
    result: dict[tuple[str, int], Sets] = {}
    for domain in config.domains:
        for seed in config.seed_numbers():
            target = SyntheticConfig(
                domain=domain, seed=_TARGET + seed, num_frames=sizes.num_target, size_px=sizes.size_px
            )
            evaluation = target.model_copy(
                update={"seed": _EVALUATION + seed, "num_frames": sizes.num_evaluation, "supervision": "mano"}
            )
            result[domain, seed] = Sets(
                source,
                calibration,
                made(f"{domain}-{seed}-pool", target),
                made(f"{domain}-{seed}-truth", target.model_copy(update={"supervision": "mano"})),
                made(f"{domain}-{seed}-evaluation", evaluation),
            )
    return result


@lru_cache(maxsize=8)
def read_set(path: Path) -> pa.Table:
    """The frames of a file."""
    return feather.read_table(path, memory_map=False)


def read_pool(sets: Sets) -> pa.Table:
    """The unlabelled frames, their truth dropped."""
    return without_truth(read_set(sets.pool))


def _generated(config: SyntheticConfig) -> pa.Table:
    starts = range(0, config.num_frames, _ROWS_PER_TASK)
    jobs = [(config, range(start, min(start + _ROWS_PER_TASK, config.num_frames))) for start in starts]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return pa.concat_tables(pool.map(_render, jobs))


def _render(job: tuple[SyntheticConfig, range]) -> pa.Table:
    torch.set_num_threads(1)
    return generate_frames(*job)


def _write(table: pa.Table, path: Path) -> None:
    unfinished = path.with_suffix(".tmp")
    feather.write_feather(table, unfinished)
    unfinished.rename(path)
