"""Where a fit's data lie, and how a worker loads them: paths travel, not pictures."""

from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from semihand.frames.limits import STANDARD, Limits
from semihand.frames.truth import known_points, open_truth, without_truth
from semihand.methods.semihand.batches import concatenated
from semihand.methods.semihand.weights import ModelCard
from semihand.steps.batching import Data
from semihand.steps.cropping import read_crops
from semihand.steps.training_set import kept_corrections, source_2d_crops, source_crops, target_crops
from semihand.tables import FRAMES, scan


class DataSource(NamedTuple):
    """Everything a fit reads, by path and version."""

    source: str  # a store whose frames are the labelled source
    held_out: int = 0  # its first frames by id are kept for calibration
    campaign: str | None = None  # the store of frames, labels and selections; None: source only
    round_number: int = 0
    versions: tuple[tuple[str, int], ...] = ()  # of the campaign's tables
    limits: Limits = STANDARD  # what reading a frame may take
    source_2d: str | None = None  # a store of frames whose joints are known in the picture alone


def load_data(data: DataSource, card: ModelCard, with_registered: bool = False) -> Data:
    """Read and cut out all crops of a fit.

    Args:
        data: where they lie.
        card: the network's input.
        with_registered: also read the corrected poses of the labels, for the registration term of eq. 5.
    """
    source = read_frames(data.source).slice(data.held_out)
    crops = source_crops(open_truth(source), card, data.limits)
    if data.source_2d is not None:
        points = source_2d_crops(known_points(read_frames(data.source_2d)), card, data.limits)
        crops = concatenated([crops, points])
    if data.campaign is None:
        return Data(crops, None)
    versions = dict(data.versions)
    frames = without_truth(read_frames(data.campaign, version=versions.get("frames")))
    labels = selected_labels(data.campaign, data.round_number, versions)
    made = scan(data.campaign, "labels", version=versions.get("labels"), round=data.round_number)
    registered = kept_corrections(made) if with_registered else None
    return Data(crops, target_crops(frames, labels, card, registered, data.limits))


class CropIds(NamedTuple):
    """Which frames the crops of a fit show, row for row."""

    source: list[str]
    target: list[str]


def crop_ids(data: DataSource, card: ModelCard) -> CropIds:
    """The frame_ids behind `load_data`'s rows; reads every picture again."""

    def readable(frames: pa.Table) -> list[str]:
        ids = frames["frame_id"].to_pylist()
        return [ids[row] for row in read_crops(frames, card.network.input_px, card.crop_margin, data.limits).rows]

    source = readable(read_frames(data.source).slice(data.held_out))
    if data.source_2d is not None:
        source += readable(known_points(read_frames(data.source_2d)))
    if data.campaign is None:
        return CropIds(source, [])
    return CropIds(source, readable(read_frames(data.campaign, version=dict(data.versions).get("frames"))))


def selected_labels(campaign: str, round_number: int, versions: dict[str, int]) -> pl.DataFrame:
    """frame_id, label_mm and joint_weight of the labels that a round selected."""
    labels = scan(campaign, "labels", version=versions.get("labels"), round=round_number)
    selections = scan(campaign, "selections", version=versions.get("selections"), round=round_number)
    chosen = selections.filter(pl.col("selected"))
    keys = ["frame_id", "round", "labeller"]
    joined = labels.join(chosen, on=keys, how="inner")
    return joined.select("frame_id", "label_mm", "joint_weight").sort("frame_id").collect()


def read_frames(campaign: str | Path, version: int | None = None) -> pa.Table:
    """The FRAMES of a store, ordered by frame_id so that a row number means the same on every worker."""
    table = scan(campaign, "frames", version=version).sort("frame_id").collect().to_arrow()
    return pa.Table.from_arrays([table[name].cast(FRAMES.field(name).type) for name in FRAMES.names], schema=FRAMES)
