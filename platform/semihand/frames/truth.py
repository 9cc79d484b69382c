"""Who may see the truth: labelled sets, as far as their supervision goes, and nobody else."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semihand.frames.errors import BadFrame, InputError
from semihand.hand.skeleton import MIDDLE_MCP, NUM_JOINTS, WRIST
from semihand.tables.arrays import as_numpy
from semihand.tables.rows import filter_rows, take_rows, without_values
from semihand.tables.schemas import PICTURES_OF_TRUTH, TRUTH_COLUMNS

_PICTURE_TRUTH = frozenset({"joints_uv_px", "joints_valid", "mask_png", "parts_png"})
_SPACE_TRUTH = _PICTURE_TRUTH | {"joints_mm", "depth_png"}
OPENED: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "2d": _PICTURE_TRUTH,
    "3d": _SPACE_TRUTH,
    "mano": _SPACE_TRUTH | {"mano_pose", "mano_shape", "mano_translation_mm"},
}
# Wrist to middle MCP is 60 to 120 mm on adults; wider, because children and synthetic hands are hands too.
PALM_MM = (30.0, 200.0)


def without_truth(frames: pa.Table) -> pa.Table:
    """The same rows, every truth column null, supervision `none`; the first step of an unlabelled path.

    Raises:
        InputError: a box was drawn from the truth, so the crop itself would carry it.
    """
    if "box_source" in frames.column_names:
        drawn = pc.sum(pc.equal(frames["box_source"], "truth")).as_py() or 0
        if drawn:
            raise InputError(
                f"{drawn} of {frames.num_rows} unlabelled frames have box_source 'truth'; give boxes that "
                "were found without it (box_source given, region or localiser), or none"
            )
    hidden: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name in TRUTH_COLUMNS:
        if name in frames.column_names:
            hidden[name] = pa.nulls(frames.num_rows, frames.schema.field(name).type)
    if "supervision" in frames.column_names:
        hidden["supervision"] = pa.array(["none"] * frames.num_rows, pa.string())
    return _replace(frames, hidden)


def without_pictures_of_truth(frames: pa.Table) -> pa.Table:
    """The same rows without masks, depths and parts, which figures of joints do not need and which fill the memory."""
    names = [name for name in PICTURES_OF_TRUTH if name in frames.column_names]
    return _replace(frames, {name: pa.nulls(frames.num_rows, frames.schema.field(name).type) for name in names})


def open_truth(frames: pa.Table) -> pa.Table:
    """The same rows with the truth that each row's supervision opens, and null everywhere else.

    `2d` opens joints_uv_px, joints_valid, mask and parts; `3d` joints_mm and depth as well; `mano` all.

    Raises:
        InputError: a supervision is none of these.
    """
    supervision = frames["supervision"].to_pylist()
    unknown = sorted({str(value) for value in supervision} - OPENED.keys())
    if unknown:
        raise InputError(f"supervision is {unknown[0]!r}, but must be one of {', '.join(OPENED)}")
    opened: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name in TRUTH_COLUMNS:
        if name in frames.column_names:
            hidden = np.array([name not in OPENED[value] for value in supervision], dtype=bool)
            opened[name] = without_values(frames[name], hidden)
    return _replace(frames, opened)


def known_poses(frames: pa.Table) -> pa.Table:
    """The rows whose joints in space may be read, with the truth that their supervision opens."""
    known = open_truth(frames)
    return filter_rows(known, known["joints_mm"].is_valid())


def known_points(frames: pa.Table) -> pa.Table:
    """The rows whose joints in the picture may be read, with the truth that their supervision opens."""
    known = open_truth(frames)
    return filter_rows(known, known["joints_uv_px"].is_valid())


def whole_poses(frames: pa.Table) -> pa.Table:
    """The rows whose 21 joints are all known in space; what measures errors in mm can use no others."""
    return poses_with(frames, range(NUM_JOINTS), NUM_JOINTS)


def poses_with(frames: pa.Table, joints: Sequence[int], at_least: int) -> pa.Table:
    """The rows in which so many of these joints are known in space."""
    rows, joints_mm = _present(frames["joints_mm"])
    return take_rows(frames, rows[np.isfinite(joints_mm[:, list(joints)]).all(-1).sum(-1) >= at_least])


def check_truth(frames: pa.Table, is_part: bool = False, any_size: bool = False) -> dict[int, BadFrame]:
    """The rows whose truth cannot be one: numbers that are not finite, or a palm of no hand's length.

    Args:
        frames: drafts of FRAMES.
        is_part: whether there are other rows, so that all of these may be wrong by themselves.
        any_size: take palms as long as they are.

    Raises:
        InputError: every palm is wrong, as when joints are in metres or in another order.
    """
    problems: dict[int, BadFrame] = {}
    valid = _valid_joints(frames)
    for name in ("joints_uv_px", "joints_mm", "mano_pose", "mano_shape", "mano_translation_mm"):
        rows, values = _present(frames[name])
        if not len(rows):
            continue
        wrong = ~np.isfinite(values)
        if name.startswith("joints"):
            wrong &= valid[rows][..., None]
        for row in rows[wrong.reshape(len(rows), -1).any(axis=1)]:
            problems.setdefault(int(row), BadFrame("bad_truth", f"{name} is not finite where it is valid"))
    return problems if any_size else _palm_problems(frames, valid, is_part) | problems


def _palm_problems(frames: pa.Table, valid: np.ndarray, is_part: bool) -> dict[int, BadFrame]:
    rows, joints_mm = _present(frames["joints_mm"])
    if not len(rows):
        return {}
    known = valid[rows][:, WRIST] & valid[rows][:, MIDDLE_MCP]
    rows, joints_mm = rows[known], joints_mm[known]
    palm_mm = np.linalg.norm(joints_mm[:, MIDDLE_MCP] - joints_mm[:, WRIST], axis=-1)
    wrong = (palm_mm < PALM_MM[0]) | (palm_mm > PALM_MM[1])
    limits = f"{PALM_MM[0]:g} to {PALM_MM[1]:g} mm"
    if wrong.any() and wrong.all() and not is_part:
        raise InputError(
            f"joints_mm: wrist to middle MCP is {np.median(palm_mm):.4g} mm, but must be {limits}; give "
            "millimetres, in the order wrist, thumb, index, middle, ring, little, each base to tip"
        )
    return {
        int(row): BadFrame("bad_truth", f"joints_mm: wrist to middle MCP is {length:.4g} mm, not {limits}")
        for row, length in zip(rows[wrong], palm_mm[wrong], strict=True)
    }


def _valid_joints(frames: pa.Table) -> np.ndarray:
    valid = np.ones((frames.num_rows, 21), bool)
    rows, given = _present(frames["joints_valid"])
    valid[rows] = given
    return valid


def _present(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that have a value, and the values as one array."""
    rows = np.flatnonzero(column.is_valid().to_numpy())
    return rows, as_numpy(column, np.nan)[rows]


def _replace(frames: pa.Table, columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """The table with some columns exchanged, in the same order and with the same schema metadata."""
    arrays = [columns.get(name, frames[name]) for name in frames.column_names]
    return pa.Table.from_arrays(arrays, schema=frames.schema)
