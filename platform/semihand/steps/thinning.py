"""Thin near duplicates: of labels that say almost the same, only the one expected to be best."""

import itertools
from collections.abc import Sequence

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int

from semihand.hand.skeleton import NUM_JOINTS
from semihand.steps.poses import one_thread

_QUERIES = 512  # at once: neighbours of more would fill the memory where a hand rests for minutes
_SLACK_MM2 = 4.0  # what float32 may be off in a squared distance; candidates are measured again


def thin_poses(
    vectors_mm: Float[np.ndarray, "batch 63"],
    score: Float[np.ndarray, " batch"],
    names: Sequence[str],
    groups: Sequence[str],
    thin_mm: float,
) -> Bool[np.ndarray, " batch"]:
    """Which poses stay when, of any two closer than `thin_mm` in a group, only the better one may.

    Greedy from the best score on: every pose dropped has a better one that stays near it, no two that stay are
    near, and a pose without near ones always stays. The order of the rows does not matter.

    Args:
        vectors_mm: from `pose_vectors_mm`; near is a root-mean-square distance over the joints.
        score: expected errors, lower is better.
        names: what breaks ties of score, unique within a group.
        groups: only poses of the same group are compared.
        thin_mm: the distance, above zero.
    """
    keep = np.ones(len(vectors_mm), bool)
    order = np.lexsort((np.array(names), score))
    members: dict[str, list[int]] = {}
    for row in order.tolist():
        members.setdefault(groups[row], []).append(row)
    for rows in members.values():
        keep[rows] = _thin_ordered(vectors_mm[rows], thin_mm * np.sqrt(NUM_JOINTS))
    return keep


def _thin_ordered(vectors: Float[np.ndarray, "batch 63"], radius: float) -> Bool[np.ndarray, " batch"]:
    """Which rows stay, the first being best."""
    keep = np.ones(len(vectors), bool)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    start = 0
    while start < len(vectors):
        rows = start + np.flatnonzero(keep[start:])[:_QUERIES]
        if not len(rows):
            break
        for row, near in zip(rows.tolist(), _near(index, vectors, rows, radius), strict=True):
            if keep[row]:
                keep[near[near > row]] = False
        start = int(rows[-1]) + 1
    return keep


def _near(
    index: faiss.IndexFlatL2, vectors: Float[np.ndarray, "batch 63"], rows: Int[np.ndarray, " rows"], radius: float
) -> list[Int[np.ndarray, " _"]]:
    """The rows closer than the radius to each of these."""
    queries = np.ascontiguousarray(vectors[rows], dtype=np.float32)
    with one_thread():
        ends, _, found = index.range_search(queries, radius**2 + _SLACK_MM2)
    pieces = [found[start:end] for start, end in itertools.pairwise(ends)]
    return [
        near[np.linalg.norm(vectors[near] - vectors[row], axis=-1) < radius]
        for row, near in zip(rows, pieces, strict=True)
    ]
