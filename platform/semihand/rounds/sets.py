"""The frames of a campaign: labelled source, unlabelled pool, calibration and evaluation sets."""

from pathlib import Path

import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.truth import open_truth, without_truth
from semihand.rounds.campaign import Campaign
from semihand.rounds.inputs import is_store, known_frames, list_options
from semihand.rounds.ledger import Done
from semihand.stages.synthesis import synthesise
from semihand.steps.harden import harden_frames
from semihand.steps.training_data import read_frames
from semihand.tables import Store, scan
from semihand.tables.rows import take_rows

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


def evaluation_frames(campaign: Campaign) -> pa.Table | None:
    """Frames with truth for the report; the synthetic target has its own, a user's pool only if one is named."""
    config = campaign.config
    if config.evaluation is not None:
        return known_frames(config, config.evaluation, campaign.say)
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
        return known_frames(config, config.calibration, campaign.say)
    held_out = open_truth(read_frames(source).slice(0, config.calibrate.num_frames))
    return harden_frames(held_out, config.harden, config.limits)


def ingest_pool(campaign: Campaign) -> Done:
    """List the unlabelled frames into the campaign's FRAMES table, truth dropped first, failures quarantined."""
    config = campaign.config
    path = config.frames
    if path is None:
        data = config.data
        synthetic = SyntheticConfig(
            domain="target", seed=data.seed + _TARGET, num_frames=data.num_target, size_px=data.size_px
        )
        path = _made(campaign, "target", synthetic)
    listing = list_frames(path, list_options(config))
    campaign.say(f"{path}: {listing}")
    frames = without_truth(listing.frames)
    known = set(scan(campaign.store, "frames").select("frame_id").collect()["frame_id"])
    new = [row for row, frame_id in enumerate(frames["frame_id"].to_pylist()) if frame_id not in known]
    if new:
        campaign.store.append("frames", take_rows(frames, new))
    if listing.quarantine.num_rows:
        campaign.store.replace_round("quarantine", listing.quarantine, 0)
    metrics = {"frames": float(frames.num_rows), "quarantined": float(listing.quarantine.num_rows)}
    metrics |= {f"converted_{code}": float(count) for code, count in sorted(listing.conversions.items())}
    return Done(metrics, versions={name: campaign.store.version(name) for name in ("frames", "quarantine")})


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


def _taken_in(campaign: Campaign, name: str, path: Path) -> Path:
    """A user's labelled set as a store in the campaign's folder."""
    store = Store(campaign.folder / name)
    store.create(["frames"])
    if scan(store, "frames").head(1).collect().is_empty():
        store.append("frames", known_frames(campaign.config, path, campaign.say))
    return campaign.folder / name
