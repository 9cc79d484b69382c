"""A look before the leap: what a campaign asks of machines and disk, and whether it is there.

Ray waits for ever for what no machine has, and a disk that fills is found out hours later.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from semihand.frames.errors import InputError
from semihand.rounds.config import ClusterConfig
from semihand.tables import scan
from semihand.workforce import WRITER_CPUS

_LABEL_BYTES = 4096  # a LABELS and a SELECTIONS row on disk, the mask among it: 3.1 kB were measured
# The student, its copy in MLflow, and two checkpoints of network, teacher and both moments of the optimiser.
_MODELS_PER_ROUND = 10
_ROUND_BYTES = 20 * 1024**2  # figures and the page, twice, and the code that MLflow keeps with a model
_ROOM_BYTES = 16 * 1024**2  # for the database and what is half-written
Machine = Mapping[str, float]


def preflight(config: ClusterConfig, machines: Sequence[Machine]) -> None:
    """Refuse a run that would stall.

    Args:
        config: what the run takes.
        machines: what Ray counts on each of them.

    Raises:
        InputError: says what was asked, what there is, and what to change.
    """
    _check_actors(config, machines)
    _check_workers(config, machines)


def _check_actors(config: ClusterConfig, machines: Sequence[Machine]) -> None:
    label = config.label
    num, each, cpus = label.num_actors, label.cpus_per_actor, _total(machines, "CPU")
    if num * each + WRITER_CPUS > cpus:
        raise InputError(
            f"{num} label actors of {each:g} CPUs need {num * each:g} and the writers {WRITER_CPUS:g} more, but the "
            f"cluster has {cpus:g}: the run would stall. "
            "Lower --cluster.label.num_actors or --cluster.label.cpus_per_actor."
        )
    _check_gpus(num * label.gpus_per_actor, machines)
    places = [_places(machine, each, label.gpus_per_actor) for machine in machines]
    if sum(places) < num:
        raise InputError(
            f"{num} label actors of {each:g} CPUs and {label.gpus_per_actor:g} GPUs are asked for, but only "
            f"{sum(places)} of them fit on the {len(machines)} machines ({_in_words(machines)}), as none may be spread "
            "over two. Lower --cluster.label.num_actors, --cluster.label.cpus_per_actor or "
            "--cluster.label.gpus_per_actor."
        )
    # The writers need a place on one machine, too, when the actors lie as tightly as they can.
    left = [machine.get("CPU", 0.0) - each * taken for machine, taken in zip(machines, places, strict=True)]
    if sum(places) == num and max(left) < WRITER_CPUS:
        raise InputError(
            f"{num} label actors of {each:g} CPUs leave less than {WRITER_CPUS:g} CPUs on every machine "
            f"({_in_words(machines)}) to those who write the labels: the run would stall. "
            "Lower --cluster.label.num_actors or --cluster.label.cpus_per_actor."
        )


def _check_workers(config: ClusterConfig, machines: Sequence[Machine]) -> None:
    train, cpus = config.train, _total(machines, "CPU")
    num, each = train.num_workers, train.cpus_per_worker or 1.0
    if num * each > cpus:
        raise InputError(
            f"{num} training workers of {each:g} CPUs need {num * each:g}, but the "
            f"cluster has {cpus:g}. Lower --cluster.train.num_workers or --cluster.train.cpus_per_worker."
        )
    _check_gpus(num * train.gpus_per_worker, machines)
    places = sum(_places(machine, each, train.gpus_per_worker) for machine in machines)
    if places < num:
        raise InputError(
            f"{num} training workers of {each:g} CPUs and {train.gpus_per_worker:g} GPUs are asked for, but only "
            f"{places} of them fit on the {len(machines)} machines ({_in_words(machines)}), as none may be spread over "
            "two. Lower --cluster.train.num_workers, --cluster.train.cpus_per_worker or "
            "--cluster.train.gpus_per_worker."
        )


def _check_gpus(asked: float, machines: Sequence[Machine]) -> None:
    gpus = _total(machines, "GPU")
    if asked > gpus:
        raise InputError(
            f"{asked:g} GPUs are asked for, but the cluster has {gpus:g}. "
            "Lower --cluster.label.gpus_per_actor and --cluster.train.gpus_per_worker."
        )


def check_disk(folder: Path, teacher: Path, rounds: int) -> None:
    """Refuse rounds that would fill the disk.

    Args:
        folder: the campaign's, its frames listed.
        teacher: the model folder that the first of the rounds labels by.
        rounds: how many are to come.

    Raises:
        InputError: says how many bytes they take, and how many there are.
    """
    num_frames = scan(folder, "frames").select(pl.len()).collect().item()
    model_bytes = sum(path.stat().st_size for path in teacher.iterdir())
    each = num_frames * _LABEL_BYTES + _MODELS_PER_ROUND * model_bytes + _ROUND_BYTES
    wanted = rounds * each + _ROOM_BYTES
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise InputError(
            f"{rounds} rounds of {num_frames} frames take about {_mb(wanted)} MB in {folder}, and {_mb(free)} MB are "
            "free on its disk. Make room, lower --rounds, or name a folder on another disk with --campaign."
        )


def _places(machine: Machine, cpus: float, gpus: float) -> int:
    """How many processes that take so much fit on a machine; several share a GPU, none has parts of two."""
    by_cpus = math.floor(machine.get("CPU", 0.0) / cpus + 1e-9)
    if not gpus:
        return by_cpus
    whole = machine.get("GPU", 0.0)
    by_gpus = math.floor(whole / gpus + 1e-9) if gpus >= 1 else math.floor(whole) * math.floor(1 / gpus + 1e-9)
    return min(by_cpus, by_gpus)


def _total(machines: Sequence[Machine], name: str) -> float:
    return sum(machine.get(name, 0.0) for machine in machines)


def _in_words(machines: Sequence[Machine]) -> str:
    each = [f"{machine.get('CPU', 0.0):g} CPUs, {machine.get('GPU', 0.0):g} GPUs" for machine in machines[:4]]
    return "; ".join([*each, *(["…"] if len(machines) > 4 else [])])


def _mb(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.0f}"
