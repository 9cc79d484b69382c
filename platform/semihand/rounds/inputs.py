"""What a user named, looked at before anything is made or started: a wrong path costs a second, not an hour."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.truth import open_truth, whole_poses, without_truth
from semihand.methods.semihand.weights import load_model
from semihand.rounds.config import RoundConfig
from semihand.steps.calibrate import LEAST_FRAMES
from semihand.steps.guarantee import recordings_to_fit
from semihand.steps.radii import LEAST_CROPS
from semihand.steps.recordings import recordings
from semihand.tables import scan
from semihand.tables.rows import filter_rows

_RAY_COPY = "working_dir_files"  # where Ray unpacks the working folder of a submitted job


def check_inputs(config: RoundConfig, begun: bool) -> None:
    """Refuse what a campaign would stumble over hours later.

    Args:
        config: what the user said.
        begun: pool, source and teachers were looked at when the campaign began, and may have gone since.

    Raises:
        InputError: names the option, its value and the way out.
    """
    _check_folder(config.campaign)
    _check_batches(config)
    _check_two(config)
    _check_teachers(config, begun)
    _check_held_out(config)
    if not begun:
        _check_taken_in(config)
    _check_guarantee(config)
    if config.calibration is not None:
        num = known_frames(config, config.calibration).num_rows
        if num < LEAST_FRAMES:
            raise InputError(
                f"--calibration {config.calibration} has {num} frames with 3D truth, but {LEAST_FRAMES} are the "
                "least to fit to. Give more, or leave it out to calibrate on held-out source frames."
            )
    if config.evaluation is not None:
        known_frames(config, config.evaluation)


def known_frames(config: RoundConfig, path: Path, say: Callable[[str], None] = lambda text: None) -> pa.Table:
    """The frames of a path whose 3D truth may be read.

    Raises:
        InputError: there is none, or the path cannot be listed.
    """
    listing = list_frames(path, list_options(config).model_copy(update={"with_truth": True}))
    if listing.quarantine.num_rows or listing.conversions:
        say(f"{path}: {listing}")
    known = open_truth(listing.frames)
    known = filter_rows(known, known["joints_mm"].is_valid())
    if known.num_rows == 0:
        raise _no_truth(path)
    return known


def list_options(config: RoundConfig) -> ListOptions:
    """What the user says where frames say nothing."""
    return ListOptions(hand=config.hand, box=config.box, frame_step=config.frame_step, limits=config.limits)


def is_store(path: Path) -> bool:
    """Whether a folder is a store of frames, as campaigns and `make_synthetic` leave them."""
    return (path / "tables" / "frames" / "_delta_log").is_dir()


def _check_taken_in(config: RoundConfig) -> None:
    """What a campaign reads once and then has."""
    if config.frames is not None:
        without_truth(list_frames(config.frames, list_options(config)).frames)
    if config.source_domain is None:
        _check_source(config)
    behind = config.data.backgrounds
    if behind is not None and not behind.is_dir():
        raise InputError(f"--data.backgrounds {behind}: no such folder; name one with pictures, or leave it out")


def _check_teachers(config: RoundConfig, begun: bool) -> None:
    if begun:
        return
    cards = {}
    for option, folder in (("--teacher", config.teacher), ("--second_teacher", config.second_teacher)):
        if folder is None:
            continue
        try:
            _, cards[option] = load_model(folder)
        except (OSError, ValueError) as error:
            raise InputError(f"{option} {folder} is no model folder that can be read: {error}") from error
    if "--teacher" in cards and config.label.correct.method == "projection" and cards["--teacher"].palm_mm is None:
        raise InputError(no_palm(config.teacher))
    reads = {name: (card.network.input_px, card.crop_margin) for name, card in cards.items()}
    if config.teacher is None:
        reads["--teacher"] = config.network.input_px, config.crop_margin
    if len(set(reads.values())) > 1:
        (px, margin), (other_px, other_margin) = reads["--teacher"], reads["--second_teacher"]
        raise InputError(
            f"--second_teacher {config.second_teacher} reads crops of {other_px} px and margin {other_margin}, the "
            f"teacher of {px} px and margin {margin}: both must read the same. Name another, or leave it out."
        )


def no_palm(teacher: Path | None) -> str:
    """What to say where labels are to be projected by a model without a palm."""
    return (
        f"--label.correct.method projection needs the palm of a hand, and the card of {teacher} has no palm_mm. "
        "Pre-train a teacher with this version, or use --label.correct.method registration."
    )


def _check_two(config: RoundConfig) -> None:
    if config.second_teacher is not None:
        return
    for option, value, wanted in (
        ("label.combine", config.label.combine, "mean"),
        ("select.weighting", config.select.weighting, "divergence"),
    ):
        if value == wanted:
            raise InputError(f"--{option} {value} needs two teachers: name a model folder with --second_teacher")


def _check_folder(campaign: Path) -> None:
    if _RAY_COPY in campaign.expanduser().resolve().parts:
        raise InputError(
            f"--campaign {campaign} lies in Ray's copy of the working folder, which is deleted after the job. "
            "Give an absolute path that every machine of the cluster sees."
        )


def _check_batches(config: RoundConfig) -> None:
    for name in ("pretrain", "train"):
        try:
            getattr(config, name).check_workers(config.cluster.train.num_workers)
        except ValueError as error:
            raise InputError(f"--{name}: {error}") from error


def _check_held_out(config: RoundConfig) -> None:
    if config.source_domain is not None and config.held_out >= config.data.num_source:
        raise InputError(
            f"--calibrate.num_frames {config.held_out} leaves none of the {config.data.num_source} source frames "
            "to train on. Lower it, or raise --data.num_source."
        )


def _check_guarantee(config: RoundConfig) -> None:
    guarantee = config.select.guarantee
    if guarantee is None:
        return
    if config.calibration is None:
        raise InputError(
            "--select.guarantee is a promise about frames like the pool's, but the calibration set is made of "
            "augmented source frames. Give checked frames with --calibration, or leave the guarantee out."
        )
    known = pl.DataFrame(pl.from_arrow(known_frames(config, config.calibration).select(["frame_id", "sequence_id"])))
    names = recordings(known)
    try:
        to_fit = recordings_to_fit(set(names), guarantee)
    except ValueError as error:
        raise InputError(f"--calibration {config.calibration}: {error}") from error
    num = sum(name in to_fit for name in names)
    if num < LEAST_FRAMES:
        raise InputError(
            f"--calibration {config.calibration}: {num} frames are left to fit the expected error to, but "
            f"{LEAST_FRAMES} are the least. Give more, or raise --select.guarantee.fit_share."
        )


def _check_source(config: RoundConfig) -> None:
    path = Path(str(config.source))
    if is_store(path):
        opened = pl.col("supervision").is_in(["3d", "mano"])
        known = scan(path, "frames").filter(opened).select("joints_mm").collect().to_arrow()
        if known.num_rows == 0:
            raise _no_truth(path)
    else:
        known = known_frames(config, path)
    num = known.num_rows
    if config.teacher is None and whole_poses(known).num_rows == 0:
        raise InputError(
            f"--source {path}: none of {num} frames with 3D truth has all 21 joints, so there is no hand to take bone "
            "lengths from. Give whole hands, or start from a model with --teacher."
        )
    if num <= config.held_out:
        raise InputError(
            f"--source {path} has {num} frames with 3D truth, and {config.held_out} are held out for calibration. "
            "Lower --calibrate.num_frames, or give checked frames with --calibration."
        )
    _check_masks(config, path)


def _check_masks(config: RoundConfig, path: Path) -> None:
    """Radii are fitted to source rows that have a mask and a whole pose, and that training is given."""
    if not any(each.objective.losses.cross_modal_weight for each in (config.pretrain, config.train)):
        return
    columns = ["frame_id", "supervision", "joints_mm", "mask_png"]
    if is_store(path):
        source = open_truth(scan(path, "frames").select(columns).collect().to_arrow())
    else:
        source = known_frames(config, path).select(columns)
    trained_on = whole_poses(source.sort_by("frame_id").slice(config.held_out))
    num = trained_on.num_rows - trained_on["mask_png"].null_count
    if num < LEAST_CROPS:
        raise InputError(
            f"--source {path} has {num} frames to train on with mask_png and all 21 joints_mm, but losses."
            f"cross_modal_weight needs {LEAST_CROPS}. Give masks, or set the weight to 0 in --pretrain and --train."
        )


def _no_truth(path: Path) -> InputError:
    return InputError(
        f"{path} has no frame with 3D truth: give joints_mm, and supervision '3d' or 'mano', for its rows"
    )
