"""The localiser that a user named: looked at before anything starts, and kept with the campaign that it was used in."""

import os
import shutil
import tempfile
from pathlib import Path

from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.methods.localiser.finding import HandFinder
from semihand.methods.localiser.weights import CARD
from semihand.methods.semihand.weight_folder import WEIGHTS
from semihand.steps.finding import FindJob
from semihand.steps.following import FindConfig

_KEPT = "localiser"  # its copy in a campaign's folder, where every machine sees it


def find_job(localiser: Path, teacher: Path | None, config: FindConfig, limits: Limits) -> FindJob:
    """What finding needs: the models, by where they lie."""
    return FindJob(config, localiser.resolve(), None if teacher is None else teacher.resolve(), limits, HandFinder)


def check_localiser(given: Path, config: FindConfig) -> str:
    """Open the model once, and say who it is: the sha256 of its weights.

    Raises:
        InputError: it is missing, damaged or no localiser.
    """
    if not given.is_dir():
        raise InputError(f"--localiser {given}: no such folder; name the folder of a localiser, or leave it out")
    try:
        return HandFinder(given, "cpu", config.min_score).card.sha256
    except (OSError, ValueError) as error:
        raise InputError(f"--localiser {given} is no localiser that can be read: {error}") from error


def keep_localiser(given: Path | None, campaign: Path) -> None:
    """Copy the model that the user named, unless a copy is there or none was named.

    Raises:
        InputError: it cannot be read.
    """
    if given is None or (campaign / _KEPT).is_dir():
        return
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=campaign))
    try:
        for name in (CARD, WEIGHTS):
            shutil.copyfile(given / name, unfinished / name)
    except OSError as error:
        shutil.rmtree(unfinished)
        raise InputError(f"--localiser {given} cannot be copied into the campaign: {error}") from error
    unfinished.chmod(0o755)
    os.rename(unfinished, campaign / _KEPT)


def kept_localiser(campaign: Path) -> Path | None:
    """The copy; None where a campaign has none."""
    return campaign / _KEPT if (campaign / _KEPT).is_dir() else None
