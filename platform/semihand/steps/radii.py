"""Train the radius network on the source's true joints and masks, once, before anything uses it."""

from typing import Annotated

import torch
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt
from torch import Tensor

from semihand.methods.semihand.augmentation import WarpConfig, as_float, random_warp, warp_pictures, warp_points
from semihand.methods.semihand.batches import Crops
from semihand.methods.semihand.cross_modal import cross_modal_loss
from semihand.methods.semihand.radii import RadiusNetwork

LEAST_CROPS = 2  # to fit to
_MASK_PX = 32  # side of the masks it is trained on; its radii fit any


class RadiiConfig(BaseModel, frozen=True, extra="forbid"):
    """One fit of the radius network; ten seconds on one core, whatever the number of crops."""

    num_steps: PositiveInt = 400
    batch: Annotated[int, Field(ge=2)] = 32  # batch normalisation needs two
    learning_rate: PositiveFloat = 5e-3
    warp: WarpConfig = WarpConfig(rotation_deg=180.0)  # as the students' views, and every way up
    seed: int = 0


def train_radii(source: Crops, config: RadiiConfig = RadiiConfig()) -> RadiusNetwork:  # noqa: B008  frozen
    """The frozen radius network of a source; a function of its rows and the seed.

    Trained with L_m2d + L_d2m against the true masks, as in SemiHand (ICCV 2021, section 3.3); no picture is
    looked at.

    Raises:
        ValueError: fewer than two crops have a mask and all joints.
    """
    whole = torch.nonzero((source.has_mask > 0) & (source.joint_weight > 0).all(1))[:, 0]
    if len(whole) < LEAST_CROPS:
        raise ValueError(
            f"{len(whole)} of {source.num_rows} source crops have a mask and all 21 joints, radii need at least "
            f"{LEAST_CROPS}: give source frames mask_png, or set losses.cross_modal_weight to 0."
        )
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = RadiusNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.num_steps)
    for _ in range(config.num_steps):
        rows = whole[torch.randint(len(whole), (config.batch,), generator=generator)]
        loss = cross_modal_loss(*_view(source, rows, config, generator), network)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    return network.frozen()


def _view(source: Crops, rows: Tensor, config: RadiiConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """True joints and masks under random warps."""
    warp = random_warp(len(rows), config.warp, generator)
    masks = torch.nn.functional.adaptive_avg_pool2d(as_float(source.masks[rows]), 2 * _MASK_PX)
    masks = warp_pictures(masks, warp, padding="zeros")
    return warp_points(source.uv[rows], warp), torch.nn.functional.avg_pool2d(masks, 2)[:, 0]
