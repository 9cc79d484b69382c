"""Poses as vectors that can be compared: relative to the root, as right hands, as the camera sees them."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from semihand.hand.metrics import root_relative
from semihand.hand.skeleton import NUM_JOINTS
from semihand.tables import as_numpy

_MIRROR = np.array([-1.0, 1.0, 1.0])


def pose_vectors_mm(
    joints_mm: Float[np.ndarray, "batch 21 3"], is_left: Bool[np.ndarray, " batch"]
) -> Float[np.ndarray, "batch 63"]:
    """Joints relative to the middle MCP, left hands mirrored; the camera's axes stay, so that the view counts.

    Two vectors are √21 times as far apart as their joints are in root mean square, mm.
    """
    relative = root_relative(joints_mm.astype(np.float64))
    vectors: np.ndarray = np.where(is_left[:, None, None], relative * _MIRROR, relative).reshape(-1, 63)
    return vectors


def shape_vectors(vectors_mm: Float[np.ndarray, "batch 63"]) -> Float[np.ndarray, "batch 63"]:
    """Pose vectors at the same size: root-mean-square distance of a joint from the root is one."""
    size = np.sqrt(np.square(vectors_mm).sum(axis=1, keepdims=True) / 20)
    scaled: np.ndarray = vectors_mm / size.clip(min=1e-9)
    return scaled


def label_vectors(labels: pa.Table) -> Float[np.ndarray, "labels 63"]:
    """`pose_vectors_mm` of labels with their hand beside them, as FRAMES has it."""
    is_left = np.array([hand == "left" for hand in labels["hand"].to_pylist()], dtype=bool)
    return pose_vectors_mm(as_numpy(labels["label_mm"]).reshape(-1, NUM_JOINTS, 3), is_left)


@contextmanager
def one_thread() -> Iterator[None]:
    """faiss on one thread: sums in one order, whatever the machine."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
