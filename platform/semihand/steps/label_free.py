"""Label-free quality of a model on real recordings: what its raw labels give away without any truth."""

from itertools import groupby
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Float

from semihand.frames.limits import STANDARD, Limits
from semihand.hand.angles import share_within_limits
from semihand.hand.metrics import bone_length_variation, jitter
from semihand.hand.skeleton import MIDDLE_MCP
from semihand.methods.semihand.weights import read_card
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import split_labelled
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import as_numpy

_MOTION = ["video", "video_frame"]


def label_free_quality(
    frames: pa.Table, model: Path, config: LabelConfig, limits: Limits = STANDARD
) -> dict[str, float]:
    """Measures of a model's raw labels: nothing corrected, nothing selected.

    Args:
        frames: FRAMES; truth is not looked at.
        model: a model folder.
        config: the views that a label is made of.
        limits: what reading a frame may take.

    Returns:
        What `measures` finds, and `frames` and `unusable`, how many were labelled and how many could not be.

    Raises:
        ValueError: the folder holds no model, or no frame could be labelled.
    """
    template_mm = np.array(read_card(model).template_mm)
    labeller = FrameLabeller(config, model, Lengths({UNNAMED: template_mm}), None, 0, limits=limits)
    labels, failures = split_labelled(labeller(frames))
    if labels.num_rows == 0:
        raise ValueError(f"none of the {frames.num_rows} frames could be labelled; look at what they hold")
    return {"frames": float(labels.num_rows), "unusable": float(failures.num_rows)} | measures(frames, labels)


def measures(frames: pa.Table, labels: pa.Table) -> dict[str, float]:
    """How well labels agree with themselves and with what hands can do.

    Args:
        frames: FRAMES of the labels, and perhaps more.
        labels: frame_id, joints_mm, stability, mask_agreement and silhouette_overlap of LABELS.

    Returns:
        `bone_length_variation`, standard deviation over mean of a bone's length within a subject (frames that name
        none are one subject's), averaged over bones, then over subjects by their frames;
        `angles_in_limits`, share of joint angles inside the anatomy's limits;
        `view_error_px`, root mean square distance of a view's joints from the consensus of all views, px of a 64 px
        crop: the error of equivariance, relative depth counted as in eq. 8;
        `mask_agreement`, overlap of the views' masks; `silhouette_overlap`, of the pose's silhouette with the mask;
        `jitter_mm`, mean second difference of the joints relative to the middle finger's MCP, mm per frame squared,
        over consecutive frames of videos; absent where there are none.
    """
    joints_mm = as_numpy(labels["joints_mm"]).astype(np.float64)
    joints_mm -= joints_mm[:, [MIDDLE_MCP]]
    about = _about(frames, labels)
    left, right = (share_within_limits(joints_mm, side) for side in ("left", "right"))
    found = {
        "bone_length_variation": _variation(joints_mm, about["subject_id"].fill_null(UNNAMED).to_list()),
        "angles_in_limits": float(np.nanmean(np.where(about["hand"] == "left", left, right))),
        "view_error_px": float(np.sqrt(as_numpy(labels["stability"]).mean())),
        "mask_agreement": float(as_numpy(labels["mask_agreement"]).mean()),
        "silhouette_overlap": float(np.nanmean(as_numpy(labels["silhouette_overlap"], null_as=np.nan))),
    }
    runs = _runs(about, joints_mm)
    return found | ({"jitter_mm": _mean_jitter(runs)} if runs else {})


def _about(frames: pa.Table, labels: pa.Table) -> pl.DataFrame:
    """What FRAMES says of each label's frame, in the labels' order."""
    columns = ["frame_id", "subject_id", "hand", "uri", "view_id", "track_id", "video_frame"]
    known = pl.DataFrame(pl.from_arrow(frames.select(columns)))
    order = pl.DataFrame({"frame_id": labels["frame_id"].to_pylist()})
    # A picture of two hands is two rows: a motion is one hand's.
    whose = [pl.col(name).fill_null("") for name in ("view_id", "track_id")]
    video = pl.concat_str("uri", *whose, separator="|").alias("video")
    return order.join(known, on="frame_id", how="left", maintain_order="left").with_columns(video)


def _variation(joints_mm: Float[np.ndarray, "frames 21 3"], subjects: list[str]) -> float:
    names, subject = np.unique(subjects, return_inverse=True)
    each = [(bone_length_variation(joints_mm[subject == k]), int((subject == k).sum())) for k in range(len(names))]
    return float(np.average([value for value, _ in each], weights=[count for _, count in each]))


def _runs(about: pl.DataFrame, joints_mm: Float[np.ndarray, "frames 21 3"]) -> list[np.ndarray]:
    """Runs of at least three frames without a gap, of one video each."""
    ordered = about.select(*_MOTION).with_row_index("row").drop_nulls("video_frame").sort(_MOTION)
    numbered = enumerate(ordered.rows(named=True))
    runs = groupby(numbered, key=lambda each: (each[1]["video"], each[1]["video_frame"] - each[0]))
    rows = [[row["row"] for _, row in run] for _, run in runs]
    return [joints_mm[run] for run in rows if len(run) >= 3]


def _mean_jitter(runs: list[np.ndarray]) -> float:
    return float(np.average([jitter(run) for run in runs], weights=[len(run) - 2 for run in runs]))
