"""Several sets: each by itself, its splits against each other, and every set against every other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from semihand.frames.errors import InputError
from semihand.frames.options import ListOptions
from semihand.frames.sets.named import is_named
from semihand.steps.checking.across import KINDS, Group, LikeFrames, compare_groups
from semihand.steps.checking.findings import NUM_SHOWN, SEVERITIES, Finding, Severity, Teller, by_severity
from semihand.steps.checking.hands import Hands, seek_hands
from semihand.steps.checking.in_picture import find_in_picture
from semihand.steps.checking.in_space import find_in_space
from semihand.steps.checking.listed import find_in_listing, set_facts
from semihand.steps.checking.looking import UNUSABLE, Looked, Refused, look_at, look_at_pool, nothing
from semihand.steps.checking.people import find_people
from semihand.steps.checking.truth import no_truth, truth_of
from semihand.steps.finding import FrameFinder, to_be_found
from semihand.words import counted

Role = Literal["frames", "source", "source_2d", "calibration", "evaluation"]
ROLES: tuple[Role, ...] = ("frames", "source", "source_2d", "calibration", "evaluation")
_POOLS, _JUDGES = {"frames", "source_2d"}, {"calibration", "evaluation"}
# Subjects are in several splits of most sets, and some protocols share recordings; pictures none should.
_SPLITS: dict[str, Severity] = {"sequence": "note", "picture": "warning", "near_duplicate": "warning"}


class GivenSet(NamedTuple):
    """A set to check: what it is called in findings, what it is for, and where it lies."""

    name: str
    role: Role
    path: str


class CheckedSet(NamedTuple):
    """A set that was looked at: what is kept of it, how much there is of everything, its subjects and found hands."""

    given: GivenSet
    looked: Looked
    facts: dict[str, Any]
    subjects: list[dict[str, Any]]
    hands: Hands = MappingProxyType({})


class Checked(NamedTuple):
    """All sets, all findings with the worst first, and near duplicates with the most alike first."""

    sets: list[CheckedSet]
    findings: list[Finding]
    alike: list[LikeFrames]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        found = [finding.severity for finding in self.findings]
        return {f"{severity}s": found.count(severity) for severity in SEVERITIES}

    @property
    def counts_in_words(self) -> str:
        """The same in a line, such as `1 error, 0 warnings, 2 notes`."""
        return ", ".join(counted(self.counts[f"{severity}s"], severity) for severity in SEVERITIES)


def check_sets(
    given: Sequence[GivenSet], options: ListOptions, transductive: bool, find: FrameFinder | None = None
) -> Checked:
    """Look at every set, and compare them.

    Args:
        given: the sets.
        options: what frames do not say themselves.
        transductive: whether frames to be labelled or learned from may be those that are judged by.
        find: finds hands where frames to be labelled say no box or side; None: they have to, and a box is the picture.
    """
    options = options.model_copy(update={"with_truth": True, "any_size": True})
    sets, findings, alike = [], list[Finding](), list[LikeFrames]()
    for each in given:
        checked, found = _check_set(each, options, find if each.role == "frames" else None)
        sets.append(checked)
        findings += found
    for one, other, severities, way_out in _to_compare(sets, transductive):
        pairs, found = compare_groups(one, other, severities, way_out)
        alike += pairs
        findings += found
    return Checked(sets, by_severity(findings), sorted(alike, key=lambda pair: -pair.correlation))


def _check_set(given: GivenSet, options: ListOptions, find: FrameFinder | None) -> tuple[CheckedSet, list[Finding]]:
    options = options if find is None else to_be_found(options, given.path)
    try:
        pool = given.role == "frames"
        looked, lost = look_at_pool(given.path, options) if pool else (look_at(given.path, options), [])
    except InputError as error:
        finding = Finding("error", UNUSABLE, given.name, 0, 0, str(error), "a round would refuse it")
        return CheckedSet(given, nothing(), {}, []), [finding]
    findings, facts = [*find_in_listing(given.name, looked), *_lost_truth(given, lost, looked)], set_facts(looked)
    if not looked.rows.num_rows:
        return CheckedSet(given, looked, facts, []), findings
    teller, truth = Teller(given.name, looked.rows), truth_of(looked.rows, looked.sizes_px)
    mended = find_in_space(teller, truth)
    people = find_people(teller, mended.joints_mm)
    findings += [*find_in_picture(teller, truth), *mended.findings, *people.findings, *no_truth(teller, truth)]
    findings += _truth_boxes(given, teller)
    if find is None:
        return CheckedSet(given, looked, facts, people.table), findings
    hands, found = seek_hands(teller, looked, given.path, find)
    sides = Counter(each.hand for seen in hands.values() for each in seen)
    facts |= {"hands_sought_in": len(hands), "found_hands": dict(sides.most_common())}
    return CheckedSet(given, looked, facts, people.table, hands), [*findings, *found]


def _lost_truth(given: GivenSet, lost: Sequence[Refused], looked: Looked) -> list[Finding]:
    """Truth that cannot be used does not matter of frames to be labelled, which are listed without any."""
    if not lost:
        return []
    way_out = "a round labels these frames all the same; as --source or --evaluation they would be left out"
    num = looked.rows.num_rows
    count, shown = len(lost), tuple(each.where for each in lost[:NUM_SHOWN])
    if lost[0].reason == UNUSABLE:
        count, shown = num, ()
    return [Finding("note", "lost_truth", given.name, count, num, lost[0].detail, way_out, shown)]


def _truth_boxes(given: GivenSet, teller: Teller) -> list[Finding]:
    """Boxes that carry the truth into crops; readers of public sets leave them out where no truth is asked for."""
    if given.role != "frames" or is_named(given.path):
        return []
    drawn = np.array([source == "truth" for source in teller.table["box_source"].to_pylist()], bool)
    words = ("box_source is truth, which a round refuses of frames to be labelled",
             "give boxes that were found without it, or use the set as --source or --evaluation")  # fmt: skip
    return teller.tell("note", "truth_box", drawn, words, len(drawn))


def _to_compare(
    sets: Sequence[CheckedSet], transductive: bool
) -> Iterator[tuple[Group, Group, dict[str, Severity], str]]:
    """Pairs of groups, how bad it is if they share something, and the way out."""
    for place, each in enumerate(sets):
        way_out = "keep each in one split, unless the set's protocol means it so"
        for one, other in combinations(_splits(place, each), 2):
            yield one, other, _SPLITS, way_out
    wholes = [
        Group(place, each.given.name, each.looked, np.arange(each.looked.rows.num_rows))
        for place, each in enumerate(sets)
    ]
    way_out = "keep them on one side, or say --transductive if it is meant"
    for one, other in combinations(wholes, 2):
        roles = {sets[one.set].given.role, sets[other.set].given.role}
        if len(one.rows) and len(other.rows):
            yield one, other, _severities(roles, transductive), way_out


def _splits(place: int, checked: CheckedSet) -> list[Group]:
    splits = np.array([split or "" for split in checked.looked.rows["split"].to_pylist()], dtype=object)
    return [
        Group(place, f"{checked.given.name} ({split or 'no split'})", checked.looked, np.flatnonzero(splits == split))
        for split in sorted(set(splits))
    ]


def _severities(roles: set[Role], transductive: bool) -> dict[str, Severity]:
    """Rounds refuse a pool that is judged by; what else meets is the user's to judge."""
    pooled = bool(roles & _POOLS)
    meant = not roles & _JUDGES or roles == {"source", "calibration"} or (pooled and transductive)
    shared: Severity = "note" if meant else "error" if pooled else "warning"
    alike: Severity = "note" if meant else "warning"
    return {kind: alike if kind == "near_duplicate" else shared for kind in KINDS}
