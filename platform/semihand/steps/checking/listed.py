"""What listing and decoding a set showed: how much there is, what is missing or broken, what is there twice."""

from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from semihand.steps.checking.findings import NUM_SHOWN, Finding, Severity, Teller
from semihand.steps.checking.looking import Looked
from semihand.tables import as_numpy

# Readable by others and not by us: a round leaves these out and loses nothing else.
_OUR_LIMITS = ("unsupported_format", "too_large", "too_small")
_WAYS_OUT = {
    "missing_file": "complete the set, or correct its paths",
    "changed": "list the set again: the file is no longer what the manifest says",
    "duplicate": "keep one row of each, and give each hand of a picture its own frame_id",
    "bad_hand": "say left or right",
    "bad_truth": "correct the joints, or set those that are not known to null and joints_valid to false",
    "bad_camera": "correct fx, fy, cx, cy, distortion and world_to_camera, or leave them out",
    "bad_box": "give x, y, width and height in px of the upright picture",
    "bad_path": "move the file below the set's folder",
    "bad_name": "rename the file",
    "bad_row": "correct the row",
}
_COUNTED = ["hand", "split", "supervision", "modality", "box_source", "intrinsics_source"]
_NAMED = ["dataset", "subject_id", "sequence_id", "view_id"]
_DAMAGED = "fetch the file again; a round leaves it out and says so"


def set_facts(looked: Looked) -> dict[str, Any]:
    """How much there is of everything, for the page and summary.json."""
    rows = pl.DataFrame(pl.from_arrow(looked.rows.select(_COUNTED + _NAMED)))
    seen = looked.sizes_px[looked.sizes_px[:, 0] > 0]
    sizes = Counter(f"{width} x {height}" for width, height in seen.tolist())
    joints = {name: int(looked.rows[name].is_valid().to_numpy().sum()) for name in ("joints_uv_px", "joints_mm")}
    return {
        "frames": looked.rows.num_rows,
        "refused": dict(Counter(each.reason for each in looked.refused).most_common()),
        "sizes": dict(sizes.most_common(NUM_SHOWN)),
        "num_sizes": len(sizes),
        **{name: {str(key): num for key, num in rows[name].value_counts(sort=True).iter_rows()} for name in _COUNTED},
        **{f"num_{name}": rows[name].replace("", None).drop_nulls().n_unique() for name in _NAMED},
        "with_joints_uv_px": joints["joints_uv_px"],
        "with_joints_mm": joints["joints_mm"],
    }


def find_in_listing(name: str, looked: Looked) -> list[Finding]:
    """Findings about rows and pictures, truth aside."""
    num_all = len(looked.refused) + int((looked.sizes_px[:, 0] > 0).sum())
    if not looked.rows.num_rows and not looked.refused:
        return [Finding("error", "empty", name, 0, 0, "there is no frame in it", "is the set complete?")]
    teller = Teller(name, looked.rows)
    findings = [*_refusals(name, looked, num_all), *_repeats(teller)]
    if looked.rows.num_rows:
        findings += [*_depth_pictures(teller), *_unknown_people(teller), *_assumed(teller, looked.sizes_px)]
    return findings


def _refusals(name: str, looked: Looked, num_all: int) -> list[Finding]:
    """One finding for each reason that frames were refused for."""
    found: dict[str, list[str]] = {}
    details: dict[str, str] = {}
    for each in looked.refused:
        found.setdefault(each.reason, []).append(each.where)
        details.setdefault(each.reason, each.detail)
    findings = []
    for reason, places in found.items():
        severity: Severity = "warning" if reason in _OUR_LIMITS else "error"
        way_out = _WAYS_OUT.get(reason, _DAMAGED)
        shown = tuple(places[:NUM_SHOWN])
        findings.append(Finding(severity, reason, name, len(places), num_all, details[reason], way_out, shown))
    return findings


def _repeats(teller: Teller) -> list[Finding]:
    """Ids that come back in another part of the set, and pictures that stand there under several names."""
    table, num = teller.table, teller.table.num_rows
    columns = ["frame_id", "content_sha256", "video_frame", "hand", "uri"]
    rows = pl.DataFrame(pl.from_arrow(table.select(columns)))
    same_id = ~rows["frame_id"].is_first_distinct().to_numpy()
    picture = pl.struct("content_sha256", "video_frame", "hand")
    named = pl.col("uri").n_unique().over(picture) + pl.col("uri").is_null().sum().over(picture)
    again = rows.select((named > 1) & ~picture.is_first_distinct()).to_series().to_numpy() & ~same_id
    return [
        *teller.tell("error", "duplicate", same_id,
                     ("frames have the id of an earlier one", _WAYS_OUT["duplicate"]), num),
        *teller.tell("warning", "repeated_picture", again,
                     ("the same bytes and the same hand as an earlier frame of another name",
                      "keep one: what is there twice weighs twice"), num),
    ]  # fmt: skip


def _depth_pictures(teller: Teller) -> list[Finding]:
    depth = np.array([modality == "depth" for modality in teller.table["modality"].to_pylist()], bool)
    words = ("pictures measure depth, and rounds label, learn from and evaluate on RGB: they refuse the set",
             "name a set of colour pictures (of FPHA: view=colour)")  # fmt: skip
    return teller.tell("error", "depth_pictures", depth, words, teller.table.num_rows)


def _unknown_people(teller: Teller) -> list[Finding]:
    """Frames of nobody: no bone lengths can be measured, and no leak can be seen."""
    unknown = np.array([not subject for subject in teller.table["subject_id"].to_pylist()], bool)
    words = ("no subject_id, so bone lengths are not measured by person and a leak by person is not seen",
             "give subject_id, or --subject_id, where it is known")  # fmt: skip
    return teller.tell("note", "no_subject", unknown, words, teller.table.num_rows)


def _assumed(teller: Teller, sizes_px: np.ndarray) -> list[Finding]:
    """Frames whose hand is taken to fill the picture, and those whose camera nobody measured."""
    table, num = teller.table, teller.table.num_rows
    region = np.array([source == "region" for source in table["box_source"].to_pylist()], bool)
    boxes_px = as_numpy(table["bbox_px"], np.nan)
    whole = region & (boxes_px[:, :2] == 0).all(axis=1) & (boxes_px[:, 2:] == sizes_px).all(axis=1)
    assumed = np.array([source == "assumed" for source in table["intrinsics_source"].to_pylist()], bool)
    return [
        *teller.tell("note", "whole_picture", whole,
                     ("nothing says where the hand is, so it is taken to fill the picture",
                      "unless it does, give bbox_px or --box, or let a round look with --localiser"), num),
        *teller.tell("note", "assumed_camera", assumed,
                     ("no camera is given, so its focal length is assumed, and labels have no place in space",
                      "give fx, fy, cx and cy, or --intrinsics, where they are known"), num),
    ]  # fmt: skip
