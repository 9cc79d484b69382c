"""Train on a cluster: a fit inside Ray Train, one to many workers; killed ones are replaced, and take it up."""

import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.collective
import ray.train.torch
import torch
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from ray.train.backend import Backend
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError, WorkerGroupStartupTimeoutError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from semihand.frames.errors import first_line
from semihand.steps.checkpoint import Checkpoints
from semihand.steps.fitting import ALONE, Crew, Fit, Fitted, fitted, forget_divergence, progress_file, work
from semihand.steps.train import World
from semihand.workforce import is_alone, watched_cluster

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 10.0
_NOT_STARTED = (WorkerGroupStartupFailedError, WorkerGroupStartupTimeoutError)


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


def fit(job: Fit, cluster: TrainClusterConfig, say: Callable[[str], None] = lambda text: None) -> Fitted:
    """Run a fit to its end, or take up one that was interrupted.

    Without Ray, this process is the one worker.

    Args:
        job: what to train.
        cluster: on how many workers.
        say: told how far it is, every few reports.

    Raises:
        ray.train.TrainingFailedError: it failed more often than `max_failures`.
        FloatingPointError: a loss was not finite; the last checkpoint before that is kept.
        CheckpointError: it was under way, and none of its checkpoints is whole.
        InputError: its workers reported nothing for as long as Ray is waited for.
    """
    job.config.check_workers(cluster.num_workers)
    forget_divergence(job)
    progress_file(job).unlink(missing_ok=True)
    done = fitted(job)
    if done is not None:
        return done
    Checkpoints(job.place).newest()  # here, because Ray would try again what cannot get better
    controllers = _Controllers()
    with (
        watched_cluster(f"training step reports of {job.name}", controllers.end) as progress,
        _telling(job, say, progress),
    ):
        if is_alone():
            work(job, cluster.checkpoint_every, ALONE._replace(device=_own_device()))
        else:
            _work_by_ray(job, cluster, controllers)
    done = fitted(job)
    assert done is not None, f"fit {job.name} ended and left nothing"
    return done


def _own_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Controllers:
    """The actors that watch over a fit's workers, one after the other; the workers end with them."""

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.are_over = False

    def learn_of(self, trainer: ray.train.torch.TorchTrainer) -> None:
        """Ray tells its controller to its handler of Ctrl-C alone, and of that in the main thread, where jobs run."""
        register = trainer._register_sigint_handler

        def registered(controller: Any) -> None:
            self.handles.append(controller)
            if self.are_over:
                self.release()
            register(controller)

        trainer._register_sigint_handler = registered

    def release(self) -> None:
        """None of them is to go on: one that was not reached may still be alive."""
        for handle in self.handles:
            ray.kill(handle)
        self.handles.clear()

    def end(self) -> None:
        """None of them is to go on, nor another to follow."""
        self.are_over = True
        self.release()


def _work_by_ray(job: Fit, cluster: TrainClusterConfig, controllers: _Controllers) -> None:
    """Ray Train replaces workers; where the actor that watches over them dies or reaches none, another takes over.

    Deaths are counted. A group of workers that does not come up is not one: its places may be held by others, or calls
    between the machines may get lost, and it is tried again for as long as progress is waited for.
    """
    attempts = job.place / "attempts"  # Ray's own notes; it refuses a torn one, and what resumes here are ours
    deaths = 0
    while True:
        shutil.rmtree(attempts, ignore_errors=True)
        before = _held_places()
        try:
            trainer = _trainer(job, cluster, attempts)
            controllers.learn_of(trainer)
            trainer.fit()
            break
        except (ray.exceptions.RayActorError, ray.train.ControllerError) as error:
            failure = error.controller_failure if isinstance(error, ray.train.ControllerError) else error
            is_unreached = isinstance(failure, (ray.exceptions.ActorUnavailableError, *_NOT_STARTED))
            is_death = isinstance(failure, ray.exceptions.RayActorError) and not is_unreached
            deaths += is_death
            if fitted(job) is not None:
                break
            if controllers.are_over or deaths > cluster.max_failures or not (is_unreached or is_death):
                raise
            logger.warning("fit %s goes on from its last checkpoint: %s", job.name, first_line(failure))
        finally:
            controllers.release()
            for place in _held_places() - before:
                remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(place))))
    shutil.rmtree(attempts, ignore_errors=True)


def _held_places() -> set[str]:
    """The placement groups of this driver: they end with it, not with the controller that asked for them."""
    driver = ray.get_runtime_context().get_job_id()
    table = ray.util.placement_group_table().items()
    return {place for place, group in table if place.endswith(driver) and group["state"] != "REMOVED"}


class _OneWorker(ray.train.torch.TorchConfig):
    """No process group for one process: every call that a start takes is one that may get lost."""

    @property
    def backend_cls(self) -> Any:
        return Backend


def _trainer(job: Fit, cluster: TrainClusterConfig, attempts: Path) -> ray.train.torch.TorchTrainer:
    cpus = cluster.cpus_per_worker or _cpus_each(cluster.num_workers)
    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={"job": job, "checkpoint_every": cluster.checkpoint_every, "threads": max(1, int(cpus))},
        torch_config=ray.train.torch.TorchConfig() if cluster.num_workers > 1 else _OneWorker(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=cluster.num_workers,
            use_gpu=cluster.gpus_per_worker > 0,
            resources_per_worker={"CPU": cpus} | ({"GPU": cluster.gpus_per_worker} if cluster.gpus_per_worker else {}),
        ),
        run_config=ray.train.RunConfig(
            name=uuid.uuid4().hex,
            storage_path=str(attempts),
            # A group that fails to start keeps its places until the controller ends: one try for each controller.
            failure_config=ray.train.FailureConfig(max_failures=cluster.max_failures, controller_failure_limit=0),
        ),
    )
    if not ray._private.worker.get_dashboard_url():
        _leave_out_the_cleaner(trainer)
    return trainer


def _leave_out_the_cleaner(trainer: ray.train.torch.TorchTrainer) -> None:
    """Ray's cleaner of placement groups asks the dashboard whether the controller lives.

    Where none runs it learns nothing, and the end of a fit waits 12 s for its answer.
    """
    callbacks = trainer._create_default_callbacks()
    kept = [each for each in callbacks if type(each).__name__ != "PlacementGroupCleanerCallback"]
    trainer._create_default_callbacks = lambda: kept


def _cpus_each(num_workers: int) -> int:
    """The most CPUs that every worker can have, none of them spread over two machines."""
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    fitting = [cpus for cpus in range(1, max(machines) + 1) if sum(m // cpus for m in machines) >= num_workers]
    return max(fitting, default=1)


def _work(loop: dict[str, Any]) -> None:
    """What one worker does."""
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size())
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(loop["threads"])  # Ray would leave it one
    crew = Crew(world, device)
    if world.size > 1:
        crew = crew._replace(
            report=lambda row: ray.train.report(dict(row)),
            wrap=torch.nn.parallel.DistributedDataParallel,
            mean=partial(_mean, num_workers=world.size),
            first_says=ray.train.collective.broadcast_from_rank_zero,
        )
    work(loop["job"], loop["checkpoint_every"], crew)


def _mean(values: torch.Tensor, num_workers: int) -> torch.Tensor:
    """Over the workers: each has seen an equal part of a batch."""
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / num_workers


@contextmanager
def _telling(job: Fit, say: Callable[[str], None], progress: Callable[[], None]) -> Iterator[None]:
    """Repeat what the first worker says of its progress: workers do not reach the driver's terminal."""
    path, done = progress_file(job), threading.Event()
    path.parent.mkdir(parents=True, exist_ok=True)

    def watch() -> None:
        said = ""
        while True:
            finished = done.wait(_LOOK_EVERY_S)
            line = path.read_text() if path.is_file() else ""
            if line and line != said:
                progress()
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
        path.unlink(missing_ok=True)
