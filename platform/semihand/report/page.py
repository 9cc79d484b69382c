"""The page of a round: one HTML file that holds its figures and asks the network for nothing."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib
from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fbfbfa; --line: #d5d7da; --quiet: #5d6269; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7e9; --paper: #17191c; --line: #3a3e44; --quiet: #a3a8b0; }
}
body { margin: 2rem auto; padding: 0 1.2rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--quiet); font-weight: 600; } td.number, th.number { text-align: right; }
.figures { display: flex; flex-wrap: wrap; gap: 1.4rem; }
figure { margin: 0; max-width: 100%; } figcaption { color: var(--quiet); font-size: .92rem; }
figure img { max-width: 100%; height: auto; background: white; border: 1px solid var(--line); }
"""


def round_page(
    title: str,
    summary_rows: Sequence[tuple[str, object]],
    figures: Mapping[str, Figure | bytes],
    notes: Sequence[str] = (),
    tables: Mapping[str, str] | None = None,
) -> str:
    """A whole HTML page; the same input gives the same bytes.

    Args:
        title: heading.
        summary_rows: what and how much; numbers are shown with four digits.
        figures: caption to figure, or its PNG, in order.
        notes: a paragraph each, under the summary.
        tables: heading to a table made by `html_table`.
    """
    summary = html_table(("", ""), summary_rows, has_head=False)
    paragraphs = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    sections = {"Figures": html_figures(figures)} | dict(tables or {})
    return html_page(title, f"{summary}\n{paragraphs}", sections)


def html_page(title: str, opening: str, sections: Mapping[str, str]) -> str:
    """A whole HTML page.

    Args:
        title: heading.
        opening: HTML under it.
        sections: heading to HTML, as `html_table` and `html_figures` make it.
    """
    body = "".join(f"<h2>{escape(heading)}</h2>\n{html}\n" for heading, html in sections.items())
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{opening}{body}</body>\n</html>\n"
    )


def pictures_drawn(figures: Mapping[str, Figure]) -> dict[str, Figure | bytes]:
    """Figures that hold pictures as PNG, drawn once for all who show them; curves as they are."""
    return {name: _png(figure) if _has_pictures(figure) else figure for name, figure in figures.items()}


def html_figures(figures: Mapping[str, Figure | bytes]) -> str:
    """Figures side by side, each above its caption."""
    images = "\n".join(_figure_html(caption, figure) for caption, figure in figures.items())
    return f'<div class="figures">\n{images}\n</div>'


def html_table(columns: Sequence[str], rows: Sequence[Sequence[object]], has_head: bool = True) -> str:
    """Rows as a plain table; numbers stand to the right.

    Raises:
        ValueError: a row has not as many cells as there are columns.
    """
    for index, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(f"row {index} has {len(row)} cells, the table {len(columns)} columns; give as many")
    numeric = [bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(columns))]
    head = "".join(_cell("th", name, right) for name, right in zip(columns, numeric, strict=True))
    body = "\n".join(
        "<tr>" + "".join(_cell("td", _text(cell), _is_number(cell)) for cell in row) + "</tr>" for row in rows
    )
    head_html = f"<thead><tr>{head}</tr></thead>" if has_head else ""
    return f'<div class="scroll"><table>{head_html}<tbody>\n{body}\n</tbody></table></div>'


def _figure_html(caption: str, figure: Figure | bytes) -> str:
    # Curves stay sharp as SVG; pictures would be larger in it than as PNG.
    if isinstance(figure, bytes) or _has_pictures(figure):
        mime, drawn = "image/png", figure if isinstance(figure, bytes) else _png(figure)
    else:
        mime, drawn = "image/svg+xml", _svg(figure)
    text = escape(caption)
    image = f'<img alt="{text}" src="data:{mime};base64,{base64.b64encode(drawn).decode()}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _has_pictures(figure: Figure) -> bool:
    return any(axes.images for axes in figure.axes)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "semihand"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _cell(tag: str, text: str, is_right: bool) -> str:
    kind = ' class="number"' if is_right else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return "–" if cell is None else str(cell)
