"""Which rows a step trains on, and the random views of them: functions of (seed, step, cell) alone."""

from typing import NamedTuple

import torch
from torch import Tensor

from semihand.methods.semihand.batches import Crops, concatenated
from semihand.methods.semihand.network import Prediction
from semihand.methods.semihand.objective import View, perturbed_view, source_view, target_view
from semihand.steps.train_config import TrainConfig, World

SOURCE, TARGET = 0, 1


class Data(NamedTuple):
    """What there is to train on; no target for a source-only fit."""

    source: Crops
    target: Crops | None


class Moment(NamedTuple):
    """Where a fit stands, and who asks."""

    step: int
    world: World
    device: torch.device


def draw_batch(crops: Crops, batch: int, role: int, at: Moment, config: TrainConfig) -> list[tuple[View, Crops]]:
    """This worker's cells of the batch, each viewed with random numbers of its own."""
    make = source_view if role == SOURCE else target_view
    rows = rows_of_step(crops, batch, role, at.step, config)
    num_cells = batch // config.cell // at.world.size
    views = []
    for cell in range(at.world.rank * num_cells, (at.world.rank + 1) * num_cells):
        generator = _generator(config.seed, at.step, role, cell + 1)
        chosen = crops.at(rows[cell * config.cell : (cell + 1) * config.cell], at.device)
        views.append((make(chosen, config.objective, generator), chosen))
    return views


def perturbed_batch(
    cells: list[tuple[View, Crops]], role: int, at: Moment, config: TrainConfig
) -> list[tuple[View, Crops]]:
    """Perturbed views of cells that were drawn, each with random numbers of its own."""
    first = at.world.rank * len(cells)
    return [
        (perturbed_view(crops, config.objective, _generator(config.seed, at.step, role, -first - cell)), crops)
        for cell, (_, crops) in enumerate(cells, start=1)
    ]


def rows_of_step(crops: Crops, batch: int, role: int, step: int, config: TrainConfig) -> Tensor:
    """Rows of one step, with replacement; selected target frames come more often."""
    generator = _generator(config.seed, step, role, 0)
    rows = torch.randint(crops.num_rows, (batch,), generator=generator)
    if role == SOURCE:
        return rows
    selected = torch.nonzero(crops.joint_weight.sum(1) > 0)[:, 0]
    if len(selected) == 0:
        return rows
    preferred = selected[torch.randint(len(selected), (batch,), generator=generator)]
    return torch.where(torch.rand(batch, generator=generator) < config.selected_share, preferred, rows)


def _generator(seed: int, step: int, role: int, cell: int) -> torch.Generator:
    return torch.Generator().manual_seed((((seed * 1_000_003 + step) * 2 + role) * 4099 + cell) % 2**63)


def joined(cells: list[tuple[View, Crops]]) -> tuple[View, Crops]:
    """The cells as one batch."""
    views, crops = zip(*cells, strict=True)
    uv, depth, mask = (torch.cat(column) for column in zip(*(view.truth[:3] for view in views), strict=True))
    pictures = torch.cat([view.pictures for view in views])
    view = View(pictures, Prediction(uv, depth, mask), torch.cat([view.warp for view in views]))
    return view, concatenated(crops)
