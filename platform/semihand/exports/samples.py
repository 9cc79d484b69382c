"""A label with its picture, camera and fit: what every form is written from. No truth is among it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from semihand.exports.pictures import Picture, pictures_of
from semihand.frames.crop import crop_hand
from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD, Limits
from semihand.hand.camera import intrinsics_matrix, project
from semihand.hand.crops import apply_affine
from semihand.tables.schemas import FRAMES, TRUTH_COLUMNS

#: what is read of FRAMES: never its truth, and pictures only a few at a time
FRAME_COLUMNS = tuple(name for name in FRAMES.names if name not in (*TRUTH_COLUMNS, "image"))
#: what a sample says of itself in every form
ABOUT = (
    "frame_id", "dataset", "subject_id", "sequence_id", "instant_id", "view_id", "video_frame", "timestamp_s", "hand",
    "intrinsics_source", "round", "labeller", "model", "confidence", "predicted_error_mm", "weight",
)  # fmt: skip
CROP_MARGIN = 1.2  # side of a crop as a multiple of the box's longer side, as the networks here are given
_WHOLE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class Fit(NamedTuple):
    """A hand model's parameters for a label, as in LABELS."""

    pose: Float[np.ndarray, " 48"]
    shape: Float[np.ndarray, " 10"]
    translation_mm: Float[np.ndarray, " 3"]
    joints_mm: Float[np.ndarray, "21 3"]
    residual_mm: float


@dataclass(frozen=True)
class Sample:
    """A label to be written.

    Attributes:
        about: `ABOUT`, as plain values.
        joints_mm: label_mm, camera frame.
        is_placed: whether the hand's place in space is known (see `seen_at`); else only its shape is.
        uv_px: where these joints are seen, px of the picture; the raw 2D joints of a label without a place.
        box_px: the hand's box, px of the picture; all of it where none was given.
        K: intrinsics of the picture, None where nobody knows them.
        distortion: the lens' coefficients, None where it has none.
        per_joint: joint_weight, joint_confidence and joint_predicted_error_mm, 21 numbers each or None.
        affine: from px of the original picture to px of this one.
        picture_key: the same for hands of one picture.
        picture: the whole picture, or a crop of it.
        fit: the hand model's parameters, None where none was fitted.
    """

    about: Mapping[str, Any]
    joints_mm: Float[np.ndarray, "21 3"]
    is_placed: bool
    uv_px: Float[np.ndarray, "21 2"]
    box_px: Float[np.ndarray, " 4"]
    K: Float[np.ndarray, "3 3"] | None
    distortion: Float[np.ndarray, " coefficients"] | None
    per_joint: Mapping[str, list[float] | None]
    affine: Float[np.ndarray, "2 3"]
    picture_key: str
    picture: Picture
    fit: Fit | None


def samples_of(
    frames: pa.Table, labels: pa.Table, fits: list[Fit] | None, crop_px: int | None, limits: Limits = STANDARD
) -> Iterator[Sample | tuple[str, BadFrame]]:
    """Samples, and the frames whose picture cannot be read any more; in the order of `read_pictures`.

    Args:
        frames: `FRAME_COLUMNS` and image of the labels' frames, row for row.
        labels: the labels.
        fits: of the labels, row for row; None where none were fitted.
        crop_px: cut the hand out and scale it to this side; None for the whole picture.
        limits: what a picture may take.
    """
    rows = [about | label for about, label in zip(frames.drop_columns(["image"]).to_pylist(), labels.to_pylist(),
                                                  strict=True)]  # fmt: skip
    for row, picture in pictures_of(frames, limits):
        if isinstance(picture, BadFrame):
            yield rows[row]["frame_id"], picture
            continue
        sample = _sample(rows[row], picture, None if fits is None else fits[row])
        try:
            yield sample if crop_px is None else cropped(sample, crop_px)
        except ValueError as error:
            yield rows[row]["frame_id"], BadFrame("bad_box", str(error))


def cropped(sample: Sample, size_px: int) -> Sample:
    """The same label on a square crop about its hand.

    Raises:
        ValueError: the box cannot be cut out.
    """
    pixels, affine = crop_hand(sample.picture.pixels, sample.box_px, size_px, margin=CROP_MARGIN)
    scale = affine[[0, 1], [0, 1]]
    K = None if sample.K is None else np.vstack([affine, [0.0, 0.0, 1.0]]) @ sample.K
    corner = apply_affine(affine, sample.box_px[None, :2] - 0.5)[0] + 0.5
    return replace(
        sample, uv_px=apply_affine(affine, sample.uv_px), box_px=np.concatenate([corner, sample.box_px[2:] * scale]),
        K=K, affine=affine, picture_key=f"{sample.picture_key} {sample.about['frame_id']}", picture=Picture(pixels),
    )  # fmt: skip


def seen_at(
    label_mm: Float[np.ndarray, "labels 21 3"],
    raw_px: Float[np.ndarray, "labels 21 2"],
    K: Float[np.ndarray, "labels 3 3"],
    distortion: Float[np.ndarray, "labels coefficients"] | None,
    is_measured: Bool[np.ndarray, " labels"],
) -> tuple[Bool[np.ndarray, " labels"], Float[np.ndarray, "labels 21 2"]]:
    """Whether labels have a place in space, and where their joints are seen.

    A label has a place where its root is known, before a camera that was measured, and all of it lies in front of that.
    Elsewhere the joints that were seen in the picture stand for it: an assumed focal length makes depths of any size.

    Args:
        label_mm: the labels, camera frame.
        raw_px: the 2D joints that they were made from.
        K: cameras.
        distortion: their lenses.
        is_measured: whether the root is known and the camera was measured.
    """
    uv_px = project(label_mm, K, distortion)
    is_placed = is_measured & np.isfinite(uv_px).all((1, 2))
    return is_placed, np.where(is_placed[:, None, None], uv_px, raw_px)


def _sample(row: Mapping[str, Any], picture: Picture, fit: Fit | None) -> Sample:
    joints_mm = np.array(row["label_mm"], np.float64)
    camera = [row[name] for name in ("fx", "fy", "cx", "cy")]
    K = None if any(number is None for number in camera) else intrinsics_matrix(*camera)
    distortion = np.array(row["distortion"] or [0.0])
    lens = distortion if distortion.any() else None
    is_placed, uv_px = False, np.array(row["joints_uv_px"], np.float64)
    if K is not None and row["root_mm"] is not None and row["intrinsics_source"] == "given":
        coefficients = None if lens is None else lens[None]
        (placed,), (uv_px,) = seen_at(joints_mm[None], uv_px[None], K[None], coefficients, np.array([True]))
        is_placed = bool(placed)
    box_px = row["bbox_px"] or [0.0, 0.0, *map(float, picture.size_px)]
    per_joint = {name: row.get(name) for name in ("joint_weight", "joint_confidence", "joint_predicted_error_mm")}
    about = {name: row.get(name) for name in ABOUT}
    key = f"{row['uri'] or row['content_sha256']} {row['video_frame']}"
    return Sample(about, joints_mm, is_placed, uv_px, np.array(box_px, np.float64), K, lens, per_joint, _WHOLE,
                  key, picture, fit)  # fmt: skip
