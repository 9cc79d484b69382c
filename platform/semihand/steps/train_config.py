"""What a fit is told, and which of its workers one is."""

from typing import Literal, NamedTuple

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt

from semihand.methods.semihand.objective import ObjectiveConfig
from semihand.steps.precision import Precision


class TrainConfig(BaseModel, frozen=True, extra="forbid"):
    """One fit."""

    num_steps: PositiveInt = Field(default=600, description="optimiser steps")
    source_batch: PositiveInt = Field(default=64, description="labelled crops of a step, over all workers")
    target_batch: NonNegativeInt = Field(default=64, description="target crops of a step, over all workers; 0: none")
    cell: PositiveInt = Field(
        default=16, description="crops that one worker takes together: batches are multiples of it times the workers"
    )
    learning_rate: PositiveFloat = Field(default=1e-3, description="learning rate of AdamW after the warm-up")
    final_rate: float = Field(
        default=0.02, gt=0, le=1, description="learning rate at the last step, as a share of its height"
    )
    warmup_steps: NonNegativeInt = Field(
        default=50, description="steps over which the learning rate rises to its height"
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="weight decay of AdamW")
    # The teacher remembers about 200 steps, once there were 2,000; before, a tenth of the steps so far.
    ema_decay: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="what the averaged teacher keeps of itself at every step; 0: it is the student",
    )
    ema_schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="constant, or cosine: ema_decay rises to 1 at the last step (BYOL)"
    )
    selected_share: float = Field(
        default=0.75, ge=0, le=1, description="share of the target batch that is selected frames; the rest is any frame"
    )
    precision: Precision = Field(
        default="auto", description="what networks compute in; auto: bf16 where it is fast, else fp32"
    )
    report_every: PositiveInt = Field(default=50, description="steps between reports of the losses")
    seed: int = Field(default=0, description="seed of the frames' order, their views and random weights")
    objective: ObjectiveConfig = Field(
        default=ObjectiveConfig(), description="the losses and the views they are taken on"
    )

    def check_workers(self, num_workers: int) -> None:
        """Refuse a batch that the workers cannot share evenly.

        Raises:
            ValueError: a batch does not split into equal numbers of cells.
        """
        for name in ("source_batch", "target_batch"):
            batch = getattr(self, name)
            if batch % (self.cell * num_workers):
                raise ValueError(
                    f"train.{name} is {batch}, but {num_workers} workers take {self.cell} rows at a time: "
                    f"choose a multiple of {self.cell * num_workers}, or another train.cell."
                )

    def check_radii(self, given: bool) -> None:
        """Refuse cross-modal consistency without a radius network.

        Raises:
            ValueError: it has a weight, and there is no radius network.
        """
        weight = self.objective.losses.cross_modal_weight
        if weight and not given:
            raise ValueError(
                f"train.objective.losses.cross_modal_weight is {weight}, but no radius network was given: "
                "train one on the source (steps.radii.train_radii), or set the weight to 0."
            )


class World(NamedTuple):
    """Which of the workers this is."""

    rank: int = 0
    size: int = 1
