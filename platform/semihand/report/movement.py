"""Where predictions went: an arrow for every joint from the pre-trained teacher's place to this round's student's."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semihand.hand.boxes import Box
from semihand.hand.skeleton import FINGERS, WRIST
from semihand.report.overlays import FINGER_COLOURS, picture_grid


def movement_grid(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    first_uv_px: Float[np.ndarray, "num_pictures 21 2"],
    last_uv_px: Float[np.ndarray, "num_pictures 21 2"],
    captions: Sequence[str],
    columns: int = 4,
    views_px: Sequence[Box | None] | None = None,
) -> Figure:
    """Pictures in a grid, each with an arrow per joint, coloured by finger.

    Args:
        pictures: RGB, of any sizes.
        first_uv_px: where the arrows begin, in pixels of each picture; joints that are not finite are left out.
        last_uv_px: where they end.
        captions: one a picture.
        columns: pictures in a row.
        views_px: the part of each picture to show; all of it where there is none.

    Raises:
        ValueError: there is no picture, or not one row of joints at both ends and one caption for each.
    """
    others = [len(first_uv_px), len(last_uv_px), len(captions)]
    if not pictures or any(length != len(pictures) for length in others):
        raise ValueError(
            f"arrows on {len(pictures)} pictures with {others} first joints, last joints and captions; give at "
            "least one picture, and one of each for it"
        )
    figure, cells = picture_grid(pictures, captions, columns, views_px)
    for axes, first, last in zip(cells, first_uv_px, last_uv_px, strict=False):
        _draw_arrows(axes, first, last)
    return figure


def _draw_arrows(axes: Axes, first: Float[np.ndarray, "21 2"], last: Float[np.ndarray, "21 2"]) -> None:
    coloured = [("white", [WRIST]), *((FINGER_COLOURS[finger], list(joints)) for finger, joints in FINGERS.items())]
    for colour, joints in coloured:
        known = [joint for joint in joints if np.isfinite([first[joint], last[joint]]).all()]
        start, way = first[known], last[known] - first[known]
        axes.quiver(
            *start.T, *way.T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.012, headwidth=3.5,
            headlength=4, edgecolor="black", linewidth=0.4, minlength=0,
        )  # fmt: skip
