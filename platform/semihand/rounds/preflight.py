"""A look before the leap: what a campaign asks of machines and disk, and whether it is there.

Ray waits for ever for what no machine has, and a disk that fills is found out hours later.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import torch

from semihand.frames.errors import InputError
from semihand.methods.semihand.network import HandNetwork
from semihand.rounds.campaign import Campaign
from semihand.rounds.config import ClusterConfig, RoundConfig
from semihand.tables import scan
from semihand.workforce import WRITER_CPUS

_LABEL_BYTES = 4096  # a LABELS and a SELECTIONS row on disk, the mask among it: 3.1 kB were measured
_PIXEL_BYTES = 3  # of a frame made by code: 3.2 at 64 px, 2.6 at 128 px, truth and mask among it
# The student, its copy in MLflow, and two checkpoints of network, teacher and both moments of the optimiser.
_MODELS_PER_ROUND = 10
_ROUND_BYTES = 20 * 1024**2  # figures and the page, twice, and the code that MLflow keeps with a model
_ROOM_BYTES = 16 * 1024**2  # for the database and what is half-written
Machine = Mapping[str, float]


def preflight(config: ClusterConfig, machines: Sequence[Machine]) -> None:
    """Refuse a run that would stall.

    Beside the label actors a quarter of a CPU on one machine is enough: those who write the labels are the only tasks
    that run while actors hold CPUs, and take no more each. Training workers may hold every CPU, for Ray Train's
    controller takes none. Listing, rendering and trials of limits take whole CPUs, when no actor holds any. The driver
    is no task of Ray's. `tests/integration/test_workforce.py` fills a cluster so, and finds that a quarter less stalls.

    Args:
        config: what the run takes.
        machines: what Ray counts on each of them.

    Raises:
        InputError: says what was asked, what there is, and what to change.
    """
    _check_actors(config, machines)
    _check_workers(config, machines)
    _check_store(config, machines)


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


def _check_store(config: ClusterConfig, machines: Sequence[Machine]) -> None:
    """Labels of a block must have room in Ray's store twice, on their way out of an actor and into a file."""
    rows, room = config.label.rows_per_shard, min(machine.get("object_store_memory", math.inf) for machine in machines)
    if 2 * rows * _LABEL_BYTES > room:
        raise InputError(
            f"blocks of {rows} labels take {_mb(2 * rows * _LABEL_BYTES)} MB on their way, and Ray's object store has "
            f"{_mb(int(room))} MB. Lower --cluster.label.rows_per_shard, or raise --cluster.object_store_mb, or "
            "--object-store-memory of `ray start`."
        )


def check_disk_to_begin(campaign: Campaign) -> None:
    """Refuse a campaign that would fill the disk before its first step, by what is known of it then.

    Frames that a user names count from the first round on, when they are listed.

    Raises:
        InputError: says how many bytes it takes at least, and how many there are.
    """
    if campaign.ledger.finished(0, "train") is not None:
        return
    config, made = campaign.config, _num_made(campaign.config)
    labelled = config.data.num_target if config.frames is None else 0
    each = labelled * _LABEL_BYTES + _MODELS_PER_ROUND * _model_bytes(config) + _ROUND_BYTES
    wanted = made * _PIXEL_BYTES * config.data.size_px**2 + (1 + config.rounds) * each + _ROOM_BYTES
    free = shutil.disk_usage(campaign.folder).free
    if wanted > free:
        raise InputError(
            f"a campaign of {config.rounds} rounds takes at least {_mb(wanted)} MB in {campaign.folder}, and "
            f"{_mb(free)} MB are free on its disk. Make room, lower --rounds or --data.num_source, or name a folder on "
            "another disk with --campaign."
        )


def _num_made(config: RoundConfig) -> int:
    """Frames that the campaign makes by code."""
    data = config.data
    pool = 0 if config.frames is not None else data.num_target + (data.num_evaluation if not config.evaluation else 0)
    return pool + (data.num_source if config.source_domain is not None else 0)


def _model_bytes(config: RoundConfig) -> int:
    folder = Path(config.network.backbone) if config.teacher is None else config.teacher
    if folder.is_dir():  # of a backbone its weights alone, the most of a model
        return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    with torch.device("meta"):  # shapes without memory
        weights = HandNetwork(config.network).state_dict().values()
    return sum(each.numel() * each.element_size() for each in weights)


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
