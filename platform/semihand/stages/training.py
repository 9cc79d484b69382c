"""Train on a cluster: the steps' `train` inside Ray Train, one to many workers, checkpointed and resumed."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray
import ray.train
import ray.train.torch
import torch
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.radii import RadiusNetwork, save_radii
from semihand.methods.semihand.weights import ModelCard, load_model, save_model
from semihand.steps.checkpoint import load_checkpoint, save_checkpoint
from semihand.steps.radii import RadiiConfig, train_radii
from semihand.steps.train import Report, TrainConfig, TrainState, World, train
from semihand.steps.training_data import DataSource, load_data

_CURVES = "curves.json"
_LOOK_EVERY_S = 10.0


class TrainClusterConfig(BaseModel, frozen=True, extra="forbid"):
    """How the training is spread."""

    num_workers: PositiveInt = Field(default=1, description="processes that share every batch")
    cpus_per_worker: PositiveFloat | None = Field(
        default=None, le=256, description="CPUs of each; None: as many as fit"
    )
    gpus_per_worker: NonNegativeFloat = Field(default=0.0, description="GPUs of each; 0: CPUs alone")
    max_failures: NonNegativeInt = Field(
        default=2, description="restarts from the last checkpoint before a fit gives up"
    )
    checkpoint_every: PositiveInt = Field(default=4, description="reports (report_every) between checkpoints")


class Fit(NamedTuple):
    """One training job."""

    name: str  # names the fit for good: the same name resumes it, and returns it once it is done
    config: TrainConfig
    start: Path | None  # a model folder; None: random weights
    card: ModelCard
    data: DataSource
    folder: Path  # of the campaign: fits/, models/ and radii/ below it


class Fitted(NamedTuple):
    """What a fit left."""

    model: Path  # the EMA teacher's folder
    sha256: str
    curves: list[dict[str, float]]  # a row per report: step and losses


def fit(job: Fit, cluster: TrainClusterConfig, say: Callable[[str], None] = lambda text: None) -> Fitted:
    """Run a fit to its end, or take up one that was interrupted.

    Args:
        job: what to train.
        cluster: on how many workers.
        say: told how far it is, every few reports.

    Raises:
        ray.train.TrainingFailedError: it failed more often than `max_failures`.
    """
    job.config.check_workers(cluster.num_workers)
    cpus = cluster.cpus_per_worker or _cpus_each(cluster.num_workers)
    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={"job": job, "checkpoint_every": cluster.checkpoint_every, "threads": max(1, int(cpus))},
        scaling_config=ray.train.ScalingConfig(
            num_workers=cluster.num_workers,
            use_gpu=cluster.gpus_per_worker > 0,
            resources_per_worker={"CPU": cpus} | ({"GPU": cluster.gpus_per_worker} if cluster.gpus_per_worker else {}),
        ),
        run_config=ray.train.RunConfig(
            name=job.name,
            storage_path=str(job.folder / "fits"),
            failure_config=ray.train.FailureConfig(max_failures=cluster.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    with _watching(job, say):
        metrics = trainer.fit().metrics
    assert metrics is not None
    return Fitted(Path(metrics["model"]), metrics["sha256"], metrics["curves"])


def _cpus_each(num_workers: int) -> int:
    """The most CPUs that every worker can have, none of them spread over two machines."""
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    fitting = [cpus for cpus in range(1, max(machines) + 1) if sum(m // cpus for m in machines) >= num_workers]
    return max(fitting, default=1)


def _work(loop: dict[str, Any]) -> None:
    """What one worker does."""
    job: Fit = loop["job"]
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size())
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(loop["threads"])  # Ray would leave it one
    losses = job.config.objective.losses
    data = load_data(job.data, job.card, with_registered=losses.registration_weight > 0)
    radii = _radii(job, data.source, world) if losses.cross_modal_weight else None
    state = TrainState.start(_network(job), job.config, device, radii)
    curves: list[dict[str, float]] = []
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            load_checkpoint(state, Path(folder))
            curves = json.loads((Path(folder) / _CURVES).read_text())
    reports = train(state, data, job.config, world, _wrapped)
    for num_reports, report in enumerate(reports, start=1):
        curves.append(_curve_row(report, world, device))
        last = state.step == job.config.num_steps
        if world.rank == 0:
            _progress_file(job).write_text(_progress_line(report, job.config))
        _report(job, state, curves, last or num_reports % loop["checkpoint_every"] == 0, world.rank == 0)


def _report(job: Fit, state: TrainState, curves: list[dict[str, float]], with_checkpoint: bool, is_first: bool) -> None:
    """A barrier over the workers; the first one saves."""
    metrics: dict[str, Any] = {"step": state.step, "curves": curves}
    if state.step == job.config.num_steps and is_first:
        model = save_model(state.teacher, job.card, job.folder / "models")
        metrics |= {"model": str(model), "sha256": load_model(model)[1].sha256}
    if not with_checkpoint:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if is_first:
            save_checkpoint(state, Path(folder))
            (Path(folder) / _CURVES).write_text(json.dumps(curves))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint)


def _progress_file(job: Fit) -> Path:
    return job.folder / "fits" / f"{job.name}.progress"


def _progress_line(report: Report, config: TrainConfig) -> str:
    losses = ", ".join(f"{name} {value:.2f}" for name, value in report.losses.items())
    return f"  step {report.step} of {config.num_steps}: {losses}"


@contextmanager
def _watching(job: Fit, say: Callable[[str], None]) -> Iterator[None]:
    """Repeat what the first worker says of its progress: workers do not reach the driver's terminal."""
    path, done = _progress_file(job), threading.Event()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)

    def watch() -> None:
        said = ""
        while True:
            finished = done.wait(_LOOK_EVERY_S)
            line = path.read_text() if path.is_file() else ""
            if line and line != said:
                say(line)
                said = line
            if finished:
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _network(job: Fit) -> HandNetwork:
    if job.start is not None:
        return load_model(job.start)[0]
    torch.manual_seed(job.config.seed)
    return HandNetwork(job.card.network)


def _radii(job: Fit, source: Crops, world: World) -> RadiusNetwork:
    """The source's radius network: every worker trains the same, in seconds, and the first one keeps it."""
    radii = train_radii(source, RadiiConfig(seed=job.config.seed))
    if world.rank == 0:
        save_radii(radii, job.folder / "radii")
    return radii


def _wrapped(network: torch.nn.Module) -> torch.nn.Module:
    """Average the gradients over the workers; alone, leave the network as it is."""
    if ray.train.get_context().get_world_size() == 1:
        return network
    return torch.nn.parallel.DistributedDataParallel(network)


def _curve_row(report: Report, world: World, device: torch.device) -> dict[str, float]:
    """The losses of the whole batch: each worker has seen an equal part of it."""
    values = torch.tensor(list(report.losses.values()), device=device)
    if world.size > 1:
        torch.distributed.all_reduce(values)
    means = (values / world.size).tolist()
    return {"step": float(report.step), **dict(zip(report.losses, means, strict=True))}
