"""Curves of a round: errors, losses, how far confidence can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from semihand.hand.metrics import risk_coverage

# Okabe and Ito; every series has a line style of its own as well.
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINE_STYLES = ("-", "--", "-.", ":")
_SIZE_INCHES = (5.2, 3.6)
LegendPlace = Literal["upper left", "lower left", "lower right", "below"]


def pck_curve(errors_mm: Mapping[str, Float[np.ndarray, "..."]], max_mm: float = 50.0) -> Figure:
    """Share of joints within each distance of the truth; the legend names the mean error.

    Args:
        errors_mm: name to joint errors of any shape; those that are not finite (unlabelled) do not count.
        max_mm: end of the axis.

    Raises:
        ValueError: a series has no finite error.
    """
    figure, axes = new_axes("joint error (mm)", "share of joints within it", "PCK")
    for index, (name, errors) in enumerate(errors_mm.items()):
        finite = np.sort(errors[np.isfinite(errors)])
        if not len(finite):
            raise ValueError(f"errors_mm[{name!r}] holds no finite error; leave the series out")
        thresholds = np.linspace(0, max_mm, 401)
        within = np.searchsorted(finite, thresholds, side="right") / len(finite)
        axes.plot(thresholds, within, label=f"{name}: mean {finite.mean():.1f} mm", **series_style(index))
    axes.set(xlim=(0, max_mm), ylim=(0, 1.02))
    return with_legend(figure, axes, "lower right")


def loss_curves(losses: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Figure:
    """Losses over the steps of training, on a logarithmic axis where all of them are above zero.

    Args:
        losses: name to steps and values.
    """
    figure, axes = new_axes("training step", "loss", "Training")
    all_values = np.array([value for _, values in losses.values() for value in values], dtype=float)
    if len(all_values) and np.nanmin(all_values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for index, (name, (steps, values)) in enumerate(losses.items()):
        axes.plot(steps, values, label=name, **series_style(index))
    return with_legend(figure, axes, "below")


def risk_coverage_curve(errors_mm: Float[np.ndarray, " n"], predicted_mm: Float[np.ndarray, " n"]) -> Figure:
    """Mean error of the labels kept, the most trusted first, between the best order there is and any order.

    Args:
        errors_mm: true error of every label.
        predicted_mm: what the label said of its own error; the lowest is kept first.
    """
    finite = _both_finite(errors_mm, predicted_mm)
    errors, predicted = errors_mm[finite], predicted_mm[finite]
    figure, axes = new_axes("share of labels kept", "their mean error (mm)", "Risk and coverage")
    for index, (name, order) in enumerate({"predicted error": predicted, "true error": errors}.items()):
        kept = risk_coverage(errors, -order)
        label = f"by {name}: area {kept.risk.mean():.2f} mm"
        axes.plot(kept.coverage, kept.risk, label=label, **series_style(index))
    axes.axhline(errors.mean(), color="#777777", linewidth=1, label=f"any order: {errors.mean():.2f} mm")
    axes.set(xlim=(0, 1), ylim=(0, None))
    return with_legend(figure, axes, "lower right")


def reliability_figure(
    predicted_mm: Float[np.ndarray, " n"], true_mm: Float[np.ndarray, " n"], num_bins: int = 10
) -> Figure:
    """Predicted against true error, in bins of as many labels each: on the diagonal, they are honest."""
    finite = _both_finite(true_mm, predicted_mm)
    predicted, true = predicted_mm[finite], true_mm[finite]
    bins = np.array_split(np.argsort(predicted, kind="stable"), min(num_bins, len(predicted)))
    centres = np.array([predicted[rows].mean() for rows in bins])
    quartiles = np.array([np.quantile(true[rows], (0.25, 0.75)) for rows in bins]).T
    means = np.array([true[rows].mean() for rows in bins])
    figure, axes = new_axes("predicted error (mm)", "true error (mm)", "Reliability of the predicted error")
    top = 1.05 * max(centres.max(), quartiles.max(), means.max())
    axes.plot((0, top), (0, top), color="#777777", linewidth=1, linestyle=":", label="honest")
    axes.vlines(centres, *quartiles, color=SERIES_COLOURS[0], alpha=0.4, linewidth=4, label="middle half of a bin")
    axes.plot(centres, means, marker="o", label=f"mean of a bin, {len(true):,} labels", **series_style(0))
    axes.set(xlim=(0, top), ylim=(0, top))
    return with_legend(figure, axes, "upper left")


def new_axes(x_label: str, y_label: str, title: str) -> tuple[Figure, Axes]:
    """One pair of axes on a white figure, ready to draw on."""
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained", facecolor="white")
    axes = figure.subplots()
    style_axes(axes, x_label, y_label, title)
    return figure, axes


def style_axes(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    """The one look of all figures."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def series_style(index: int) -> dict[str, Any]:
    """Colour and line style of the series at this place."""
    return {
        "color": SERIES_COLOURS[index % len(SERIES_COLOURS)],
        "linestyle": _LINE_STYLES[index % len(_LINE_STYLES)],
        "linewidth": 1.8,
    }


def with_legend(figure: Figure, axes: Axes, place: LegendPlace) -> Figure:
    """The figure with a legend where anything is named; `below` is under the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return figure
    if place == "below":
        columns = 3 if figure.get_figwidth() > 7 else 2
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    else:
        axes.legend(loc=place, fontsize=8, framealpha=0.9)
    return figure


def _both_finite(errors: Float[np.ndarray, " n"], predicted: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    finite: np.ndarray = np.isfinite(errors) & np.isfinite(predicted)
    if not finite.any():
        raise ValueError(f"of {len(errors)} labels none has both a finite error and a finite prediction")
    return finite
