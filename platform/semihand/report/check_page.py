"""The page of a check: what was found, what the sets hold, and pictures of all that can be seen."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from semihand.report.names import frame_name
from semihand.report.overlays import overlay_grid, picture_grid
from semihand.report.page import html_figures, html_page, html_table
from semihand.steps.checking.hands import counted_hands
from semihand.steps.checking.projecting import projected
from semihand.steps.checking.sets import Checked, CheckedSet
from semihand.steps.checking.truth import truth_of
from semihand.tables.rows import take_rows

_ON_SHEET, _WITH_FINDINGS, _PAIRS, _SUBJECTS = 24, 24, 12, 20
_COLUMNS = 6
_ALL_OVER = "frames from all over the set, with the truth and the box as they are"
_FOUND = "; hands that the localiser found in blue"

#: Pictures by set and row, as small as the page needs them, and what they were scaled by.
Shown = Mapping[tuple[int, int], tuple[UInt8[np.ndarray, "_ _ 3"], float]]


def rows_to_show(checked: Checked) -> dict[int, list[int]]:
    """The rows of each set whose pictures `check_page` wants."""
    wanted: dict[int, set[int]] = {}
    for place, each in enumerate(checked.sets):
        wanted[place] = {*_spread_rows(each), *(row for row, _ in _found_rows(checked, each))}
    for pair in checked.alike[:_PAIRS]:
        for place, row in zip(pair.sets, pair.rows, strict=True):
            wanted[place].add(row)
    return {place: sorted(rows) for place, rows in wanted.items()}


def check_page(checked: Checked, shown: Shown) -> str:
    """A whole HTML page.

    Args:
        checked: what was found.
        shown: pictures of `rows_to_show`; those that cannot be read are left out.
    """
    columns = ("", "set", "what", "frames", "of", "found", "way out", "first")
    rows = [
        (each.severity, each.set, each.code, each.count, each.num_checked, each.detail, each.way_out,
         "\n".join(each.frames))
        for each in checked.findings
    ]  # fmt: skip
    sections = {"Findings": html_table(columns, rows) if rows else "<p>Nothing was found.</p>"}
    pairs = _pairs_figure(checked, shown)
    if pairs is not None:
        sections["Near duplicates"] = html_figures({"pairs, the most alike first": pairs})
    for place, each in enumerate(checked.sets):
        sections[each.given.name] = _set_html(checked, place, each, shown)
    return html_page("Check of frames", f"<p>{escape(checked.counts_in_words)}</p>\n", sections)


def _set_html(checked: Checked, place: int, checked_set: CheckedSet, shown: Shown) -> str:
    facts = [("path", checked_set.given.path), *((name, _said(value)) for name, value in checked_set.facts.items())]
    parts = [html_table(("", ""), facts, has_head=False)]
    figures: dict[str, Figure] = {}
    found = [(row, caption) for row, caption in _found_rows(checked, checked_set) if (place, row) in shown]
    if found:
        figures["frames with findings"] = _sheet(place, checked_set, found, shown)
    spread = [(row, _caption(checked_set, row)) for row in _spread_rows(checked_set) if (place, row) in shown]
    if spread:
        figures[_ALL_OVER + (_FOUND if checked_set.hands else "")] = _sheet(place, checked_set, spread, shown)
    parts += [html_figures(figures)] if figures else []
    if checked_set.subjects:
        people = [tuple(each.values()) for each in checked_set.subjects[:_SUBJECTS]]
        columns = ("subject", "frames", "wrist to middle MCP, mm", "spread of bone lengths")
        parts.append(html_table(columns, people))
    return "\n".join(parts)


def _said(value: object) -> str:
    return ", ".join(f"{key}: {num}" for key, num in value.items()) if isinstance(value, dict) else str(value)


def _spread_rows(checked_set: CheckedSet) -> list[int]:
    """Rows from the first to the last, among those that decode; of a set in which hands were sought, among these."""
    seen = np.flatnonzero(checked_set.looked.sizes_px[:, 0] > 0)
    if checked_set.hands:
        seen = np.array(sorted(checked_set.hands))
    if not len(seen):
        return []
    places = np.unique(np.linspace(0, len(seen) - 1, min(len(seen), _ON_SHEET)).astype(int))
    return [int(seen[place]) for place in places]


def _found_rows(checked: Checked, checked_set: CheckedSet) -> list[tuple[int, str]]:
    """Rows that findings name, each with all that is said of it, errors first."""
    said: dict[int, list[str]] = {}
    for finding in checked.findings:
        if finding.set == checked_set.given.name and finding.severity != "note":
            for row in finding.rows:
                said.setdefault(row, []).append(finding.code)
    return [(row, ", ".join(codes)) for row, codes in list(said.items())[:_WITH_FINDINGS]]


def _caption(checked_set: CheckedSet, row: int) -> str:
    rows = checked_set.looked.rows
    uri, number, hand = (rows[name][row].as_py() for name in ("uri", "video_frame", "hand"))
    found = checked_set.hands.get(row)
    return f"{frame_name(uri, number) or row}, {hand if found is None else counted_hands(found) or 'no hand found'}"


def _sheet(place: int, checked_set: CheckedSet, rows: Sequence[tuple[int, str]], shown: Shown) -> Figure:
    """Pictures with the true skeleton, in the picture or projected, and the box."""
    numbers, captions = [row for row, _ in rows], [caption for _, caption in rows]
    pictures = [shown[place, row][0] for row in numbers]
    scales = np.array([shown[place, row][1] for row in numbers])
    table = take_rows(checked_set.looked.rows, numbers)
    uv_px = _seen(checked_set, numbers) * scales[:, None, None]
    if np.isfinite(uv_px).any():
        figure = overlay_grid(pictures, uv_px, captions, columns=_COLUMNS)
    else:
        figure, _ = picture_grid(pictures, captions, columns=_COLUMNS)
    for axes, row, box_px, scale in zip(figure.axes, numbers, table["bbox_px"].to_pylist(), scales, strict=False):
        found = [(each.box_px, "deepskyblue") for each in checked_set.hands.get(row, ())]
        for box, colour in [*found, *([] if box_px is None else [(box_px, "yellow")])]:
            x, y, width, height = np.array(box) * scale
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=0.8))
    return _without_gaps(figure, pictures)


def _without_gaps(figure: Figure, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Figure:
    """The grid of pictures no higher than its highest picture needs, where all are wide."""
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    width, height = figure.get_size_inches()
    rows = -(-len(pictures) // _COLUMNS)
    cell = width / min(_COLUMNS, len(pictures))
    figure.set_size_inches(width, height - rows * cell * max(0.0, 1 - tallest))
    return figure


def _seen(checked_set: CheckedSet, rows: Sequence[int]) -> Float[np.ndarray, "rows 21 2"]:
    """Joints in the picture: as they are given, else projected."""
    table = take_rows(checked_set.looked.rows, rows)
    truth = truth_of(table, checked_set.looked.sizes_px[rows])
    seen_px = projected(table, truth.joints_mm, np.arange(len(rows)))
    return np.where(truth.in_picture[:, None, None], truth.uv_px, seen_px)


def _pairs_figure(checked: Checked, shown: Shown) -> Figure | None:
    sides = list(_pair_sides(checked, shown))
    if not sides:
        return None
    pictures, captions = [picture for picture, _ in sides], [caption for _, caption in sides]
    figure, _ = picture_grid(pictures, captions, columns=_COLUMNS)
    return _without_gaps(figure, pictures)


def _pair_sides(checked: Checked, shown: Shown) -> Iterator[tuple[np.ndarray, str]]:
    for number, pair in enumerate(checked.alike[:_PAIRS], start=1):
        keys = list(zip(pair.sets, pair.rows, strict=True))
        if all(key in shown for key in keys):
            for place, row in keys:
                checked_set = checked.sets[place]
                yield shown[place, row][0], f"{number}: {checked_set.given.name} {_caption(checked_set, row)}"
