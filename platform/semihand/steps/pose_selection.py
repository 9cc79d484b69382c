"""Labels compared by their poses: clusters with thresholds of their own, and near duplicates thinned."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from semihand.steps.calibrate import ConfidenceKind
from semihand.steps.clusters import (
    ClusterConfig,
    PoseClusters,
    cluster_thresholds,
    find_clusters,
    nearest_cluster,
    share_of_round,
)
from semihand.steps.components import EXPECTED
from semihand.steps.poses import label_vectors
from semihand.steps.rules import score_name, score_of
from semihand.steps.thinning import thin_poses
from semihand.tables import as_numpy
from semihand.tables.rows import take_rows


def choose_clusters(
    labels: pa.Table, before: PoseClusters | None, round_number: int, config: ClusterConfig, kind: ConfidenceKind
) -> PoseClusters:
    """Clusters of a round and their thresholds.

    The first round's centres stay, so that a cluster is the same poses in every round and its threshold can
    follow. The order of the rows does not matter.

    Args:
        labels: frame_id, label_mm, hand, and what a score is made of, of all labels of the round.
        before: what the last round chose by.
        round_number: which round it is.
        config: how many, what share, how fast.
        kind: of the confidence, which says what the thresholds are for.
    """
    name = score_name(kind)
    if not labels.num_rows:
        return before or PoseClusters(score=name, centres=[], thresholds=[])
    score = score_of(labels, name)
    order = np.argsort(np.array(labels["frame_id"].to_pylist()))
    vectors = label_vectors(labels)
    before = before if before is not None and before.centres else None
    centres = find_clusters(vectors[order], config) if before is None else np.array(before.centres)
    last: list[float | None] = [None] * len(centres)
    if before is not None and before.score == name:
        last = list(before.thresholds)
    share = share_of_round(round_number, config)
    thresholds = cluster_thresholds(score, nearest_cluster(vectors, centres), last, share, config)
    return PoseClusters(score=name, centres=centres.tolist(), thresholds=thresholds)


def drop_near_duplicates(
    labels: pa.Table, chosen: Bool[np.ndarray, " labels"], reasons: list[str], thin_mm: float
) -> tuple[Bool[np.ndarray, " labels"], list[str]]:
    """Near duplicates of better labels dropped, within a subject and a recording as far as these are known.

    Returns:
        Which labels stay chosen, and every label's reason.
    """
    rows = np.flatnonzero(chosen)
    few = take_rows(labels.select(["frame_id", "label_mm", "hand", "subject_id", "sequence_id"]), rows)
    who, where = few["subject_id"].to_pylist(), few["sequence_id"].to_pylist()
    groups = [f"{subject or ''}\n{sequence or ''}" for subject, sequence in zip(who, where, strict=True)]
    keep = thin_poses(label_vectors(few), label_ranks(labels)[rows], few["frame_id"].to_pylist(), groups, thin_mm)
    left = chosen.copy()
    left[rows[~keep]] = False
    dropped = set(rows[~keep].tolist())
    return left, ["near duplicate" if row in dropped else reason for row, reason in enumerate(reasons)]


def label_ranks(labels: pa.Table) -> Float[np.ndarray, " labels"]:
    """The place of every label from the best on: by expected error where all have one, then by stability.

    An isotonic fit expects the same error of many labels. Equal labels have equal places.
    """
    stability = as_numpy(labels["stability"])
    expected = stability if labels[EXPECTED].null_count else as_numpy(labels[EXPECTED])
    _, place = np.unique(np.stack([expected, stability], axis=-1), axis=0, return_inverse=True)
    ranks: np.ndarray = place.reshape(-1).astype(np.float64)
    return ranks
