"""Hands in frames that say no box or side: what a localiser finds in some of them, taken from all over the set."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from semihand.frames.sets.named import is_named
from semihand.hand.boxes import Box
from semihand.steps.checking.findings import Finding, Teller
from semihand.steps.checking.looking import Looked, with_pictures
from semihand.steps.finding import FrameFinder, unsaid
from semihand.steps.shots import shots_of
from semihand.tables.rows import take_rows

NUM_SOUGHT = 200  # pictures of a set that are looked at, which takes half a minute on two cores

_NONE = "the localiser finds no hand in them, and a round would leave them out"
_WAY_OUT = "look at them on the page; if there is one, lower --find.min_score, or give bbox_px or --box"


class SeenHand(NamedTuple):
    """A hand that was found in a frame: its box, and which one it is."""

    box_px: Box
    hand: str


#: The hands of the rows that were looked at, most sure ones first; none where none was found.
Hands = Mapping[int, tuple[SeenHand, ...]]


class Sought(NamedTuple):
    """What was found in which rows, and what is to be said of it."""

    hands: Hands
    findings: list[Finding]


def seek_hands(teller: Teller, looked: Looked, path: str, find: FrameFinder) -> Sought:
    """Look for the hands of frames that say no box or side, as a round does with a localiser.

    Args:
        teller: with the set's rows.
        looked: what is kept of the set.
        path: where its pictures lie.
        find: the localiser.
    """
    if is_named(path):
        looked = replace(looked, rows=_without_truth_boxes(looked.rows))
    rows = _some(looked)
    if not len(rows):
        return Sought({}, [])
    hands = _by_row(looked.rows, rows, find(with_pictures(looked, rows, path, find.limits)))
    asked = set(np.flatnonzero(unsaid(looked.rows)).tolist())
    hands = {row: seen for row, seen in hands.items() if row in asked}
    return Sought(hands, _told(teller, hands))


def _without_truth_boxes(rows: pa.Table) -> pa.Table:
    """The rows as a round lists them, which reads no truth of a public data set."""
    drawn = pc.fill_null(pc.equal(rows["box_source"], "truth"), False)
    for name in ("bbox_px", "box_source"):
        values = [None if is_drawn else value for value, is_drawn in zip(rows[name].to_pylist(), drawn.to_pylist(),
                                                                         strict=True)]  # fmt: skip
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, rows.schema.field(name).type))
    return rows


def _some(looked: Looked) -> Int[np.ndarray, " _"]:
    """Rows of so many pictures, from the first to the last, with all rows that show the same."""
    seen = np.flatnonzero(looked.sizes_px[:, 0] > 0)
    rows = take_rows(looked.rows, seen)
    shots = shots_of(rows)
    of_shots = {row for shot in shots for row in shot.boxed}
    sided = np.flatnonzero(unsaid(rows) & rows["box_source"].is_valid().to_numpy()).tolist()
    pictures = sorted([shot.all_rows for shot in shots] + [[row] for row in sided if row not in of_shots], key=min)
    places = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), NUM_SOUGHT)).astype(int))
    some: np.ndarray = seen[sorted(row for place in places for row in pictures[place])]
    return some


def _by_row(listed: pa.Table, rows: Int[np.ndarray, " _"], found: pa.Table) -> dict[int, tuple[SeenHand, ...]]:
    """The hands of FOUND by the listed rows they are of; the first of each has its row's id."""
    ids = take_rows(listed, rows)["frame_id"].to_pylist()
    row_of = dict(zip(ids, rows.tolist(), strict=True))
    hands: dict[int, tuple[SeenHand, ...]] = dict.fromkeys(rows.tolist(), ())
    row = int(rows[0])
    for each in found.select(["frame_id", "hand", "bbox_px", "failure_reason"]).to_pylist():
        row = row_of.get(each["frame_id"], row)
        if each["failure_reason"] is None:
            hands[row] += (SeenHand(tuple(each["bbox_px"]), each["hand"]),)
    return hands


def counted_hands(hands: Iterable[SeenHand]) -> str:
    """How many there are of each side."""
    sides = Counter(each.hand for each in hands)
    return " and ".join(f"{num} {hand}" for hand, num in sides.most_common())


def _told(teller: Teller, hands: Hands) -> list[Finding]:
    """In how many no hand is found, and which hands there are in the others."""
    none, some = (np.zeros(teller.table.num_rows, bool) for _ in range(2))
    for row, seen in hands.items():
        (some if seen else none)[row] = True
    counts = counted_hands(each for seen in hands.values() for each in seen)
    said = ", and say --hand where you know it: it knows sides badly" if teller.table["hand"].null_count else ""
    words = (f"the localiser finds hands ({counts}) in frames from all over the set that say no box or side",
             f"look at their boxes on the page{said}")  # fmt: skip
    return [
        *teller.tell("warning" if some.any() else "error", "no_hand", none, (_NONE, _WAY_OUT), len(hands)),
        *teller.tell("note", "found_hands", some, words, len(hands)),
    ]
