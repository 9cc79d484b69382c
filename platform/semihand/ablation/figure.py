"""The ablation as a picture: every run of every row between source only and the ceiling."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semihand.ablation.summary import BEST, FIRST
from semihand.report.curves import SERIES_COLOURS, style_axes, with_legend

_KINDS = {"control": ("controls", SERIES_COLOURS[6]), "method": ("methods", SERIES_COLOURS[0]),
          "addition": ("additions", SERIES_COLOURS[1])}  # fmt: skip


def ablation_figure(summary: Mapping[str, Any]) -> Figure:
    """EPE of every run, a panel for each domain, a line for each row in the table's order; the gap is shaded.

    Args:
        summary: of `summarise`, with at least one row.
    """
    rows, domains = summary["rows"], summary["domains"]
    figure = Figure(figsize=(2.2 + 3.1 * len(domains), 1.6 + 0.27 * len(rows)), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(domains), sharey=True, squeeze=False)[0]
    for axes, (domain, ends) in zip(panels, domains.items(), strict=True):
        style_axes(axes, "EPE (mm), a point for each seed", "", domain)
        _shade(axes, ends)
        _points(axes, rows, domain)
    panels[0].set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return with_legend(figure, panels[0], "below")


def _shade(axes: Axes, ends: Mapping[str, float | None]) -> None:
    first, best = ends[FIRST], ends[BEST]
    if first is not None and best is not None:
        axes.axvspan(min(best, first), max(best, first), color="#F0E442", alpha=0.25, linewidth=0, label="the gap")
    for end, style, name in ((first, ":", "source only"), (best, "--", "ceiling")):
        if end is not None:
            axes.axvline(end, color="#555555", linestyle=style, linewidth=1.2, label=f"{name}, mean")


def _points(axes: Axes, rows: list[dict[str, Any]], domain: str) -> None:
    for kind, (name, colour) in _KINDS.items():
        places = [place for place, row in enumerate(rows) if row["kind"] == kind]
        found = [(run["epe_mm"], place) for place in places for run in rows[place]["runs"] if run["domain"] == domain]
        axes.plot([error for error, _ in found], [place for _, place in found], "o", color=colour, alpha=0.65,
                  markersize=5.5, label=name if places else None)  # fmt: skip
        for place in places:
            mean = rows[place]["epe_mm_by_domain"].get(domain)
            if mean is not None:
                axes.plot(mean, place, "|", color=colour, markersize=13, markeredgewidth=1.8)
