"""What a fit is told, and which of its workers one is."""

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt

from semihand.methods.semihand.objective import ObjectiveConfig
from semihand.steps.precision import Precision


class TrainConfig(BaseModel, frozen=True, extra="forbid"):
    """One fit."""

    num_steps: PositiveInt = 600
    source_batch: PositiveInt = 64
    target_batch: NonNegativeInt = 64  # over all workers, as source_batch
    cell: PositiveInt = 16  # rows that one worker takes together
    learning_rate: PositiveFloat = 1e-3
    final_rate: Annotated[float, Field(gt=0, le=1)] = 0.02  # share of the learning rate at the last step
    warmup_steps: NonNegativeInt = 50
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    # 0.995: the teacher remembers about 200 steps, once there were 2,000; before, a tenth of the steps so far. 0: none.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    ema_schedule: Literal["constant", "cosine"] = "constant"  # cosine: from ema_decay up to 1 at the last step (BYOL)
    selected_share: Annotated[float, Field(ge=0, le=1)] = 0.75  # of the target batch; the rest is any frame
    precision: Precision = "auto"
    report_every: PositiveInt = 50
    seed: int = 0
    objective: ObjectiveConfig = ObjectiveConfig()

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
