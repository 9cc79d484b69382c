"""What a user named, looked at before anything is made or started: a wrong path costs a second, not an hour."""

from pathlib import Path

import polars as pl
import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.frames.sets.files import forget_annotations
from semihand.frames.truth import known_points, known_poses, open_truth, whole_poses
from semihand.methods.semihand.weights import load_model
from semihand.rounds.config import RoundConfig
from semihand.rounds.given_frames import check_pool, is_store, known_frames, no_truth
from semihand.rounds.leakage import refuse_leakage
from semihand.rounds.localiser import check_localiser
from semihand.steps.calibrate import LEAST_FRAMES
from semihand.steps.evaluate import PROTOCOLS, usable_frames
from semihand.steps.guarantee import recordings_to_fit
from semihand.steps.radii import LEAST_CROPS
from semihand.steps.recordings import recordings
from semihand.tables import scan

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
    if config.localiser is not None and not begun:
        check_localiser(config.localiser, config.find)
    _check_held_out(config)
    pool = None if begun else _check_taken_in(config)
    _check_guarantee(config)
    judging: dict[str, pa.Table | None] = {}
    if config.calibration is not None:
        known = known_frames(config, config.calibration, enough=lambda known: known.num_rows >= LEAST_FRAMES)
        judging["calibration"], num = known, known.num_rows
        if num < LEAST_FRAMES:
            raise InputError(
                f"--calibration {config.calibration} has {num} frames with 3D truth, but {LEAST_FRAMES} are the "
                "least to fit to. Give more, or leave it out to calibrate on held-out source frames."
            )
    if config.evaluation is not None:
        judging["evaluation"] = _checked_evaluation(config, config.evaluation)
    forget_annotations()
    if pool is not None:  # of public data sets only what was listed: all of them are looked at once they are taken in
        refuse_leakage(config, pool, judging)


def _checked_evaluation(config: RoundConfig, path: Path) -> pa.Table:
    """Frames that the protocol can use, as far as they are listed: it is asked only after the pre-training."""

    def problem(known: pa.Table) -> str | None:
        try:
            usable_frames(known, PROTOCOLS[config.protocol])
        except ValueError as error:
            return str(error)
        return None

    known = known_frames(config, path, enough=lambda known: problem(known) is None)
    if lacks := problem(known):
        raise InputError(f"--evaluation {path}: {lacks}")
    return known


def _check_taken_in(config: RoundConfig) -> pa.Table | None:
    """What a campaign reads once and then has; returns the frames to be labelled, None where they are made by code."""
    pool = None
    if config.frames is not None:
        pool = check_pool(config, config.frames)
    if config.source_domain is None:
        _check_source(config)
    if config.source_2d is not None:
        _check_source_2d(config, config.source_2d)
    behind = config.data.backgrounds
    if behind is not None and not behind.is_dir():
        raise InputError(f"--data.backgrounds {behind}: no such folder; name one with pictures, or leave it out")
    return pool


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
    known = pl.DataFrame(pl.from_arrow(known_frames(config, config.calibration, keep=_known_recordings)))
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


def _known_recordings(frames: pa.Table) -> pa.Table:
    return known_poses(frames).select(["frame_id", "sequence_id"])


def _check_source(config: RoundConfig) -> None:
    path = Path(str(config.source))
    if is_store(path):
        opened = pl.col("supervision").is_in(["3d", "mano"])
        known = scan(path, "frames").filter(opened).select("joints_mm").collect().to_arrow()
        if known.num_rows == 0:
            raise no_truth(path)
    else:
        known = known_frames(config, path, enough=lambda known: _lacks(config, known) is None)
    if lacks := _lacks(config, known):
        raise InputError(f"--source {path}: {lacks}")
    _check_masks(config, path)


def _check_source_2d(config: RoundConfig, path: Path) -> None:
    if not is_store(path):
        known_frames(config, path, enough=lambda known: known.num_rows > 0, keep=known_points)
        return
    known = scan(path, "frames").filter(pl.col("supervision") != "none", pl.col("joints_uv_px").is_not_null())
    if known.select("frame_id").head(1).collect().is_empty():
        raise no_truth(path, known_points)


def _lacks(config: RoundConfig, known: pa.Table) -> str | None:
    """What frames with 3D truth do not have that a source needs; None: nothing. More frames never lack more."""
    num = known.num_rows
    if config.teacher is None and whole_poses(known).num_rows == 0:
        return (
            f"none of {num} frames with 3D truth has all 21 joints, so there is no hand to take bone lengths from. "
            "Give whole hands (of STB: wrist=extrapolated), or start from a model with --teacher."
        )
    if num <= config.held_out:
        return (
            f"{num} frames with 3D truth, and {config.held_out} are held out for calibration. "
            "Lower --calibrate.num_frames, or give checked frames with --calibration."
        )
    return None


def _check_masks(config: RoundConfig, path: Path) -> None:
    """Radii are fitted to source rows that have a mask and a whole pose, and that training is given."""
    if not any(each.objective.losses.cross_modal_weight for each in (config.pretrain, config.train)):
        return
    columns = ["frame_id", "supervision", "joints_mm", "mask_png"]
    if is_store(path):
        source = open_truth(scan(path, "frames").select(columns).collect().to_arrow())
    else:
        source = known_frames(config, path, enough=lambda known: _num_masks(config, known) >= LEAST_CROPS)
    num = _num_masks(config, source)
    if num < LEAST_CROPS:
        raise InputError(
            f"--source {path} has {num} frames to train on with mask_png and all 21 joints_mm, but losses."
            f"cross_modal_weight needs {LEAST_CROPS}. Give masks, or set the weight to 0 in --pretrain and --train."
        )


def _num_masks(config: RoundConfig, source: pa.Table) -> int:
    """Masks among the frames that are trained on; more frames never make them fewer."""
    columns = ["frame_id", "joints_mm", "mask_png"]
    trained_on = whole_poses(source.select(columns).sort_by("frame_id").slice(config.held_out))
    return int(trained_on.num_rows - trained_on["mask_png"].null_count)
