"""How far labels moved between two rounds or models: all of them, by subject and by cluster of poses."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from semihand.report.curves import SERIES_COLOURS, new_axes, series_style, style_axes, with_legend

_MOST_GROUPS = 30  # lines in a figure


class Group(NamedTuple):
    """The labels of a subject or cluster."""

    name: str
    num_labels: int
    median_mm: float
    p90_mm: float


def moved_curve(moved_mm: Mapping[str, Float[np.ndarray, "_"]]) -> Figure:
    """The share of labels that moved by less than each distance; the legend names the median.

    Args:
        moved_mm: name to distances; names without any are left out.
    """
    figure, axes = new_axes("moved by less than (mm)", "share of labels", "How far labels moved")
    known = {name: np.sort(values) for name, values in moved_mm.items() if len(values)}
    for index, (name, values) in enumerate(known.items()):
        share = np.arange(1, len(values) + 1) / len(values)
        label = f"{name}: {len(values):,} labels, median {np.median(values):.1f} mm"
        axes.step(values, share, where="post", label=label, **series_style(index))
    top = max((float(np.quantile(values, 0.99)) for values in known.values()), default=1.0)
    axes.set(xlim=(0, max(top, 1e-3)), ylim=(0, 1.02))
    return with_legend(figure, axes, "lower right")


def groups_figure(groups: Sequence[Group], title: str) -> Figure:
    """A line for each group: its median and nine tenths of its labels, the most moved on top.

    Args:
        groups: in the order in which they are shown; the first thirty are.
        title: of the figure.
    """
    shown = list(groups[:_MOST_GROUPS])[::-1]
    figure = Figure(figsize=(6.4, 1.3 + 0.24 * max(len(shown), 4)), layout="constrained", facecolor="white")
    axes = figure.subplots()
    left_out = f" (the {len(shown)} most moved of {len(groups)})" if len(groups) > len(shown) else ""
    style_axes(axes, "moved (mm)", "", title + left_out)
    places = np.arange(len(shown))
    axes.hlines(places, 0, [group.p90_mm for group in shown], color=SERIES_COLOURS[0], alpha=0.35, linewidth=5,
                label="nine tenths of its labels")  # fmt: skip
    axes.plot([group.median_mm for group in shown], places, "o", color=SERIES_COLOURS[1], label="median")
    axes.set_yticks(places, [f"{group.name} ({group.num_labels:,})" for group in shown], fontsize=8)
    axes.set(xlim=(0, None), ylim=(-0.7, max(len(shown), 1) - 0.3))
    return with_legend(figure, axes, "below")
