"""The frames of a campaign: labelled source, unlabelled pool, calibration and evaluation sets."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.frames.listing import count_in_words, list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.named import is_named, open_set
from semihand.frames.settled import without_ids
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.truth import known_points, known_poses, open_truth, without_truth
from semihand.rounds.campaign import Campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.finding import find_pool
from semihand.rounds.given_frames import check_pictures, is_store, known_frames, no_truth
from semihand.rounds.leakage import refuse_leakage
from semihand.rounds.ledger import Done
from semihand.rounds.listed import write_manifest
from semihand.stages.ingest import ingest_set
from semihand.stages.synthesis import synthesise
from semihand.steps.checking.sharing import WHO
from semihand.steps.harden import harden_frames
from semihand.steps.training_data import DataSource, read_frames
from semihand.tables import FRAMES, Store, scan
from semihand.tables.schemas import PICTURES_OF_TRUTH
from semihand.words import counted

# Seeds of the sets made by code, apart from one another: frames of one are never frames of another.
_TARGET, _EVALUATION = 1000, 2000


def source_folder(campaign: Campaign) -> Path:
    """The labelled source as a store of frames: made by code, the user's own, or taken in from a manifest."""
    config = campaign.config
    if config.source_domain is not None:
        data = config.data
        synthetic = SyntheticConfig(
            domain=config.source_domain,  # type: ignore[arg-type]
            seed=data.seed,
            num_frames=data.num_source,
            size_px=data.size_px,
            backgrounds=None if data.backgrounds is None else str(data.backgrounds.resolve()),
        )
        return _made(campaign, "source", synthetic)
    path = Path(str(config.source))
    if is_store(path):
        return path.resolve()
    return _taken_in(campaign, "source", path)


def source_2d_folder(campaign: Campaign) -> Path | None:
    """Frames with truth in the picture as a store, None where there are none."""
    path = campaign.config.source_2d
    if path is None:
        return None
    return path.resolve() if is_store(path) else _taken_in(campaign, "source_2d", path, known_points)


def labelled_data(config: RoundConfig, source: Path, source_2d: Path | None) -> DataSource:
    """What is learned from by its truth, but for the frames that are held out for calibration."""
    return DataSource(
        str(source),
        held_out=config.held_out,
        limits=config.limits,
        source_2d=None if source_2d is None else str(source_2d),
    )


def evaluation_frames(campaign: Campaign) -> pa.Table | None:
    """Frames with truth for the report; the synthetic target has its own, a user's pool only if one is named."""
    config = campaign.config
    if config.evaluation is not None:
        return _checked(campaign, "evaluation", config.evaluation)
    if config.frames is not None:
        return None
    data = config.data
    synthetic = SyntheticConfig(
        domain="target",
        seed=data.seed + _EVALUATION,
        num_frames=data.num_evaluation,
        size_px=data.size_px,
        supervision="mano",
    )
    return read_frames(_made(campaign, "evaluation", synthetic))


def calibration_frames(campaign: Campaign, source: Path) -> pa.Table:
    """Checked real frames where the user has them; else held-out source frames under strong augmentation."""
    config = campaign.config
    if config.calibration is not None:
        return _checked(campaign, "calibration", config.calibration)
    held_out = open_truth(read_frames(source).slice(0, config.calibrate.num_frames))
    return harden_frames(held_out, config.harden, config.limits)


def ingest_pool(campaign: Campaign, teacher: Path | None = None) -> Done:
    """List the unlabelled frames into the campaign's FRAMES table, truth dropped first, failures quarantined.

    Args:
        campaign: says which frames.
        teacher: the pose model that boxes follow hands by, where a localiser finds them.
    """
    config = campaign.config
    path = config.frames
    if path is None:
        data = config.data
        synthetic = SyntheticConfig(
            domain="target", seed=data.seed + _TARGET, num_frames=data.num_target, size_px=data.size_px
        )
        path = _made(campaign, "target", synthetic)
    models: dict[str, str] = {}
    if config.localiser is not None and teacher is not None:
        converted, models = find_pool(campaign, path, teacher)
    else:
        converted = _ingest_named(campaign, path) if is_named(path) else _ingest_listed(campaign, path)
    num_frames = scan(campaign.store, "frames").select(pl.len()).collect().item()
    refused = scan(campaign.store, "quarantine", round=0).select("reason").collect()["reason"]
    campaign.say(f"{path}: {count_in_words(num_frames, Counter(refused), converted)}")
    metrics = {"frames": float(num_frames), "quarantined": float(len(refused))}
    metrics |= {f"converted_{code}": float(count) for code, count in sorted(converted.items())}
    versions = {name: campaign.store.version(name) for name in ("frames", "quarantine")}
    return Done(metrics, versions=versions, hashes=models | write_manifest(campaign))


def _ingest_named(campaign: Campaign, path: Path) -> Counter[str]:
    options = ListOptions.said_by(campaign.config)
    converted = ingest_set(open_set(path, options.limits), options, without_truth, campaign.store, campaign.say)
    _refuse_depth(campaign.store, path)
    return converted


def _refuse_depth(store: Store, path: Path) -> None:
    """A look at all parts of a data set, of which `check_inputs` saw the first."""
    check_pictures(scan(store, "frames").select("modality").collect().to_arrow(), path)


def _ingest_listed(campaign: Campaign, path: Path) -> Counter[str]:
    """List into both tables; frames that a run before this one has committed are none of this one's."""
    listing = list_frames(path, ListOptions.said_by(campaign.config))
    check_pictures(listing.frames, path)
    known = set(scan(campaign.store, "frames").select("frame_id").collect()["frame_id"])
    new = without_ids(without_truth(listing.frames), known)
    if new.num_rows:
        campaign.store.append("frames", new)
    campaign.store.replace_round("quarantine", without_ids(listing.quarantine, known), 0)
    return listing.conversions


def check_leakage(
    campaign: Campaign, source: Path, evaluation: pa.Table | None, calibration: Callable[[], pa.Table]
) -> dict[str, str]:
    """What the campaign's pool, as it is now, shares with the sets it is judged by, as tags of the record.

    Raises:
        InputError: something, and nobody said that it is meant.
    """
    config = campaign.config
    pool = scan(campaign.store, "frames").select(WHO).collect().to_arrow()
    points = source_2d_folder(campaign)
    if points is not None:
        pool = pa.concat_tables([pool, scan(points, "frames").select(WHO).collect().to_arrow()])
    if config.calibration is None:  # the frames as they were before they were hardened
        held_out = scan(source, "frames").sort("frame_id").head(config.calibrate.num_frames)
        checked = held_out.select(WHO).collect().to_arrow()
    else:
        checked = calibration()
    return refuse_leakage(config, pool, {"evaluation": evaluation, "calibration": checked})


def make_set(config: SyntheticConfig, folder: Path) -> int:
    """Fill a folder with a synthetic set and say how many frames were made; none if all were there.

    Raises:
        InputError: the folder holds another set.
    """
    store = Store(folder)
    store.create(["frames"])
    before = store.version("frames")
    try:
        synthesise(config, store, print)
    except ValueError as error:
        raise InputError(str(error)) from error
    return 0 if store.version("frames") == before else config.num_frames


def _made(campaign: Campaign, name: str, synthetic: SyntheticConfig) -> Path:
    """A set made by code, kept in the campaign's folder."""
    folder = campaign.folder / name
    synthesise(synthetic, Store(folder), campaign.say)
    return folder


def _taken_in(campaign: Campaign, name: str, path: Path, keep: Callable[[pa.Table], pa.Table] = known_poses) -> Path:
    """A user's labelled set as a store in the campaign's folder."""
    store = Store(campaign.folder / name)
    store.create(["frames"])
    if scan(store, "frames").head(1).collect().is_empty():
        if is_named(path):
            options = ListOptions.said_by(campaign.config).model_copy(update={"with_truth": True})
            ingest_set(open_set(path, options.limits), options, keep, store, campaign.say)
            _refuse_depth(store, path)
            _say_left_out(campaign, path, store, keep)
        else:
            store.append("frames", known_frames(campaign.config, path, campaign.say, keep=keep))
    return campaign.folder / name


def _say_left_out(campaign: Campaign, path: Path, store: Store, keep: Callable[[pa.Table], pa.Table]) -> None:
    left_out = scan(store, "quarantine").select("reason", "detail").collect()
    if len(left_out):
        reason, detail = left_out.row(0)
        campaign.say(f"{path}: {counted(len(left_out), 'frame')} left out; first: {reason}, {detail}")
    if scan(store, "frames").head(1).collect().is_empty():
        raise no_truth(path, keep)


def _checked(campaign: Campaign, name: str, path: Path) -> pa.Table:
    """Frames with truth that figures are taken on; masks and depths of a public data set stay on the disk."""
    if not is_named(path):
        return known_frames(campaign.config, path, campaign.say)
    # Named by what it holds: another evaluation set may follow in the same campaign.
    digest = hashlib.sha256(f"{path} {ListOptions.said_by(campaign.config)}".encode()).hexdigest()[:8]
    folder = _taken_in(campaign, f"{name}-{digest}", path)
    unread = [pl.lit(None, pl.Binary).alias(name) for name in PICTURES_OF_TRUTH]
    frames = scan(folder, "frames").with_columns(unread).sort("frame_id").collect().to_arrow()
    return pa.Table.from_arrays([frames[name].cast(FRAMES.field(name).type) for name in FRAMES.names], schema=FRAMES)
