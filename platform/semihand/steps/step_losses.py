"""The losses of one optimiser step: batches are drawn, looked at, and eq. 1 is summed."""

import contextlib
from typing import NamedTuple

import torch
from torch import Tensor, nn

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
    with _precision(config.precision, at.device):
        predicted = models.student(_pictures([view for view, _ in source + target]))
    num = sum(crops.num_rows for _, crops in source)
    losses = {"supervised": source_loss(predicted.rows(slice(num)), *joined(source), losses_config)}
    if target:
        view, crops = joined(target)
        of_target = predicted.rows(slice(num, None))
        losses["labels"] = labels_loss(of_target, view, crops, losses_config)
        if losses_config.registration_weight:
            losses["registration"] = registration_loss(of_target, view, crops, losses_config)
        losses["consistency"] = _consistency(models, of_target, source, target, config, at)
    if losses_config.cross_modal_weight:
        assert models.radii is not None
        losses["cross_modal"] = mask_loss(predicted, models.radii)
    return losses | {"total": weighted_sum(losses, losses_config)}


def _consistency(
    models: Models, of_target: Prediction, source: Cells, target: Cells, config: TrainConfig, at: Moment
) -> Tensor:
    """L_vc on the views that the labels are learnt on, or on perturbed views of all crops."""
    if config.objective.consistency_view == "diverse":
        view, crops = joined(target)
        return consistency_loss(of_target, view, _on_crops(models, crops, config, at), config.objective.losses)
    cells = perturbed_batch(source, SOURCE, at, config) + perturbed_batch(target, TARGET, at, config)
    with _precision(config.precision, at.device):
        predicted = models.student(_pictures([view for view, _ in cells]))
    view, crops = joined(cells)
    return consistency_loss(predicted, view, _on_crops(models, crops, config, at), config.objective.losses)


def _on_crops(models: Models, crops: Crops, config: TrainConfig, at: Moment) -> Prediction:
    """The prediction for the crops themselves: the teacher's, or the student's own as printed."""
    pictures = (crops.pictures.float() / 255.0).contiguous(memory_format=torch.channels_last)
    with _precision(config.precision, at.device):
        if config.objective.consistency == "student":
            return models.student(pictures)  # type: ignore[no-any-return]
        with torch.no_grad():
            return models.teacher(pictures)  # type: ignore[no-any-return]


def _pictures(views: list[View]) -> Tensor:
    return torch.cat([view.pictures for view in views]).contiguous(memory_format=torch.channels_last)


def _precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    if precision == "auto":
        fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
        precision = "bf16" if fast else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
