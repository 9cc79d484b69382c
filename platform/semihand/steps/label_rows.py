"""The rows that labelling leaves: a label, or the reason why there is none, under one schema."""

import io
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from PIL import Image

from semihand.frames.errors import BadFrame
from semihand.tables import LABELS, QUARANTINE, Store, fixed_list_column
from semihand.tables.rows import filter_rows, take_rows

_FAILURE = ("failure_reason", "failure_detail", "failure_uri")
# LABELS with every column nullable, and what a frame that failed says instead.
LABELLED = pa.schema(
    [
        *(field.with_nullable(True) for field in LABELS),
        *(pa.field(name, pa.string()) for name in _FAILURE),
    ]
)


def label_columns(
    rows: pa.Table,
    about: Mapping[str, object],
    arrays: Mapping[str, np.ndarray | None],
    masks: Float[np.ndarray, "batch rows columns"],
) -> pa.Table:
    """LABELLED rows from arrays; columns nobody fills are null.

    Args:
        rows: frame_id and subject_id of the frames.
        about: what all rows share: round, labeller, model.
        arrays: columns by name, a row each; masked rows are null.
        masks: predicted hand masks of the crops, 0..1.
    """
    num = rows.num_rows
    columns = []
    for field in LABELLED:
        values = arrays.get(field.name)
        if field.name in rows.column_names:
            columns.append(rows[field.name].combine_chunks().cast(field.type))
        elif field.name in about:
            columns.append(pa.array([about[field.name]] * num, field.type))
        elif field.name == "mask_png":
            columns.append(pa.array([_png(mask) for mask in masks], field.type))
        elif values is None:
            columns.append(pa.nulls(num, field.type))
        else:
            columns.append(_column(values).cast(field.type))
    return pa.Table.from_arrays(columns, schema=LABELLED)


def quarantined(frames: pa.Table, failures: list[tuple[int, BadFrame]], round_number: int, labeller: str) -> pa.Table:
    """LABELLED rows of frames that failed."""
    rows = take_rows(frames.select(["frame_id", "subject_id", "uri"]), [row for row, _ in failures])
    given = {
        "frame_id": rows["frame_id"].combine_chunks(),
        "subject_id": rows["subject_id"].combine_chunks(),
        "round": pa.array([round_number] * len(failures), pa.int32()),
        "labeller": pa.array([labeller] * len(failures), pa.string()),
        "failure_reason": pa.array([failure.reason for _, failure in failures], pa.string()),
        "failure_detail": pa.array([failure.detail for _, failure in failures], pa.string()),
        "failure_uri": rows["uri"].combine_chunks(),
    }
    columns = [given.get(field.name, pa.nulls(len(failures), field.type)) for field in LABELLED]
    return pa.Table.from_arrays(columns, schema=LABELLED)


def split_labelled(labelled: pa.Table) -> tuple[pa.Table, pa.Table]:
    """LABELLED as the LABELS rows and the QUARANTINE rows it holds."""
    failed = labelled["failure_reason"].is_valid()
    good, bad = filter_rows(labelled, pa.compute.invert(failed)), filter_rows(labelled, failed)
    labels = pa.Table.from_arrays([good[name] for name in LABELS.names], schema=LABELS)
    given = {
        "frame_id": bad["frame_id"],
        "uri": bad["failure_uri"],
        "round": bad["round"],
        "stage": pa.array(["label"] * bad.num_rows, pa.string()),
        "reason": bad["failure_reason"],
        "detail": bad["failure_detail"],
    }
    quarantine = pa.Table.from_arrays([given[name] for name in QUARANTINE.names], schema=QUARANTINE)
    return labels, quarantine


def write_labelled(labelled: pa.Table, store: Store, round_number: int) -> pa.Table:
    """Write both kinds of rows; gives a row of metadata per file, which is all that travels on.

    It stands here and not beside the actors because whoever only writes should not have to load a network's libraries.
    """
    labels, quarantine = split_labelled(labelled)
    written = [
        store.write_shard("labels", labels, round_number).as_row(),
        store.write_shard("quarantine", quarantine, round_number).as_row(),
    ]
    return pa.Table.from_pylist(written)


def _column(values: np.ndarray) -> pa.Array:
    numbers = values if values.dtype == bool else np.asarray(values, dtype=np.float32)
    return fixed_list_column(numbers, ~np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None)


def _png(mask: Float[np.ndarray, "rows columns"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.where(mask >= 0.5, 255, 0).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
