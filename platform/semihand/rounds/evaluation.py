"""Evaluate a model by itself: what `jobs/evaluate.py` does."""

import json
from dataclasses import replace
from pathlib import Path

from semihand.frames.errors import InputError
from semihand.frames.listing import joined, list_frames, list_parts
from semihand.frames.options import ListOptions
from semihand.frames.truth import without_pictures_of_truth
from semihand.methods.semihand.weights import CARD, load_model
from semihand.rounds.config import ProtocolName
from semihand.rounds.given_frames import check_pictures, no_hand
from semihand.rounds.ledger import Ledger
from semihand.rounds.localiser import check_localiser, find_job
from semihand.steps.evaluate import PROTOCOLS, evaluate
from semihand.steps.finding import to_be_found
from semihand.steps.following import FindConfig
from semihand.steps.found_rows import split_found
from semihand.steps.label import LabelConfig
from semihand.steps.label_free import label_free_quality
from semihand.tables import Store

_FIND = FindConfig()


def champion_of(campaign: Path) -> Path:
    """The model that the campaign's gate promoted last.

    Raises:
        InputError: there is no campaign here, or it has no model yet.
    """
    store = Store(campaign)
    try:
        ledger = Ledger(store)
        found = ledger.champion()
    except FileNotFoundError:
        raise InputError(
            f"--campaign {campaign}: no campaign here. Name its folder, or a model with --model."
        ) from None
    if found is None:
        raise InputError(f"--campaign {campaign} has no promoted model yet. Let it finish pre-training.")
    return found


def evaluate_frames(frames: Path, model: Path, protocol: ProtocolName, options: ListOptions) -> dict[str, float]:
    """The figures of a model on frames with truth.

    Raises:
        InputError: the model or the frames are not there, or none has truth.
    """
    _check_model(model)
    parts = list_parts(frames, options.model_copy(update={"with_truth": True}))
    listing = joined((replace(part, frames=without_pictures_of_truth(part.frames)) for part in parts), frames)
    check_pictures(listing.frames, frames)
    print(f"{frames}: {listing}")
    try:
        return evaluate(listing.frames, model, PROTOCOLS[protocol], limits=options.limits).metrics
    except ValueError as error:
        raise InputError(f"--frames {frames}: {error}") from error


def look_without_truth(
    frames: Path, model: Path, options: ListOptions, localiser: Path | None = None, find: FindConfig = _FIND
) -> dict[str, float]:
    """Label-free figures of a model on any frames.

    Args:
        frames: where they lie.
        model: a model folder.
        options: what the frames do not say themselves.
        localiser: finds the hands where nothing says box or side, and `no_hand` says in how many frames it finds none;
            None: the box is the whole picture.
        find: how it is asked.

    Raises:
        InputError: the models or the frames are not there, or none can be labelled.
    """
    _check_model(model)
    if localiser is not None:
        check_localiser(localiser, find)
        options = to_be_found(options, frames)
    listing = list_frames(frames, options)
    check_pictures(listing.frames, frames)
    print(f"{frames}: {listing}")
    try:
        if localiser is None:
            return label_free_quality(listing.frames, model, LabelConfig(), options.limits)
        found, lost = split_found(find_job(localiser, model, find, options.limits).open()(listing.frames))
        if not found.num_rows:
            raise no_hand(frames)
        without = float(lost["reason"].to_pylist().count("no_hand"))
        quality = label_free_quality(found, model, LabelConfig(), options.limits)
        unusable = quality["unusable"] + lost.num_rows - without
        return quality | {"unusable": unusable, "no_hand": without}
    except ValueError as error:
        raise InputError(f"--frames {frames}: {error}") from error


def _check_model(model: Path) -> None:
    if not (model / CARD).is_file():
        raise InputError(f"--model {model} is no model folder: it holds no {CARD}")
    try:
        load_model(model)
    except (OSError, ValueError) as error:
        raise InputError(f"--model {model} is no model that can be read: {error}") from error


def write_evaluation(out: Path, model: Path, protocol: str | None, metrics: dict[str, float]) -> Path:
    """`summary.json` in the output folder; no protocol where there was no truth."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "summary.json"
    note = "label-free" if protocol is None else PROTOCOLS[protocol].note
    about = {"model": str(model), "protocol": protocol, "note": note, "evaluation": metrics}
    path.write_text(json.dumps(about, indent=2))
    return path
