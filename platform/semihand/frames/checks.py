"""Boxes and cameras: filled in where nothing says them, refused where they cannot be."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from semihand.frames.draft import Draft
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.options import ListOptions
from semihand.hand.axes import is_rotation
from semihand.tables.arrays import as_numpy, fixed_list_column

ASSUMED_FOCAL_FACTOR = 1.2  # focal length over longer side: 45 degrees across, between phone and webcam
MAX_BOX_FACTOR = 4.0  # a box so much larger than its picture was measured in another one
MAX_OFF_AXIS = 1.5  # focal lengths from the principal point to the middle of a crop: 56 degrees, more than lenses see
DISTORTION_LENGTHS = (0, 4, 5, 8)

Sizes = Int[np.ndarray, "rows 2"]


def fill_boxes(draft: Draft, sizes_px: Sizes, options: ListOptions) -> Draft:
    """A box for every row, and where it comes from: the row, the caller's region, or the whole picture.

    Where a localiser will find it, a box that neither row nor caller say stays null.

    Args:
        draft: the rows.
        sizes_px: width and height of each row's picture, 0 where it could not be opened.
        options: with the caller's region.
    """
    num_rows = len(sizes_px)
    column = draft.rows["bbox_px"]
    given: np.ndarray = column.is_valid().to_numpy()
    region = options.box or (0.0, 0.0, None, None)
    boxes_px = np.empty((num_rows, 4))
    boxes_px[:, :2] = region[:2]
    boxes_px[:, 2:] = sizes_px if region[2] is None else region[2:]
    boxes_px[given] = as_numpy(column, np.nan)[given]
    for row in np.flatnonzero(_wrong_boxes(boxes_px, sizes_px) & (sizes_px[:, 0] > 0)):
        size = f"{sizes_px[row, 0]} x {sizes_px[row, 1]} px"
        detail = f"box {boxes_px[row].tolist()} has no part, or too small a one, in a picture of {size}"
        draft.note(int(row), BadFrame("bad_box", detail))
    said = draft.rows["box_source"].to_pylist()
    sources = [(source or "given") if has_box else "region" for source, has_box in zip(said, given, strict=True)]
    known: np.ndarray = given | (not options.find_box or options.box is not None)
    return draft.with_columns(
        bbox_px=fixed_list_column(boxes_px.astype(np.float32), known),
        box_source=pa.array(sources, pa.string(), mask=~known),
    )


def _wrong_boxes(boxes_px: Float[np.ndarray, "rows 4"], sizes_px: Sizes) -> np.ndarray:
    start, size = boxes_px[:, :2], boxes_px[:, 2:]
    with np.errstate(invalid="ignore"):
        inside = np.minimum(start + size, sizes_px) - np.maximum(start, 0)
        fine = np.isfinite(boxes_px).all(axis=1) & (size > 0).all(axis=1) & (inside >= 1).all(axis=1)
        fine &= (size <= MAX_BOX_FACTOR * sizes_px.max(axis=1, keepdims=True)).all(axis=1)
    wrong: np.ndarray = ~fine
    return wrong


def fill_cameras(draft: Draft, sizes_px: Sizes, options: ListOptions) -> Draft:
    """Intrinsics for every row: the row's own, the caller's, or f = 1.2 x the longer side, marked assumed.

    Raises:
        InputError: a focal length is 0 or below, which no single row explains away.
    """
    names = ("fx", "fy", "cx", "cy")
    columns = [draft.rows[name] for name in names]
    present: np.ndarray = np.stack([column.is_valid().to_numpy() for column in columns], axis=1)
    values = np.stack([pc.fill_null(column, 0.0).to_numpy() for column in columns], axis=1)
    _check_focal(draft, present, values)
    own = np.all(present, axis=1)
    if options.intrinsics:
        silent = ~present.any(axis=1)
        values[silent], present[silent] = options.intrinsics, True
    given = np.all(present, axis=1)
    _note_intrinsics(draft, present, values, sizes_px)
    _note_extrinsics(draft)
    focal = ASSUMED_FOCAL_FACTOR * sizes_px.max(axis=1, initial=0)
    centre = (sizes_px - 1) / 2
    assumed = np.stack([focal, focal, centre[:, 0], centre[:, 1]], axis=1)
    values[~given] = assumed[~given]
    said = draft.rows["intrinsics_source"].to_pylist()
    sources = [
        (source or "given") if has_own else ("given" if options.intrinsics else "assumed")
        for source, has_own in zip(said, own, strict=True)
    ]
    filled = {name: pa.array(values[:, column]) for column, name in enumerate(names)}
    return draft.with_columns(**filled, intrinsics_source=pa.array(sources, pa.string()))


def _check_focal(draft: Draft, present: np.ndarray, values: np.ndarray) -> None:
    wrong = present[:, :2] & (values[:, :2] <= 0)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        name = ("fx", "fy")[column]
        raise InputError(
            f"{draft.source}: row {draft.numbers[row]}: {name} is {values[row, column]:g} px, but a focal "
            f"length is above 0; correct it, or leave out fx, fy, cx and cy to have them assumed"
        )


def _note_intrinsics(draft: Draft, present: np.ndarray, values: np.ndarray, sizes_px: np.ndarray) -> None:
    partial = present.any(axis=1) & ~present.all(axis=1)
    endless = present.all(axis=1) & ~np.isfinite(values).all(axis=1)
    # A crop's principal point may lie outside it; one picture size away it belongs to another resolution, unless
    # the pictures are known to be crops.
    farthest = MAX_OFF_AXIS * values[:, :2] if draft.are_crops else 1.5 * sizes_px
    far = np.abs(values[:, 2:] - sizes_px / 2) > farthest
    outside = present.all(axis=1) & (sizes_px[:, 0] > 0) & far.any(axis=1)
    found = (
        (partial, "only some of fx, fy, cx, cy are given; give all four or none"),
        (endless, "fx, fy, cx, cy must be finite"),
        (outside, "the principal point lies far outside the picture; are they of this resolution?"),
    )
    for wrong, meaning in found:
        for row in np.flatnonzero(wrong):
            detail = f"fx, fy, cx, cy are {values[row].tolist()}: {meaning}"
            draft.note(int(row), BadFrame("bad_camera", detail))
    for place, coefficients in enumerate(draft.rows["distortion"].to_pylist()):
        if coefficients is None:
            continue
        known = all(number is not None and np.isfinite(number) for number in coefficients)
        if len(coefficients) not in DISTORTION_LENGTHS or not known:
            detail = f"distortion is {coefficients}; give 4, 5 or 8 finite OpenCV coefficients"
            draft.note(place, BadFrame("bad_camera", detail))


def _note_extrinsics(draft: Draft) -> None:
    column = draft.rows["world_to_camera"]
    rows = np.flatnonzero(column.is_valid().to_numpy())
    if not len(rows):
        return
    matrices = as_numpy(column, np.nan)[rows].reshape(-1, 3, 4)
    wrong = ~(is_rotation(matrices[:, :, :3]) & np.isfinite(matrices).all(axis=(1, 2)))
    for row, matrix in zip(rows[wrong], matrices[wrong], strict=True):
        numbers = matrix.reshape(-1).tolist()
        detail = f"world_to_camera {numbers} holds no rotation; give row-major [R | t], det R = +1"
        draft.note(int(row), BadFrame("bad_camera", detail))
