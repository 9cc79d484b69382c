"""Skeletons drawn on pictures: what a label says, and what it said before it was corrected."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, withStroke

from semihand.hand.boxes import Box
from semihand.hand.skeleton import FINGERS, WRIST

# Okabe and Ito's palette, which colour-blind readers tell apart; grey is no finger.
FINGER_COLOURS: dict[str, str] = {
    "thumb": "#E69F00",
    "index": "#0072B2",
    "middle": "#009E73",
    "ring": "#CC79A7",
    "little": "#56B4E9",
}
_BEFORE_COLOUR = "#F2F2F2"
_CELL_INCHES = 2.4


def overlay_grid(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    joints_uv_px: Float[np.ndarray, "num_pictures 21 2"],
    captions: Sequence[str],
    before_uv_px: Float[np.ndarray, "num_pictures 21 2"] | None = None,
    columns: int = 4,
    views_px: Sequence[Box | None] | None = None,
) -> Figure:
    """Pictures in a grid, each with its hand coloured by finger and a caption.

    Args:
        pictures: RGB, of any sizes.
        joints_uv_px: joints in pixels of each picture; joints that are not finite are left out.
        captions: one a picture.
        before_uv_px: joints to compare with, drawn dashed and white.
        columns: pictures in a row.
        views_px: the part of each picture to show; all of it where there is none.

    Raises:
        ValueError: there is no picture, or not one row of joints and one caption for each.
    """
    others = [len(joints_uv_px), len(captions), *([] if before_uv_px is None else [len(before_uv_px)])]
    if not pictures or any(length != len(pictures) for length in others):
        raise ValueError(
            f"overlay of {len(pictures)} pictures with {others} joints, captions and earlier joints; "
            "give at least one picture, and one of each for it"
        )
    figure, cells = picture_grid(pictures, captions, columns, views_px)
    for index, axes in enumerate(cells):
        if before_uv_px is not None:
            _draw_before(axes, before_uv_px[index])
        draw_hand(axes, joints_uv_px[index])
    _add_legend(figure, before_uv_px is not None, num_columns=3 if min(columns, len(pictures)) < 3 else 7)
    return figure


def picture_grid(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    captions: Sequence[str],
    columns: int,
    views_px: Sequence[Box | None] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure with a cell for every picture, or part of it, and its caption, to be drawn upon."""
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(columns * _CELL_INCHES, rows * (_CELL_INCHES + 0.35) + 0.5), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        _show_picture(cells[index], picture, caption, None if views_px is None else views_px[index])
    return figure, list(cells[: len(pictures)])


def draw_hand(axes: Axes, joints_uv_px: Float[np.ndarray, "21 2"]) -> None:
    """Draw a skeleton in the fingers' colours over whatever the axes show."""
    for finger, chain in _chains(joints_uv_px):
        halo = [withStroke(linewidth=3.2, foreground="black", alpha=0.6), Normal()]
        axes.plot(*chain.T, color=FINGER_COLOURS[finger], linewidth=1.8, path_effects=halo, solid_capstyle="round")
        axes.plot(*chain[1:].T, "o", color=FINGER_COLOURS[finger], markersize=3.2, markeredgecolor="black", mew=0.5)
    wrist = joints_uv_px[WRIST]
    axes.plot(*wrist, "s", color="white", markersize=4, markeredgecolor="black", mew=0.8)


def _draw_before(axes: Axes, joints_uv_px: Float[np.ndarray, "21 2"]) -> None:
    for _, chain in _chains(joints_uv_px):
        halo = [withStroke(linewidth=2.2, foreground="black", alpha=0.6), Normal()]
        axes.plot(*chain.T, color=_BEFORE_COLOUR, linewidth=1.1, linestyle=(0, (2.5, 1.5)), path_effects=halo)


def _chains(joints_uv_px: Float[np.ndarray, "21 2"]) -> Iterator[tuple[str, Float[np.ndarray, "5 2"]]]:
    """Every finger from the wrist to its tip."""
    for finger, joints in FINGERS.items():
        yield finger, joints_uv_px[[WRIST, *joints]]


def _show_picture(axes: Axes, picture: UInt8[np.ndarray, "rows columns 3"], caption: str, view_px: Box | None) -> None:
    rows, columns = picture.shape[:2]
    left, top, width, height = (0, 0, columns, rows) if view_px is None else view_px
    axes.imshow(picture, interpolation="nearest" if max(width, height) < 200 else "antialiased")
    axes.set_xlim(left - 0.5, left + width - 0.5)
    axes.set_ylim(top + height - 0.5, top - 0.5)
    axes.set_title(caption, fontsize=8, pad=3, y=1.0)  # at a given place: finding one draws all ticks


def _add_legend(figure: Figure, has_before: bool, num_columns: int) -> None:
    handles = [Line2D([], [], color=colour, linewidth=3, label=name) for name, colour in FINGER_COLOURS.items()]
    handles.append(Line2D([], [], color="white", marker="s", linestyle="", markeredgecolor="black", label="wrist"))
    if has_before:
        halo = [withStroke(linewidth=2.6, foreground="#555555"), Normal()]
        dashes: dict[str, Any] = {"color": _BEFORE_COLOUR, "linestyle": (0, (2.5, 1.5)), "path_effects": halo}
        handles.append(Line2D([], [], linewidth=1.3, label="before", **dashes))
    figure.legend(handles=handles, loc="outside lower center", ncols=num_columns, fontsize=8, frameon=False)
