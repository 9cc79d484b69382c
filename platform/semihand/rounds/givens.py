"""What the labelling of a round is given beside frames and teacher: the hand it assumes, and what was said before."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from semihand.frames.errors import InputError
from semihand.methods.semihand.weights import read_card
from semihand.rounds.campaign import Campaign
from semihand.rounds.inputs import no_palm
from semihand.steps.label import LABELLER
from semihand.steps.previous import COLUMNS
from semihand.steps.subjects import LABEL_COLUMNS, Template
from semihand.tables import files, scan
from semihand.tables.rows import take_rows

CALIBRATION_LABELS = "calibration_labels.parquet"


def template_of(campaign: Campaign, teacher: Path) -> Template:
    """The teacher's own hand; its palm only where the corrections need one.

    Raises:
        InputError: they need one, and the teacher has none.
    """
    card = read_card(teacher)
    lengths_mm = np.array(card.template_mm)
    if campaign.config.label.correct.method != "projection":
        return Template(lengths_mm)
    if card.palm_mm is None:
        raise InputError(no_palm(teacher))
    return Template(lengths_mm, np.array(card.palm_mm))


def accepted_labels(campaign: Campaign, round_number: int) -> pl.DataFrame:
    """What subjects are measured from: a round's selected labels."""
    selections = scan(campaign.store, "selections", round=round_number)
    chosen = selections.filter(pl.col("selected")).select("frame_id", "labeller")
    labels = scan(campaign.store, "labels", round=round_number).select("frame_id", "labeller", *LABEL_COLUMNS)
    return labels.join(chosen, on=["frame_id", "labeller"], how="inner").sort("frame_id", "labeller").collect()


def previous_labels(campaign: Campaign, round_number: int) -> pa.Table | None:
    """The poses of the round before this one, None in the first."""
    before = scan(campaign.store, "labels", round=round_number - 1).filter(pl.col("labeller") == LABELLER)
    rows = before.select(COLUMNS).collect()
    return rows.to_arrow() if len(rows) else None


def keep_calibration(labels: pa.Table, folder: Path) -> None:
    """Leave a round's labels of the calibration set for the next one, which carries them as it does the pool's.

    Actors give their blocks in no order, and the file's hash is in the ledger: its rows go by frame.
    """
    sink = pa.BufferOutputStream()
    by_frame = np.argsort(labels["frame_id"].to_numpy(zero_copy_only=False), kind="stable").tolist()
    pq.write_table(take_rows(labels.select(COLUMNS), by_frame), sink)
    files.write_whole(str(folder / CALIBRATION_LABELS), sink.getvalue().to_pybytes(), "state")


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Keep a table of a round as Parquet, whole or not at all."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    files.write_whole(str(path), buffer.getvalue(), "state")


def previous_calibration(campaign: Campaign, round_number: int) -> pa.Table | None:
    """The calibration set's poses of the round before this one, None in the first."""
    if round_number == 1:
        return None
    return pq.read_table(campaign.kept(round_number - 1, "calibrate", CALIBRATION_LABELS))
