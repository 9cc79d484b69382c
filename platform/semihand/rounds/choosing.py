"""What a round's selection goes by where it is more than thresholds: poses of other labels, or a proof."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.rounds.ledger import Done
from semihand.steps.clusters import ClusterConfig, PoseClusters, read_clusters, write_clusters
from semihand.steps.components import ErrorModel
from semihand.steps.confidence import error_components
from semihand.steps.confidence_report import EXPECTED
from semihand.steps.guarantee import GuaranteeConfig, prove_limit, split_recordings
from semihand.steps.pose_selection import choose_clusters
from semihand.steps.selection import THRESHOLD_COLUMNS, SelectConfig
from semihand.tables import Store, scan

_CLUSTERS = "clusters.json"


def labels_to_select(store: Store, round_number: int, config: SelectConfig) -> pa.Table:
    """A round's labels with the columns that selection goes by, by frame_id."""
    labels = scan(store, "labels").filter(pl.col("round") == round_number)
    columns = ["frame_id", "round", "labeller", *THRESHOLD_COLUMNS, "predicted_error_mm", "joint_confidence"]
    columns += ["teacher_divergence_mm"]
    if config.compares_poses:
        frames = scan(store, "frames").select("frame_id", "hand", "sequence_id")
        labels = labels.join(frames, on="frame_id", how="left")
        columns += ["label_mm", "subject_id", "hand", "sequence_id"]
    return labels.select(columns).sort("frame_id").collect().to_arrow()


def clusters_of_round(
    labels: pa.Table, round_number: int, config: ClusterConfig, folder_of: Callable[[int], Path]
) -> PoseClusters:
    """The round's clusters and thresholds, which follow those of the round before and are kept for the next."""
    before = read_clusters(folder_of(round_number - 1) / _CLUSTERS)
    clusters = choose_clusters(labels, before, round_number, config)
    write_clusters(clusters, folder_of(round_number) / _CLUSTERS)
    return clusters


def proven_limit(errors: pl.DataFrame, model: ErrorModel, config: GuaranteeConfig) -> Done:
    """The limit on the expected error that the checked recordings prove safe, as what `search` leaves.

    Raises:
        InputError: no limit is proven.
    """
    expected = model.predict(error_components(errors)).error_mm
    fitted, checked = split_recordings(errors.with_columns(pl.Series(EXPECTED, expected)), config)
    try:
        proof = prove_limit(fitted, checked, config)
    except ValueError as error:
        raise InputError(f"--select.guarantee: {error}") from error
    metrics = {f"guarantee_{name}": float(value) for name, value in proof._asdict().items()}
    limit_mm = metrics.pop("guarantee_max_predicted_error_mm")
    return Done(metrics, thresholds={"max_predicted_error_mm": limit_mm})
