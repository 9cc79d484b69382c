"""The leakage guard: whom a campaign is judged by must not be among the frames that it labels and learns from."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.rounds.config import RoundConfig
from semihand.steps.checking.sharing import Shared, shared_by


class Judge(NamedTuple):
    """A set that a campaign is judged by: how messages call it, and whether it is made by code beside its pool."""

    called: str
    is_made: bool


def judges_of(config: RoundConfig) -> dict[str, Judge]:
    """The evaluation and calibration sets of a campaign, whether it has them or not.

    Sets made by code are drawn apart by their seeds, the pool's pictures from the evaluation's, but of the same people:
    that is what these sets are, so it is recorded and not refused.
    """
    all_made = config.frames is None
    held_out = f"the calibration set ({config.held_out} frames held out of the source)"
    return {
        "evaluation": Judge(f"--evaluation {config.evaluation}", all_made and config.evaluation is None),
        "calibration": Judge(
            held_out if config.calibration is None else f"--calibration {config.calibration}",
            all_made and config.calibration is None and config.source_domain is not None,
        ),
    }


def refuse_leakage(config: RoundConfig, pool: pa.Table, judging: Mapping[str, pa.Table | None]) -> dict[str, str]:
    """What the pool shares with each set that judges, as tags of the record; an error unless it is meant.

    Args:
        config: with --transductive where it is meant.
        pool: the frames to be labelled.
        judging: the evaluation and calibration sets that there are.

    Raises:
        InputError: a subject, sequence, instant or picture of theirs is in the pool; names some.
    """
    judges, tags = judges_of(config), {"transductive": str(config.transductive).lower()}
    for name, frames in judging.items():
        if frames is None:
            continue
        shared = shared_by(pool, frames)
        if shared and not (config.transductive or judges[name].is_made):
            raise InputError(_refusal(judges[name].called, shared))
        tags[f"shared_with_{name}"] = _said(shared)
    return tags


def _refusal(called: str, shared: Shared) -> str:
    return (
        f"{called} shares {shared.said()} with the frames to be labelled or learned from: it would judge a model by "
        "what the model learned from. Leave them out of one of both (where different people have one name, rename "
        "them), or say --transductive if it is meant."
    )


def _said(shared: Shared) -> str:
    unknown = f"; {shared.num_unknown} of {shared.num_frames} frames are of unknown subjects"
    return shared.said() + (unknown if shared.num_unknown else "")
