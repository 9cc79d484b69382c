"""The page of a round holds everything it shows and lets no text become markup."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from semihand.report import html_table, overlay_grid, pck_curve, round_page

VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Fails on a tag that is closed before the tags inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def made_up_figures():
    hands = np.random.default_rng(1).uniform(5, 50, (2, 21, 2))
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in (80, 160)]
    return {
        "PCK & more": pck_curve({"a": np.arange(42.0)}),
        "most moved": overlay_grid(pictures, hands, ["a", "b"]),
    }


def made_up_page() -> str:
    rows = [
        ("labels", 1990),
        ("EPE (mm)", 21.2345),
        ("teacher", "<script>alert(1)</script>"),
        ("ceiling", None),
    ]
    table = html_table(["threshold", "labels"], [[0.25, 1200], [0.5, 3]])
    return round_page("Round 2 <of> 3", rows, made_up_figures(), ["It works & is quick."], {"Trials": table})


def test_the_page_asks_the_network_for_nothing():
    page = made_up_page()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", page)
    assert "url(" not in page
    assert "@import" not in page
    assert "<link" not in page


def test_the_page_is_well_formed_and_every_figure_is_in_it():
    parser = Balance()
    parser.feed(made_up_page())
    assert parser.open == []
    curve, overlay = parser.images
    assert curve["alt"] == "PCK & more"
    assert b"<svg" in base64.b64decode(curve["src"].removeprefix("data:image/svg+xml;base64,"))
    assert base64.b64decode(overlay["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_text_never_becomes_markup():
    page = made_up_page()
    assert "<script" not in page
    assert "Round 2 &lt;of&gt; 3" in page
    assert "It works &amp; is quick." in page


def test_the_same_round_gives_the_same_page():
    assert made_up_page() == made_up_page()


def test_numbers_are_readable_and_missing_ones_are_a_dash():
    page = made_up_page()
    assert '<td class="number">1,990</td>' in page
    assert '<td class="number">21.23</td>' in page
    assert "<td>–</td>" in page


def test_a_table_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match="row 1 has 3 cells, the table 2 columns"):
        html_table(["a", "b"], [[1, 2], [1, 2, 3]])
