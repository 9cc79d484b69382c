"""What correction does to bones, what the search tried, and how a campaign goes on from round to round."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from semihand.hand.skeleton import FINGERS, JOINT_NAMES
from semihand.report.curves import SERIES_COLOURS, new_axes, series_style, style_axes, with_legend


def bone_lengths_figure(
    before_mm: Float[np.ndarray, "n 20"],
    after_mm: Float[np.ndarray, "n 20"],
    template_mm: Float[np.ndarray, "20"],
) -> Figure:
    """The lengths of every bone before and after correction: medians and the middle 90 %, and the template's.

    Args:
        before_mm: bone lengths of the raw labels.
        after_mm: of the corrected ones.
        template_mm: the lengths they were corrected to.
    """
    figure = Figure(figsize=(9, 4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    style_axes(axes, "", "bone length (mm)", f"Bone lengths of {len(before_mm):,} labels")
    places = np.arange(20)
    spreads = {"before": (before_mm, -0.17, "o"), "after": (after_mm, 0.17, "s")}
    for index, (name, (lengths_mm, shift, marker)) in enumerate(spreads.items()):
        low, median, high = np.nanpercentile(lengths_mm, (5, 50, 95), axis=0)
        colour = SERIES_COLOURS[1 - index]
        axes.vlines(places + shift, low, high, color=colour, linewidth=3, alpha=0.45)
        axes.plot(places + shift, median, marker, color=colour, markersize=5, label=f"{name}: median, middle 90 %")
    axes.hlines(template_mm, places - 0.4, places + 0.4, color="black", linewidth=1.5, label="template")
    axes.set_xticks(places, [name.split("_")[1] for name in JOINT_NAMES[1:]], rotation=45, fontsize=8)
    axes.set(ylim=(0, None), xlim=(-0.7, 19.7))
    _name_fingers(axes)
    return with_legend(figure, axes, "below")


def threshold_search_figure(
    label_error_mm: Float[np.ndarray, " n"],
    num_labels: Sequence[int],
    max_error_mm: float,
    chosen: int | None = None,
) -> Figure:
    """Every trial of the threshold search: labels it keeps against their error; left of the line is allowed.

    Args:
        label_error_mm: mean error of the labels a trial keeps.
        num_labels: how many it keeps.
        max_error_mm: the error the labels may have.
        chosen: which trial was taken.
    """
    figure, axes = new_axes("mean error of the labels kept (mm)", "labels kept", "Threshold search")
    count = np.asarray(num_labels, dtype=float)
    allowed = label_error_mm <= max_error_mm
    for index, (name, rows, marker) in enumerate((("allowed", allowed, "o"), ("too wrong", ~allowed, "x"))):
        axes.plot(
            label_error_mm[rows],
            count[rows],
            marker,
            color=SERIES_COLOURS[index],
            alpha=0.75,
            label=f"{name} ({int(rows.sum())} trials)",
        )
    axes.axvline(max_error_mm, color="#777777", linestyle=":", label=f"limit {max_error_mm:g} mm")
    if chosen is not None:
        ring: dict[str, Any] = {
            "markersize": 14,
            "markerfacecolor": "none",
            "markeredgecolor": "black",
            "markeredgewidth": 1.8,
        }
        name = f"chosen: {count[chosen]:,.0f} labels at {label_error_mm[chosen]:.2f} mm"
        axes.plot(label_error_mm[chosen], count[chosen], "o", label=name, linestyle="", **ring)
    axes.margins(x=0.08)  # a ring on the edge would be cut
    axes.set_ylim(0, 1.12 * max(1.0, *count))
    return with_legend(figure, axes, "below")


def round_progress(
    rounds: Sequence[Mapping[str, Any]], source_only_mm: float | None = None, metric: str = "epe_mm"
) -> Figure:
    """Evaluation error over the rounds, above what became of the frames.

    Args:
        rounds: as in summary.json: ``round``, ``labels``, ``selected``, ``quarantined`` and, where there was
            one, ``evaluation`` with the metric. Round 0 is the pre-trained teacher.
        source_only_mm: the error of training without labels for as many steps.
        metric: which of the evaluation's.
    """
    figure = Figure(figsize=(5.2, 5.2), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    style_axes(above, "", "error (mm)", f"Evaluation: {metric}")
    errors = [(row["round"], (row.get("evaluation") or {}).get(metric)) for row in rounds]
    known = [(number, error) for number, error in errors if error is not None]
    if known:
        numbers, values = zip(*known, strict=True)
        above.plot(numbers, values, marker="o", label="this campaign", **series_style(0))
        for number, value in known:
            above.annotate(f"{value:.1f}", (number, value), (0, 7), textcoords="offset points", fontsize=8)
    if source_only_mm is not None:
        above.axhline(source_only_mm, label=f"source only, equal steps: {source_only_mm:.1f}", **series_style(1))
    highest = max([error for _, error in known] + [source_only_mm or 0.0, 1.0])
    above.set_ylim(0, 1.2 * highest)
    with_legend(figure, above, "lower left")
    _bars_of_frames(below, rounds)
    return with_legend(figure, below, "upper left")


def _bars_of_frames(axes: Axes, rounds: Sequence[Mapping[str, Any]]) -> None:
    style_axes(axes, "round", "frames", "")
    numbers = [row["round"] for row in rounds]
    selected = np.array([row.get("selected") or 0 for row in rounds], dtype=float)
    labels = np.array([row.get("labels") or 0 for row in rounds], dtype=float)
    quarantined = np.array([row.get("quarantined") or 0 for row in rounds], dtype=float)
    bottom = np.zeros(len(rounds))
    parts = {
        "selected": (selected, ""),
        "labelled only": (labels - selected, "//"),
        "quarantined": (quarantined, "xx"),
    }
    for index, (name, (heights, hatch)) in enumerate(parts.items()):
        axes.bar(
            numbers,
            heights,
            0.6,
            bottom,
            label=name,
            color=("#009E73", "#56B4E9", "#D55E00")[index],
            hatch=hatch,
        )
        bottom = bottom + heights
    axes.set_ylim(0, max(1.0, 1.35 * bottom.max(initial=0)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _name_fingers(axes: Axes) -> None:
    for index, finger in enumerate(FINGERS):
        axes.text(4 * index + 1.5, -0.19, finger, transform=axes.get_xaxis_transform(), ha="center", weight="bold")
        if index:
            axes.axvline(4 * index - 0.5, color="#BBBBBB", linewidth=0.8)
