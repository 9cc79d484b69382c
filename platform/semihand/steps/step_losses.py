"""The losses of one optimiser step: batches are drawn, looked at, and eq. 1 is summed."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from semihand.methods.semihand.augmentation import as_float
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.network import HandNetwork, Prediction
from semihand.methods.semihand.objective import (
    View,
    consistency_loss,
    labels_loss,
    mask_loss,
    registration_loss,
    source_loss,
    weighted_sum,
)
from semihand.methods.semihand.radii import RadiusNetwork
from semihand.steps.batching import SOURCE, TARGET, Data, Moment, draw_batch, joined, perturbed_batch
from semihand.steps.precision import in_precision
from semihand.steps.train_config import TrainConfig

Cells = list[tuple[View, Crops]]


class Models(NamedTuple):
    """Who predicts in a step."""

    student: nn.Module  # what learns, wrapped for several workers
    teacher: HandNetwork
    radii: RadiusNetwork | None


def step_losses(models: Models, data: Data, config: TrainConfig, at: Moment) -> dict[str, Tensor]:
    """The losses of a step by name, and their weighted sum as `total`."""
    losses_config = config.objective.losses
    source = draw_batch(data.source, config.source_batch, SOURCE, at, config)
    target: Cells = []
    if data.target is not None and config.target_batch:
        target = draw_batch(data.target, config.target_batch, TARGET, at, config)
    consistent = _consistent_cells(source, target, config, at)
    perturbed = consistent if config.objective.consistency_view == "perturbed" else []
    own = consistent if config.objective.consistency == "student" else []
    # One pass for all that the student looks at: several workers copy BatchNorm's buffers before every pass,
    # and a second one would overwrite what the gradient of the first still needs.
    views = [view.pictures for view, _ in source + target + perturbed]
    with in_precision(config.precision, at.device):
        predicted = models.student(_batch(views + [as_float(crops.pictures) for _, crops in own]))
    num_source, num_target, num_perturbed = (_num_rows(cells) for cells in (source, target, perturbed))
    num_views = num_source + num_target
    losses = {"supervised": source_loss(predicted.rows(slice(num_source)), *joined(source), losses_config)}
    if target:
        view, crops = joined(target)
        of_target = predicted.rows(slice(num_source, num_views))
        losses["labels"] = labels_loss(of_target, view, crops, losses_config)
        if losses_config.registration_weight:
            losses["registration"] = registration_loss(of_target, view, crops, losses_config)
    if consistent:
        view, crops = joined(consistent)
        of_view = predicted.rows(slice(num_views, num_views + num_perturbed)) if perturbed else of_target
        of_crop = predicted.rows(slice(num_views + num_perturbed, None)) if own else _taught(models, crops, config)
        loss = consistency_loss(of_view, view, of_crop, losses_config)
        losses["consistency"] = config.objective.consistency_every * loss
    if losses_config.cross_modal_weight:
        assert models.radii is not None
        losses["cross_modal"] = mask_loss(predicted.rows(slice(num_views)), models.radii)
    return losses | {"total": weighted_sum(losses, losses_config)}


def _consistent_cells(source: Cells, target: Cells, config: TrainConfig, at: Moment) -> Cells:
    """What L_vc is taken on: the views that the labels are learnt on, or perturbed views of all crops."""
    skipped = at.step % config.objective.consistency_every != 0
    if not target or not config.objective.losses.consistency_weight or skipped:
        return []
    if config.objective.consistency_view == "diverse":
        return target
    return perturbed_batch(source, SOURCE, at, config) + perturbed_batch(target, TARGET, at, config)


@torch.no_grad()
def _taught(models: Models, crops: Crops, config: TrainConfig) -> Prediction:
    """The teacher's prediction for the crops themselves."""
    pictures = _batch([as_float(crops.pictures)])
    with in_precision(config.precision, pictures.device):
        return models.teacher(pictures)  # type: ignore[no-any-return]


def _num_rows(cells: Cells) -> int:
    return sum(crops.num_rows for _, crops in cells)


def _batch(pictures: list[Tensor]) -> Tensor:
    return torch.cat(pictures).contiguous(memory_format=torch.channels_last)
