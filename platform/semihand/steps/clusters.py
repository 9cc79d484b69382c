"""Clusters of similar poses, and a threshold for each that follows the rounds, so that rare poses are not starved."""

from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveInt

from semihand.steps.poses import label_vectors, one_thread, shape_vectors
from semihand.steps.rules import Fates, Share, score_of
from semihand.tables import files

CLUSTERS = "clusters.json"  # in a round's folder
_NUM_ITERATIONS = 25


class ClusterConfig(BaseModel, frozen=True, extra="forbid"):
    """How many clusters of poses there are, and what share of each is taken."""

    num_clusters: PositiveInt = Field(default=32, description="most clusters of poses, view and grasp together")
    share_ramp: tuple[Share, Share] = Field(
        default=(0.4, 0.8),
        description="share of a cluster's labels to accept, in the first round and from ramp_rounds on",
    )
    ramp_rounds: PositiveInt = Field(default=4, description="the round from which the second of these shares holds")
    # FreeMatch's 0.999 a batch is 0.999^700 = 0.5 over a round of some 700 of them.
    momentum: Share = Field(default=0.5, lt=1, description="what a threshold keeps of the last round's; 0: nothing")
    ceiling: Share = Field(default=0.9, description="no label beyond this quantile of all scores, whatever its cluster")
    seed: int = Field(default=0, description="seed of k-means")


class PoseClusters(BaseModel, frozen=True, extra="forbid"):
    """Centres of clusters, which stay for all rounds, and this round's threshold for each."""

    score: str  # what the thresholds are for, as `score_name` calls it
    centres: list[list[float]]
    thresholds: list[NonNegativeFloat | None]  # None: no label of this cluster was ever seen

    def accept(self, labels: pa.Table) -> Fates:
        """Every label's fate by the threshold of its cluster; labels as `label_vectors` takes them."""
        cluster = nearest_cluster(label_vectors(labels), np.array(self.centres).reshape(-1, 63))
        within = within_clusters(score_of(labels, self.score), cluster, self.thresholds)
        reasons = ["accepted in its cluster" if each else "beyond its cluster" for each in within]
        return Fates(within, reasons, cluster)


def find_clusters(vectors_mm: Float[np.ndarray, "batch 63"], config: ClusterConfig) -> Float[np.ndarray, "clusters 63"]:
    """Centres by k-means (faiss) over poses of one size; fewer than asked where there are fewer poses.

    Deterministic in the seed and in the order of the rows: give them in an order of their own.

    Args:
        vectors_mm: from `pose_vectors_mm`, at least one.
        config: how many, and the seed.
    """
    shapes = np.ascontiguousarray(shape_vectors(vectors_mm), dtype=np.float32)
    num = min(config.num_clusters, len(np.unique(shapes, axis=0)))
    with one_thread():
        fit = faiss.Kmeans(
            shapes.shape[1], num, niter=_NUM_ITERATIONS, seed=config.seed, min_points_per_centroid=1,
            max_points_per_centroid=len(shapes),
        )  # fmt: skip
        fit.train(shapes)
    return np.asarray(fit.centroids, dtype=np.float64)


def nearest_cluster(
    vectors_mm: Float[np.ndarray, "batch 63"], centres: Float[np.ndarray, "clusters 63"]
) -> Int[np.ndarray, " batch"]:
    """The cluster of every pose."""
    if not len(vectors_mm):
        return np.empty(0, np.int64)
    index = faiss.IndexFlatL2(centres.shape[1])
    index.add(np.ascontiguousarray(centres, dtype=np.float32))
    with one_thread():
        _, nearest = index.search(np.ascontiguousarray(shape_vectors(vectors_mm), dtype=np.float32), 1)
    clusters: np.ndarray = nearest[:, 0]
    return clusters


def share_of_round(round_number: int, config: ClusterConfig) -> float:
    """The share q of a cluster that a round takes: rises evenly from the first round on, then stays."""
    first, last = config.share_ramp
    done = 1.0 if config.ramp_rounds == 1 else min((round_number - 1) / (config.ramp_rounds - 1), 1.0)
    return first + (last - first) * done


def cluster_thresholds(
    score: Float[np.ndarray, " batch"],
    cluster: Int[np.ndarray, " batch"],
    before: list[float | None],
    share: float,
    config: ClusterConfig,
) -> list[float | None]:
    """τ_t(k) = m τ_{t-1}(k) + (1 - m) Q_q(C | k), never above the ceiling over all labels.

    FreeMatch's self-adaptive threshold (Wang et al., ICLR 2023, eqs. 5 to 7), with the quantile of an error in
    place of the mean of a confidence. A cluster without labels keeps its threshold, one seen for the first time
    starts at its quantile, and the best label of a cluster is always within it if it is under the ceiling.

    Args:
        score: expected errors or instabilities of all labels, lower is better.
        cluster: which cluster each label belongs to.
        before: the last round's thresholds; None for clusters not seen so far.
        share: the quantile q, 0..1.
        config: momentum and ceiling.
    """
    ceiling = float(np.quantile(score, config.ceiling, method="inverted_cdf")) if len(score) else np.inf
    thresholds: list[float | None] = []
    for number, last in enumerate(before):
        own = score[cluster == number]
        if not len(own):
            thresholds.append(last)
            continue
        quantile = float(np.quantile(own, share, method="inverted_cdf"))
        moved = quantile if last is None else config.momentum * last + (1 - config.momentum) * quantile
        thresholds.append(min(max(moved, float(own.min())), ceiling))
    return thresholds


def within_clusters(
    score: Float[np.ndarray, " batch"], cluster: Int[np.ndarray, " batch"], thresholds: list[float | None]
) -> Bool[np.ndarray, " batch"]:
    """Which labels lie within their cluster's threshold; one without a score, which is infinite, never does."""
    limits = np.array([-np.inf if limit is None else limit for limit in thresholds])
    within: np.ndarray = np.isfinite(score) & (score <= limits[cluster])
    return within


def write_clusters(clusters: PoseClusters, path: Path) -> None:
    """Keep them for the next round, whole or not at all."""
    files.write_whole(str(path), clusters.model_dump_json().encode(), "state")


def read_clusters(path: Path) -> PoseClusters | None:
    """What a round left; None where it chose otherwise."""
    return PoseClusters.model_validate_json(path.read_text()) if path.is_file() else None
