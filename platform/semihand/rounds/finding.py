"""A pool that a localiser looks at: listed as it is, then a row for every hand, or the reason why there is none."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from semihand.frames.listing import list_frames
from semihand.frames.sets.named import is_named, open_set
from semihand.frames.settled import settled_ids, without_ids
from semihand.frames.truth import without_truth
from semihand.methods.semihand.weights import read_card
from semihand.rounds.campaign import Campaign
from semihand.rounds.given_frames import check_pictures, no_hand, pool_options
from semihand.rounds.localiser import check_localiser, find_job, kept_localiser
from semihand.stages.finding import Finders, find_frames
from semihand.stages.ingest import ingest_set
from semihand.steps.finding import unsaid
from semihand.steps.training_data import read_frames
from semihand.tables import Store, scan
from semihand.tables.rows import filter_rows
from semihand.workforce import Actors


@dataclass(frozen=True)
class Listed:
    """What a pool holds, before anyone looked for hands."""

    frames: pa.Table
    quarantine: pa.Table
    conversions: Counter[str]


def find_pool(campaign: Campaign, path: Path, teacher: Path) -> tuple[Counter[str], dict[str, str]]:
    """List the unlabelled frames, truth dropped first, and find their hands, into the campaign's tables.

    Args:
        campaign: with a localiser.
        path: the pool.
        teacher: the pose model that a box follows a hand by.

    Returns:
        How many frames are converted, and the sha256 of both models, by what they are.

    Raises:
        InputError: there is no hand in any of them, or they cannot be listed.
    """
    config, store = campaign.config, campaign.store
    localiser = kept_localiser(campaign.folder)
    assert localiser is not None, "find_pool without a localiser"
    listed = _listed_by_actors(campaign, path) if is_named(path) else _listed(campaign, path)
    _add_missing(store, "quarantine", listed.quarantine)
    _add_missing(store, "frames", filter_rows(listed.frames, ~unsaid(listed.frames)))
    label = config.cluster.label  # the same actors, at another time
    find_frames(
        listed.frames,
        find_job(localiser, teacher, config.find, config.limits),
        store,
        Finders(
            Actors(label.num_actors, label.cpus_per_actor, label.gpus_per_actor),
            attempts=campaign.attempts(0),
        ),
        lambda done, of: campaign.say(f"  hands sought in {done} of {of} pieces"),
    )
    if scan(store, "frames").head(1).collect().is_empty():
        raise no_hand(path)
    models = {"localiser": check_localiser(localiser, config.find), "teacher": read_card(teacher).sha256}
    return listed.conversions, models


def models_of_boxes(campaign: Campaign) -> dict[str, str]:
    """The sha256 of the models that found the pool's hands, as tags of the record; none without a localiser."""
    ingested = campaign.ledger.finished(0, "ingest")
    return {} if ingested is None else {f"boxes_by_{name}": sha256 for name, sha256 in ingested.hashes.items()}


def _listed(campaign: Campaign, path: Path) -> Listed:
    listing = list_frames(path, pool_options(campaign.config, path))
    check_pictures(listing.frames, path)
    return Listed(without_truth(listing.frames), listing.quarantine, listing.conversions)


def _listed_by_actors(campaign: Campaign, path: Path) -> Listed:
    """A public data set goes into a store of its own first: its frames are many, and few of them lack a box."""
    options, store = pool_options(campaign.config, path), Store(campaign.folder / "listed")
    converted = ingest_set(open_set(path, options.limits), options, without_truth, store, campaign.say)
    frames, quarantine = read_frames(store.folder), scan(store, "quarantine").collect().to_arrow()
    check_pictures(frames, path)
    return Listed(frames, quarantine, converted)


def _add_missing(store: Store, name: str, rows: pa.Table) -> None:
    """The rows of frames that a run before this one has added to neither table."""
    new = without_ids(rows, settled_ids(store))
    if new.num_rows:
        store.append(name, new)
