"""A review read back: the corrections of people as a set of frames with truth, for calibration or as a source."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Bool, Float

from semihand.exports.corrections import Correction, read_task
from semihand.exports.samples import FRAME_COLUMNS, seen_at
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.sets.files import read_annotation
from semihand.hand.camera import intrinsics_matrix
from semihand.rounds.finished import frames_of, labels_of, open_store, sealed_rounds
from semihand.steps.corrected import BONE_SLACK_MM, fits, place_corrected
from semihand.steps.subjects import Lengths
from semihand.tables import FRAMES, SUBJECTS, Store, rows_of, scan

_NUM_COEFFICIENTS = 8


def import_review(campaign: Path, corrected: Path, out: Path) -> dict[str, Any]:
    """Write what people said of a campaign's labels as FRAMES of the supervision that it supports.

    A hand is `3d` where its label's depth still fits the corrected joints (`semihand.steps.corrected`), else `2d`, with
    the joints that the person left or put there as valid ones.

    Args:
        campaign: whose labels were reviewed.
        corrected: Label Studio's export, as JSON.
        out: the folder of the new set.

    Returns:
        What `summary.json` holds: how many hands became what, why some have no place in space, how far joints were
        moved, and what was wrong with some tasks.

    Raises:
        InputError: there is no such campaign, the export cannot be read or holds nothing submitted, or `out` is there.
    """
    if out.exists():
        raise InputError(f"--out {out} is there already; name a new folder, or remove it")
    store, problems, flat = open_store(campaign), Counter[str](), Counter[str]()
    found = _corrections(corrected, problems)
    frames, moved_px = _truth(store, found, problems, flat)
    if not frames.num_rows:
        said = "; ".join(f"{num} {reason}" for reason, num in problems.most_common()) or "it is empty"
        raise InputError(f"--corrected {corrected}: no corrected hand in it ({said}). Submit tasks, export as JSON.")
    made = Store(out)
    made.create(["frames"])
    made.append("frames", frames)
    kinds = Counter(frames["supervision"].to_pylist())
    summary = {
        "hands_3d": kinds["3d"],
        "hands_2d": kinds["2d"],
        "why_2d": dict(flat.most_common()),
        "moved_px_mean": float(moved_px.mean()),
        "moved_px_max": float(moved_px.max()),
        "problems": dict(problems),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2))
    return summary


def _corrections(path: Path, problems: Counter[str]) -> dict[str, Correction]:
    """What was submitted, by frame."""
    if not path.is_file():
        raise InputError(f"--corrected {path}: no such file; name the JSON that Label Studio exported")
    tasks = read_annotation(path)
    if not isinstance(tasks, list):
        raise InputError(f"--corrected {path}: holds no list of tasks; export from Label Studio as JSON")
    found: dict[str, Correction] = {}
    for entry in tasks:
        try:
            correction = read_task(entry)
        except BadFrame as problem:
            problems[problem.detail] += 1
            continue
        if correction is None:
            problems["not submitted, or skipped"] += 1
        elif not correction.seen.any():
            problems["no joint left in it"] += 1
        elif correction.frame_id in found:
            problems["the same label again"] += 1
        else:
            found[correction.frame_id] = correction
    return found


def _truth(
    store: Store, found: dict[str, Correction], problems: Counter[str], flat: Counter[str]
) -> tuple[pa.Table, Float[np.ndarray, " joints"]]:
    """FRAMES of all corrections, and how far each joint was moved, px; what is wrong with some is counted."""
    tables, moved_px = [FRAMES.empty_table()], [np.empty(0)]
    known = sealed_rounds(store)
    for number in sorted({each.round for each in found.values()}):
        of_round = {name: each for name, each in found.items() if each.round == number}
        if number not in known:
            problems[f"of round {number}, which the campaign has not finished"] += len(of_round)
            continue
        frames, moved = _truth_of_round(store, number, of_round, problems, flat)
        tables.append(frames)
        moved_px.append(moved)
    return pa.concat_tables(tables), np.concatenate(moved_px)


def _truth_of_round(
    store: Store, number: int, found: dict[str, Correction], problems: Counter[str], flat: Counter[str]
) -> tuple[pa.Table, Float[np.ndarray, " joints"]]:
    """FRAMES of one round's corrections, and how far each joint was moved, px.

    What is wrong with some, and why others have no place in space, is counted.
    """
    labels = labels_of(store, number, ["label_mm", "joints_uv_px", "root_mm", "subject_id"])
    labels = labels.filter(pl.col("frame_id").is_in(list(found)))
    if len(labels) < len(found):
        problems["a label that the campaign has not"] += len(found) - len(labels)
    ids = labels["frame_id"].to_list()
    frames = frames_of(store, ids, (*FRAME_COLUMNS, "image"))
    uv_px = np.stack([found[name].uv_px for name in ids]) if ids else np.zeros((0, 21, 2))
    seen = np.isfinite(uv_px).all(-1)
    K, distortion = _cameras(frames)
    label_mm = labels["label_mm"].to_numpy().astype(np.float64).reshape(-1, 21, 3)
    lengths_mm = _lengths(store, number, labels["subject_id"].to_list())
    placed = place_corrected(uv_px, label_mm, K, distortion, lengths_mm)
    measured = frames["fx"].is_valid().to_numpy() & (np.array(frames["intrinsics_source"].to_pylist()) == "given")
    raw_px = labels["joints_uv_px"].to_numpy().astype(np.float64).reshape(-1, 21, 2)
    rooted = labels["root_mm"].is_not_null().to_numpy()
    is_placed, shown_px = seen_at(label_mm, raw_px, K, distortion, rooted & measured)
    off = ~placed.is_sound
    reasons = _first_reasons({
        "their camera was not measured (fx, fy, cx and cy of a manifest, or --intrinsics of a round)": ~measured,
        "their label has no place in space": ~rooted,
        "a part of their label lies behind the camera": ~is_placed,
        "joints were left out": np.asarray(~seen.all(-1)),
        f"bones of the label itself are over {BONE_SLACK_MM:g} mm off their lengths": off & ~fits(label_mm, lengths_mm),
        f"corrected joints at the label's depths put bones over {BONE_SLACK_MM:g} mm off their lengths": off,
    })  # fmt: skip
    flat.update(reason for reason in reasons if reason is not None)
    truth = _with_truth(frames, uv_px, placed.joints_mm, [reason is None for reason in reasons])
    return truth, np.linalg.norm(uv_px - shown_px, axis=-1)[seen]


def _first_reasons(reasons: Mapping[str, Bool[np.ndarray, " hands"]]) -> list[str | None]:
    """The first reason that holds of each hand, None where none does."""
    rows = np.stack(list(reasons.values()), axis=-1)
    return [next(compress(reasons, row), None) for row in rows]


def _with_truth(
    frames: pa.Table,
    uv_px: Float[np.ndarray, "hands 21 2"],
    joints_mm: Float[np.ndarray, "hands 21 3"],
    is_3d: Sequence[bool],
) -> pa.Table:
    """FRAMES with what is known of their hands: in the picture, and in space where that is so."""
    in_space = [joints.tolist() if known else None for joints, known in
                zip(joints_mm.astype(np.float32), is_3d, strict=True)]  # fmt: skip
    truth = {
        "joints_uv_px": uv_px.astype(np.float32),
        "joints_valid": np.isfinite(uv_px).all(-1),
        "joints_mm": pa.array(in_space, FRAMES.field("joints_mm").type),
        "supervision": ["3d" if known else "2d" for known in is_3d],
    }
    columns = {name: frames[name] for name in frames.column_names if name not in truth}
    return rows_of(FRAMES, columns | truth)


def _cameras(frames: pa.Table) -> tuple[Float[np.ndarray, "frames 3 3"], Float[np.ndarray, "frames 8"]]:
    """Intrinsics, a unit camera where there are none, and the lens."""
    values = [[1.0, 1.0, 0.0, 0.0] if None in row.values() else list(row.values())
              for row in frames.select(["fx", "fy", "cx", "cy"]).to_pylist()]  # fmt: skip
    distortion = np.zeros((len(values), _NUM_COEFFICIENTS))
    for row, coefficients in enumerate(frames["distortion"].to_pylist()):
        distortion[row, : len(coefficients or [])] = coefficients or []
    return intrinsics_matrix(*np.array(values, np.float64).reshape(-1, 4).T), distortion


def _lengths(store: Store, number: int, subjects: list[str | None]) -> Float[np.ndarray, "labels 20"]:
    """The bone lengths that the round took its subjects to have."""
    known = scan(store, "subjects", round=number).collect().to_arrow()
    return Lengths.of(known.select(SUBJECTS.names)).rows(subjects)
