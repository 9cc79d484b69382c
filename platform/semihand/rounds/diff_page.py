"""A comparison of labels for people: lines for the terminal, and one page with curves and the most moved hands."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from semihand.report.label_moves import Group, groups_figure, moved_curve
from semihand.report.names import frame_name
from semihand.report.overlays import overlay_grid
from semihand.report.page import html_table, round_page
from semihand.rounds.shown import Shown
from semihand.steps.moves import selection_changes

_NAMES = {"subject_id": "subject", "pose_cluster": "cluster of poses"}
_LINES = 10  # groups and labels in the terminal
_NAME_CHARACTERS = 40  # of a file, in the terminal and in tables


def overall(moves: pl.DataFrame) -> dict[str, float]:
    """The figures of all labels together."""
    moved_mm, root_mm, moved_px = (moves[name].to_numpy() for name in ("moved_mm", "root_moved_mm", "moved_px"))
    return {
        "moved_median_mm": float(np.median(moved_mm)),
        "moved_p90_mm": float(np.quantile(moved_mm, 0.9)),
        "moved_max_mm": float(moved_mm.max()),
        "root_moved_median_mm": float(np.median(root_mm)),
        "moved_median_px": float(np.median(moved_px)),
        **selection_changes(moves),
    }


def lines(summary: Mapping[str, Any], tables: Mapping[str, pl.DataFrame], moves: pl.DataFrame) -> Iterator[str]:
    """What the terminal is told.

    Args:
        summary: of all labels.
        tables: from `moves_by`, by column.
        moves: the most moved first, with uri and video_frame of their frames.
    """
    yield (f"{summary['before']} against {summary['after']}: {summary['labels_in_both']:,} labels in both, "
           f"{summary['only_before']:,} only before, {summary['only_after']:,} only after")  # fmt: skip
    yield (f"moved by {summary['moved_median_mm']:.2f} mm (median; nine tenths by less than "
           f"{summary['moved_p90_mm']:.2f}, at most {summary['moved_max_mm']:.2f}), roots by "
           f"{summary['root_moved_median_mm']:.2f} mm; {summary['moved_median_px']:.2f} px in the picture")  # fmt: skip
    if "kept" in summary:
        yield (f"selected in both {summary['kept']:,}, newly {summary['newly_selected']:,}, no longer "
               f"{summary['dropped']:,}, never {summary['never']:,}")  # fmt: skip
    for column, table in tables.items():
        yield f"\n{_NAMES[column]:>32} {'labels':>7} {'median mm':>10} {'90 % mm':>8} {'px':>6}  expected error mm"
        for row in table.head(_LINES).iter_rows(named=True):
            expected = " to ".join(_number(row[f"expected_{when}_mm"]) for when in ("before", "after"))
            yield (f"{_name(row[column]):>32} {row['num_labels']:>7,} {row['median_mm']:>10.2f} "
                   f"{row['p90_mm']:>8.2f} {row['median_px']:>6.2f}  {expected}")  # fmt: skip
    yield f"\n{'most moved':>32} {'mm':>7} {'px':>6}  subject, cluster, file#frame"
    first = moves.head(_LINES)
    for row, place in zip(first.iter_rows(named=True), _places(first), strict=True):
        yield (f"{row['frame_id']:>32} {row['moved_mm']:>7.2f} {row['moved_px']:>6.2f}  {_name(row['subject_id'])}, "
               f"{row['pose_cluster']}, {place}")  # fmt: skip


def write_page(
    path: Path,
    summary: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    moves: pl.DataFrame,
    most: Shown,
) -> None:
    """The page: curves, groups, and the most moved hands on their pictures, as they were and as they are.

    Args:
        path: of the file.
        summary: of all labels.
        tables: from `moves_by`, by column.
        moves: the most moved first, with uri and video_frame of their frames.
        most: pictures of some of the first of these.
    """
    places = moves.select(example="frame_id", example_file=pl.Series(_places(moves), dtype=pl.String))
    shown = {}
    for column, table in tables.items():
        placed = table.join(places, on="example", how="left", maintain_order="left")
        shown[f"By {_NAMES[column]}"] = html_table(placed.columns, placed.rows())
    title = f"{summary['before']} against {summary['after']}"
    path.write_text(round_page(title, list(summary.items()), _figures(tables, moves, most), tables=shown))


def _figures(tables: Mapping[str, pl.DataFrame], moves: pl.DataFrame, most: Shown) -> dict[str, Figure]:
    chosen = moves["selected_after"].fill_null(False)
    curves = {"all": moves["moved_mm"], "selected after": moves.filter(chosen)["moved_mm"]}
    figures = {"how far labels moved": moved_curve({name: values.to_numpy() for name, values in curves.items()})}
    for column, table in tables.items():
        rows = table.select(column, "num_labels", "median_mm", "p90_mm").rows()
        groups = [Group(_name(name), *numbers) for name, *numbers in rows]
        figures[f"by {_NAMES[column]}"] = groups_figure(groups, f"How far labels moved, by {_NAMES[column]}")
    if most.rows:
        some = moves[most.rows]
        after, before = (some[f"joints_uv_px_{when}"].to_numpy().astype(np.float64).reshape(-1, 21, 2)
                         for when in ("after", "before"))  # fmt: skip
        said = some.select("moved_mm", "subject_id").rows()
        captions = [f"{place}\n{moved:.1f} mm, {_name(subject)}"
                    for place, (moved, subject) in zip(_places(some, 28), said, strict=True)]  # fmt: skip
        figures["the most moved"] = overlay_grid(most.pictures, after, captions, before, views_px=most.views_px)
    return figures


def _places(moves: pl.DataFrame, most: int = _NAME_CHARACTERS) -> list[str]:
    """Where each frame is to be found."""
    rows = moves.select("uri", "video_frame").rows()
    return [frame_name(uri, number, most) or "no file" for uri, number in rows]


def _name(value: object) -> str:
    return "unnamed" if value is None else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
