"""Compare two sets of labels: which ones moved, by how much, whose they are and of which poses."""

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from semihand.hand.metrics import root_relative
from semihand.hand.skeleton import MIDDLE_MCP, NUM_JOINTS
from semihand.steps.clusters import ClusterConfig, find_clusters, nearest_cluster
from semihand.steps.poses import label_vectors

_LABELS_A_CLUSTER = 20
#: what both sets are compared by
COLUMNS = ["frame_id", "subject_id", "hand", "label_mm", "joints_uv_px", "predicted_error_mm", "selected"]


def label_moves(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """One row per frame that has a label in both sets, by frame_id.

    Args:
        before: `COLUMNS`.
        after: likewise.

    Returns:
        frame_id, subject_id, hand; moved_mm, the mean distance of label_mm's joints, each hand from its own root, and
        joint_moved_mm; root_moved_mm, that of the roots in the camera's frame; moved_px of the raw 2D joints; and
        label_mm, joints_uv_px, predicted_error_mm and selected of both, as `*_before` and `*_after`.
    """
    given = ["label_mm", "joints_uv_px", "predicted_error_mm", "selected"]
    renamed = [
        labels.select("frame_id", *more, *(pl.col(name).alias(f"{name}_{when}") for name in given))
        for labels, when, more in ((before, "before", ()), (after, "after", ("subject_id", "hand")))
    ]
    both = renamed[1].join(renamed[0], on="frame_id", how="inner").sort("frame_id")
    first, last = (_joints(both[f"label_mm_{when}"], 3) for when in ("before", "after"))
    by_joint = np.linalg.norm(root_relative(last) - root_relative(first), axis=-1)
    seen = _joints(both["joints_uv_px_after"], 2) - _joints(both["joints_uv_px_before"], 2)
    return both.with_columns(
        moved_mm=pl.Series(by_joint.mean(-1), dtype=pl.Float64),
        joint_moved_mm=pl.Series(by_joint, dtype=pl.Array(pl.Float64, NUM_JOINTS)),
        root_moved_mm=pl.Series(np.linalg.norm((last - first)[:, MIDDLE_MCP], axis=-1), dtype=pl.Float64),
        moved_px=pl.Series(np.linalg.norm(seen, axis=-1).mean(-1), dtype=pl.Float64),
    )


def with_clusters(moves: pl.DataFrame, centres: Float[np.ndarray, "clusters 63"] | None) -> pl.DataFrame:
    """The same rows with the pose_cluster of the label before.

    Args:
        moves: from `label_moves`.
        centres: the campaign's own clusters; None: those of these poses, of at least twenty labels on average.
    """
    if not len(moves):
        return moves.with_columns(pose_cluster=pl.lit(0, pl.Int32))
    vectors = label_vectors(moves.select("hand", label_mm="label_mm_before").to_arrow())
    if centres is None:
        most = ClusterConfig().num_clusters
        centres = find_clusters(vectors, ClusterConfig(num_clusters=min(most, len(moves) // _LABELS_A_CLUSTER + 1)))
    cluster: Int[np.ndarray, " rows"] = nearest_cluster(vectors, centres)
    return moves.with_columns(pose_cluster=pl.Series(cluster, dtype=pl.Int32))


def moves_by(moves: pl.DataFrame, column: str) -> pl.DataFrame:
    """How far the labels of each subject or cluster moved, the most moved first.

    Returns:
        The column, num_labels, median_mm and p90_mm of moved_mm, median_px, the mean predicted error before and after,
        and the frame of the label that moved as much as the median one, to look at.
    """
    moved = pl.col("moved_mm")
    typical = (moved - moved.median()).abs().arg_min()
    return (
        moves.group_by(column)
        .agg(
            pl.len().alias("num_labels"), moved.median().alias("median_mm"), moved.quantile(0.9).alias("p90_mm"),
            pl.col("moved_px").median().alias("median_px"),
            pl.col("predicted_error_mm_before").mean().alias("expected_before_mm"),
            pl.col("predicted_error_mm_after").mean().alias("expected_after_mm"),
            pl.col("frame_id").get(typical).alias("example"),
        )
        .sort("median_mm", column, descending=[True, False], nulls_last=True)
    )  # fmt: skip


def selection_changes(moves: pl.DataFrame) -> dict[str, int]:
    """How many labels were selected in both sets, in one of them or in neither; nothing where a set says nothing."""
    if any(moves[f"selected_{when}"].null_count() == len(moves) for when in ("before", "after")):
        return {}
    before, after = (pl.col(f"selected_{when}").fill_null(False) for when in ("before", "after"))
    counts = {"kept": before & after, "newly_selected": ~before & after, "dropped": before & ~after,
              "never": ~before & ~after}  # fmt: skip
    found = moves.select(**{name: rows.sum() for name, rows in counts.items()}).row(0, named=True)
    return {name: int(num) for name, num in found.items()}


def _joints(column: pl.Series, size: int) -> Float[np.ndarray, "rows 21 size"]:
    joints: np.ndarray = column.to_numpy().astype(np.float64).reshape(-1, NUM_JOINTS, size)
    return joints
