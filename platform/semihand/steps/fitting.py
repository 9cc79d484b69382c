"""A fit from its data to its model: begun, taken up where it was interrupted, never done twice."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semihand.failpoints import reach
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.radii import RadiusNetwork, save_radii
from semihand.methods.semihand.weights import ModelCard, load_model, read_card, save_model
from semihand.steps.batching import SOURCE, TARGET, rows_of_step
from semihand.steps.checkpoint import Checkpoints, Curves
from semihand.steps.radii import RadiiConfig, train_radii
from semihand.steps.train import Data, DivergenceError, Report, TrainConfig, TrainState, World, train
from semihand.steps.training_data import DataSource, crop_ids, load_data
from semihand.tables.records import RecordError, read_record, write_record
from semihand.waiting import watched

logger = logging.getLogger(__name__)

_FITTED, _DIVERGED = "fitted.json", "diverged.json"
_NUM_NAMED = 5


class Fit(NamedTuple):
    """One training job."""

    name: str  # names the fit for good: the same name resumes it, and returns it once it is done
    config: TrainConfig
    start: Path | None  # a model folder; None: random weights
    card: ModelCard
    data: DataSource
    folder: Path  # of the campaign: fits/, models/ and radii/ below it

    @property
    def place(self) -> Path:
        """The fit's own folder: its checkpoints, and what it left."""
        return self.folder / "fits" / self.name


class Fitted(NamedTuple):
    """What a fit left."""

    model: Path  # the EMA teacher's folder
    sha256: str
    curves: Curves


class Crew(NamedTuple):
    """The workers of a fit as one of them sees them; by default it is alone."""

    world: World = World()
    device: torch.device = torch.device("cpu")
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network  # averages gradients over the workers
    mean: Callable[[Tensor], Tensor] = lambda values: values  # averages numbers over the workers
    first_says: Callable[[Any], Any] = lambda said: said  # what the first worker said, to all of them
    report: Callable[[dict[str, float]], None] = lambda row: None


ALONE = Crew()


def work(job: Fit, checkpoint_every: int, crew: Crew = ALONE) -> None:
    """What one worker of a fit does: train from the newest whole checkpoint to the end; the first one writes.

    Args:
        job: what to train.
        checkpoint_every: reports between checkpoints.
        crew: which worker this is, and how it reaches the others.

    Raises:
        CheckpointError: the fit was under way, and none of its checkpoints is whole.
        ValueError: the workers cannot share a batch.
    """
    losses, is_first = job.config.objective.losses, crew.world.rank == 0
    tell = progress_file(job).write_text if is_first else logger.info
    with watched(f"the crops of fit {job.name}", say=tell):  # a line that changes: who waits for reports waits on
        data = load_data(job.data, job.card, with_registered=losses.registration_weight > 0)
        radii = _radii(job, data.source, is_first) if losses.cross_modal_weight else None
    state = TrainState.start(_network(job), job.config, crew.device, radii)
    checkpoints, curves = Checkpoints(job.place), Curves()
    newest = crew.first_says(checkpoints.newest() if is_first else None)
    if newest is not None:
        curves = checkpoints.load(state, newest)
    try:
        for report in train(state, data, job.config, crew.world, crew.wrap, crew.mean):
            curves.append({"step": float(report.step), **report.losses})
            if is_first:
                progress_file(job).write_text(_progress_line(report, job.config))
                if _is_due(state.step, job.config, checkpoint_every):
                    checkpoints.save(state, curves)
            crew.report(curves[-1])
    except DivergenceError as error:
        if is_first:
            _write_diverged(job, data, error)
        return
    if is_first:
        _write_fitted(job, state.teacher, curves)


def fitted(job: Fit) -> Fitted | None:
    """What the fit left, if it is done and its model is what it was; None: there is something to do.

    Raises:
        FloatingPointError: it diverged; says at which step, and on which frames.
    """
    diverged = read_record(str(job.place / _DIVERGED))
    if diverged is not None:
        raise FloatingPointError(f"fit {job.name}: {diverged['reason']}")
    try:
        record = read_record(str(job.place / _FITTED))
        if record is None:
            return None
        model = job.folder / "models" / record["model"]
        _, card = load_model(model)  # refuses weights that are not those of its card
    except (RecordError, OSError, ValueError) as error:
        logger.warning("fit %s is made again from its last checkpoint: %s", job.name, error)
        return None
    return Fitted(model, record["sha256"], record["curves"]) if card.sha256 == record["sha256"] else None


def forget_divergence(job: Fit) -> None:
    """Let a fit that diverged try again, from the last checkpoint before it did."""
    (job.place / _DIVERGED).unlink(missing_ok=True)


def progress_file(job: Fit) -> Path:
    """Where the first worker says how far it is, in a line."""
    return job.folder / "fits" / f"{job.name}.progress"


def _is_due(step: int, config: TrainConfig, checkpoint_every: int) -> bool:
    return step == config.num_steps or step // config.report_every % checkpoint_every == 0


def _progress_line(report: Report, config: TrainConfig) -> str:
    losses = ", ".join(f"{name} {value:.2f}" for name, value in report.losses.items())
    return f"  step {report.step} of {config.num_steps}: {losses}"


def _network(job: Fit) -> HandNetwork:
    if job.start is not None:
        return load_model(job.start)[0]
    torch.manual_seed(job.config.seed)
    return HandNetwork(job.card.network)


def _radii(job: Fit, source: Crops, is_first: bool) -> RadiusNetwork:
    """The source's radius network: every worker trains the same, in seconds, and the first one keeps it."""
    radii = train_radii(source, RadiiConfig(seed=job.config.seed))
    if is_first:
        save_radii(radii, job.folder / "radii")
    return radii


def _write_fitted(job: Fit, network: HandNetwork, curves: Curves) -> None:
    model = save_model(network, job.card, job.folder / "models")
    reach("fit.modelled")
    values = {"model": model.name, "sha256": read_card(model).sha256, "curves": curves}
    write_record(str(job.place / _FITTED), values)


def _write_diverged(job: Fit, data: Data, error: DivergenceError) -> None:
    """Name the frames of the batch: one of them, or the learning rate, is the reason."""
    config, frames = job.config, crop_ids(job.data, job.card)
    batch: dict[str, list[str]] = {}
    parts = (("source", SOURCE, config.source_batch), ("target", TARGET, config.target_batch))
    for name, role, num in parts:
        crops, ids = getattr(data, name), getattr(frames, name)
        if crops is not None and num:
            rows = rows_of_step(crops, num, role, error.step - 1, config).tolist()
            batch[name] = sorted({ids[row] for row in rows})
    first = "; ".join(f"{name} frames {', '.join(ids[:_NUM_NAMED])}" for name, ids in batch.items())
    place = str(job.place / _DIVERGED)
    reason = f"{error}. It begins with {first}; all of them are named in {place}"
    write_record(place, {"step": error.step, "reason": reason, "batch": batch})
