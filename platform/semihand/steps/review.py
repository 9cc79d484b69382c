"""Choose for review: the labels most worth a person's look."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveInt

from semihand.steps.clusters import ClusterConfig, find_clusters, nearest_cluster
from semihand.steps.pose_selection import label_ranks
from semihand.steps.poses import label_vectors, shape_vectors
from semihand.steps.rules import Share
from semihand.steps.thinning import thin_poses


class ReviewConfig(BaseModel, frozen=True, extra="forbid"):
    """How many labels a person looks at, and from where."""

    # At ten seconds a hand, a quarter of an hour.
    num: PositiveInt = Field(default=100, description="labels to look at")
    dense_share: Share = Field(
        default=0.5, description="first those of the densest clusters that hold this share of labels"
    )
    thin_mm: NonNegativeFloat = Field(
        default=6.0,
        description="of a recording's labels nearer than this (mm, root mean square), the worst alone; 0: all",
    )
    # As many as labels are selected by.
    num_clusters: PositiveInt = Field(default=32, description="most clusters of poses")


class Chosen(NamedTuple):
    """Labels to look at, the most worthwhile first."""

    rows: Int[np.ndarray, " chosen"]
    cluster: Int[np.ndarray, " chosen"]


def choose_for_review(labels: pa.Table, config: ReviewConfig) -> Chosen:
    """The labels of the largest expected error within the densest clusters of poses; then those of the other ones.

    A mistake there is one that many labels share. Near duplicates, as neighbours in a video are, are shown once.

    Args:
        labels: frame_id, label_mm, hand, subject_id, sequence_id, stability and predicted_error_mm, by frame_id; of a
            campaign that expects no errors the least stable labels come first.
        config: how many, and from where.
    """
    if not labels.num_rows:
        return Chosen(np.empty(0, np.int64), np.empty(0, np.int64))
    vectors, rank = label_vectors(labels), label_ranks(labels)
    centres = find_clusters(vectors, ClusterConfig(num_clusters=config.num_clusters))
    cluster = nearest_cluster(vectors, centres)
    dense = dense_clusters(vectors, cluster, centres, config.dense_share)
    frame_ids = labels["frame_id"].to_pylist()
    keep = np.ones(len(rank), bool)
    if config.thin_mm:
        who, where = labels["subject_id"].to_pylist(), labels["sequence_id"].to_pylist()
        groups = [f"{subject or ''}\n{sequence or ''}" for subject, sequence in zip(who, where, strict=True)]
        keep = thin_poses(vectors, -rank, frame_ids, groups, config.thin_mm)
    order = np.lexsort((np.array(frame_ids), -rank, ~np.isin(cluster, dense)))
    rows = order[keep[order]][: config.num]
    return Chosen(rows, cluster[rows])


def dense_clusters(
    vectors_mm: Float[np.ndarray, "labels 63"],
    cluster: Int[np.ndarray, " labels"],
    centres: Float[np.ndarray, "clusters 63"],
    share: float,
) -> Int[np.ndarray, " dense"]:
    """The densest clusters, as few as hold this share of the labels; the densest first.

    Density is a cluster's labels over their mean distance from its centre.
    """
    distance = np.linalg.norm(shape_vectors(vectors_mm) - centres[cluster], axis=1)
    num = np.bincount(cluster, minlength=len(centres))
    spread = np.bincount(cluster, distance, minlength=len(centres)) / num.clip(min=1)
    order = np.argsort(-num / spread.clip(min=1e-6), kind="stable")
    enough = int(np.searchsorted(np.cumsum(num[order]), share * len(cluster))) + 1
    return order[:enough]
