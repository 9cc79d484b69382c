"""What people made of a review: the exported tasks of a Label Studio project, read back.

Format after labelstud.io/guide/task_format (an export as JSON: `annotations` with `result`, `was_cancelled`,
`ground_truth` and `updated_at`) and labelstud.io/tags/keypointlabels (x and y in percent of the picture). An export is
a stranger's file: whatever is wrong in one task is that task's problem.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from semihand.frames.errors import BadFrame
from semihand.frames.sets.entries import at
from semihand.hand.crops import apply_affine, invert_affine
from semihand.hand.skeleton import JOINT_NAMES, NUM_JOINTS


class Correction(NamedTuple):
    """What a person says of a hand.

    Attributes:
        frame_id: whose.
        round: of the label that was shown.
        uv_px: joints in the original picture; NaN where the person left none.
        seen: the joints that the person left or put there.
    """

    frame_id: str
    round: int
    uv_px: Float[np.ndarray, "21 2"]
    seen: Bool[np.ndarray, " 21"]


def read_task(entry: Any) -> Correction | None:
    """A person's correction of an exported task; None where nobody has submitted one.

    Of several annotations the one marked as ground truth counts, else the latest. Predictions never do.

    Raises:
        BadFrame: bad_row, the task is none of ours or what is annotated cannot be read.
    """
    data = at(entry, "data")
    frame_id, number = at(data, "frame_id"), at(data, "round")
    if not isinstance(frame_id, str) or not isinstance(number, int):
        name = str(at(entry, "id"))[:20]
        raise BadFrame("bad_row", f"task {name} names no frame_id and round; is it of such a project?")
    listed = at(entry, "annotations")
    annotations = listed if isinstance(listed, list) else []
    submitted = [each for each in annotations if isinstance(each, dict) and not each.get("was_cancelled")]
    if not submitted:
        return None
    chosen = max(submitted, key=lambda each: (bool(each.get("ground_truth")), str(each.get("updated_at") or "")))
    size = _numbers([at(data, "width"), at(data, "height")], frame_id, "width and height")
    affine = np.array([_numbers(line, frame_id, "affine") for line in at(data, "affine") or [[], []]])
    if affine.shape != (2, 3):
        raise BadFrame("bad_row", f"{frame_id}: its affine map has shape {affine.shape}, not (2, 3)")
    uv_px = _points(at(chosen, "result"), size, frame_id)
    try:
        return Correction(frame_id, number, apply_affine(invert_affine(affine), uv_px), np.isfinite(uv_px).all(-1))
    except ValueError as error:
        raise BadFrame("bad_row", f"{frame_id}: {error}") from error


def _points(result: Any, size: Float[np.ndarray, " 2"], frame_id: str) -> Float[np.ndarray, "21 2"]:
    """The joints of an annotation, px of the picture that was shown."""
    uv_px = np.full((NUM_JOINTS, 2), np.nan)
    for region in result if isinstance(result, list) else []:
        if at(region, "type") != "keypointlabels":
            continue
        names = at(region, "value", "keypointlabels")
        if not isinstance(names, list) or len(names) != 1 or names[0] not in JOINT_NAMES:
            raise BadFrame("bad_row", f"{frame_id}: a point is called {str(names)[:60]}, which is no joint")
        joint = JOINT_NAMES.index(names[0])
        if np.isfinite(uv_px[joint]).all():
            raise BadFrame("bad_row", f"{frame_id}: {names[0]} is there twice")
        if at(region, "image_rotation") not in (0, None):
            raise BadFrame("bad_row", f"{frame_id}: the picture was turned by {at(region, 'image_rotation')} degrees")
        percent = _numbers([at(region, "value", "x"), at(region, "value", "y")], frame_id, names[0])
        uv_px[joint] = percent / 100 * size - 0.5
    return uv_px


def _numbers(values: Any, frame_id: str, name: str) -> Float[np.ndarray, " values"]:
    if not isinstance(values, list) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values
    ):
        raise BadFrame("bad_row", f"{frame_id}: {name} is {str(values)[:60]}, not numbers")
    return np.array(values, np.float64)
