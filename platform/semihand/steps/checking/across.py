"""Two groups of frames side by side, two sets or two splits of one: what they share, and which pictures are alike."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from semihand.steps.checking.findings import NUM_SHOWN, Finding, Severity, where_of
from semihand.steps.checking.likeness import like_pairs
from semihand.steps.checking.looking import Looked
from semihand.steps.checking.sharing import WHO, shared_by
from semihand.tables.rows import take_rows

Numbers = Int[np.ndarray, " _"]

#: Of pictures of two groups; as many take 4 minutes of one core, 24 where all are of one scene: docs/check_frames.md.
MOST_PAIRS = 50_000**2

KINDS = ("subject", "sequence", "picture", "near_duplicate")

_DISTINCT = {"subject": "subject_id", "sequence": "sequence_id", "picture": "content_sha256"}


class Group(NamedTuple):
    """Some frames of a set: the set's number and name, what is kept of it, and which of its rows are meant."""

    set: int
    name: str
    looked: Looked
    rows: Int[np.ndarray, " _"]


class LikeFrames(NamedTuple):
    """Nearly the same picture twice: the numbers of both sets, their rows, and the correlation."""

    sets: tuple[int, int]
    rows: tuple[int, int]
    correlation: float


def compare_groups(
    one: Group, other: Group, severities: Mapping[str, Severity], way_out: str
) -> tuple[list[LikeFrames], list[Finding]]:
    """Near duplicates, and what is to be said of them and of all that both groups share.

    Args:
        one: a group.
        other: another one.
        severities: of the `KINDS`; what is not named is not said.
        way_out: what mends it.
    """
    label = f"{one.name} and {other.name}"
    ours, theirs = (take_rows(group.looked.rows.select(WHO), group.rows) for group in (one, other))
    shared = shared_by(ours, theirs)
    kinds = {"subject": shared.subjects, "sequence": shared.sequences, "picture": shared.pictures}
    findings = []
    for kind, names in kinds.items():
        if names and kind in severities:
            num = max(len(names), len(theirs[_DISTINCT[kind]].drop_null().unique()))
            detail, shown = f"{kind}s of {other.name} are in {one.name}, too", names[:NUM_SHOWN]
            findings.append(Finding(severities[kind], f"shared_{kind}", label, len(names), num, detail, way_out, shown))
    rows = [group.rows[group.looked.sizes_px[group.rows, 0] > 0] for group in (one, other)]
    compared = _thinned(*rows)
    alike = _alike((one, other), compared)
    num, num_compared = (sum(map(len, some)) for some in (rows, compared))
    if num_compared < num:
        findings.append(_tell_thinned(label, num - num_compared, num))
    if alike:
        findings.append(_tell_alike(severities["near_duplicate"], label, alike, (one, other)))
    return alike, findings


def _thinned(first: Numbers, second: Numbers) -> tuple[Numbers, Numbers]:
    """Rows taken evenly, so that no more than `MOST_PAIRS` are compared; of a small group as many as there are."""
    side = math.isqrt(MOST_PAIRS)
    most = [max(side, MOST_PAIRS // max(len(other), 1)) for other in (second, first)]
    kept = [
        rows if len(rows) <= num else rows[np.linspace(0, len(rows) - 1, num).astype(int)]
        for rows, num in zip((first, second), most, strict=True)
    ]
    return kept[0], kept[1]


def _tell_thinned(label: str, num_left_out: int, num: int) -> Finding:
    detail = "pictures were not compared for near duplicates, which takes hours for so many; the others lie evenly"
    return Finding("note", "thinned", label, num_left_out, num, detail, "check fewer at a time to compare them all")


def _alike(groups: tuple[Group, Group], rows: tuple[Numbers, Numbers]) -> list[LikeFrames]:
    """Pairs of pictures that are nearly the same and not the very same."""
    thumbs = np.concatenate([group.looked.thumbs[some] for group, some in zip(groups, rows, strict=True)])
    num = len(rows[0])
    one, other = groups
    keys = [_keys(group.looked) for group in groups]
    pairs = []
    for first, second, correlation in like_pairs(thumbs, np.arange(num), np.arange(num, len(thumbs))):
        a, b = int(rows[0][first]), int(rows[1][second - num])
        if keys[0][a] != keys[1][b]:
            pairs.append(LikeFrames((one.set, other.set), (a, b), correlation))
    return pairs


def _keys(looked: Looked) -> list[tuple[str, int | None]]:
    columns = (looked.rows[name].to_pylist() for name in ("content_sha256", "video_frame"))
    return list(zip(*columns, strict=True))


def _tell_alike(severity: Severity, label: str, pairs: Sequence[LikeFrames], groups: tuple[Group, Group]) -> Finding:
    shown = pairs[:NUM_SHOWN]
    names = [where_of(group.looked.rows, [pair.rows[side] for pair in shown]) for side, group in enumerate(groups)]
    frames = tuple(f"{one} ~ {other}" for one, other in zip(*names, strict=True))
    num = len({pair.rows[1] for pair in pairs})
    detail = f"pictures of {groups[1].name} are nearly one of {groups[0].name}, but for coding, size or border"
    way_out = "look at the pairs on the page, and keep each recording on one side"
    return Finding(severity, "near_duplicate", label, num, len(groups[1].rows), detail, way_out, frames)
