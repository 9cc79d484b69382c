"""Check sets by themselves: what `jobs/check_frames.py` does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import Limits
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.report.check_page import check_page, rows_to_show
from semihand.rounds.localiser import check_localiser, find_job
from semihand.steps.checking.looking import with_pictures
from semihand.steps.checking.sets import ROLES, Checked, CheckedSet, GivenSet, Role, check_sets
from semihand.steps.finding import FrameFinder
from semihand.steps.following import FindConfig

_SHOWN_PX = 300  # longer side of a picture on the page
_MADE_BY_CODE = ("source", "randomised")


def given_sets(paths: Mapping[Role, Sequence[str]]) -> list[GivenSet]:
    """The sets of a command line: `frames`, or `frames 1` and `frames 2` where there are several.

    Raises:
        InputError: there is none.
    """
    sets = []
    for role in ROLES:
        named = [path for path in paths.get(role, ()) if role != "source" or path not in _MADE_BY_CODE]
        names = [role] if len(named) == 1 else [f"{role} {number}" for number in range(1, len(named) + 1)]
        sets += [GivenSet(name, role, path) for name, path in zip(names, named, strict=True)]
    if not sets:
        raise InputError(
            "there is nothing to check: give --frames, --source, --source_2d, --calibration or --evaluation"
        )
    return sets


def open_finder(localiser: Path, config: FindConfig, limits: Limits) -> FrameFinder:
    """A localiser that looks at every picture by itself: a check has no teacher whose joints hands are followed by.

    Raises:
        InputError: it is missing, damaged or no localiser.
    """
    check_localiser(localiser, config)
    return find_job(localiser, None, config.model_copy(update={"frames_per_segment": 1}), limits).open()


def check_and_write(
    sets: Sequence[GivenSet], options: ListOptions, transductive: bool, out: Path, find: FrameFinder | None = None
) -> Checked:
    """Check the sets, and leave `summary.json` and `check.html` in a folder.

    Args:
        sets: from `given_sets`.
        options: what frames do not say themselves.
        transductive: whether pools may be of whom those that judge are.
        out: the folder.
        find: finds the hands of pools where nothing says box or side.

    Raises:
        InputError: the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made: {error.strerror}. Name a folder you may write to.") from error
    checked = check_sets(sets, options, transductive, find)
    (out / "summary.json").write_text(json.dumps(as_json(checked), indent=2, allow_nan=False))
    wanted = rows_to_show(checked)
    shown = {
        (place, row): picture
        for place, each in enumerate(checked.sets)
        for row, picture in _pictures(each, wanted[place], options.limits).items()
    }
    (out / "check.html").write_text(check_page(checked, shown))
    return checked


def as_json(checked: Checked) -> dict[str, Any]:
    """What `summary.json` holds."""
    findings = [{name: value for name, value in asdict(each).items() if name != "rows"} for each in checked.findings]
    sets = [{**each.given._asdict(), **each.facts, "subjects": each.subjects} for each in checked.sets]
    return {"passed": not checked.counts["errors"], **checked.counts, "findings": findings, "sets": sets}


def _pictures(checked: CheckedSet, rows: Sequence[int], limits: Limits) -> dict[int, tuple[np.ndarray, float]]:
    """Pictures of some rows, small, each with its scale."""
    frames = with_pictures(checked.looked, rows, checked.given.path, limits)
    return {
        rows[place]: _small(picture)
        for place, picture in read_pictures(frames, limits)
        if not isinstance(picture, BadFrame)
    }


def _small(picture: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, _SHOWN_PX / max(picture.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)), scale
