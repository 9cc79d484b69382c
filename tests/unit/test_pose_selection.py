"""steps/poses.py, clusters.py, thinning.py and pose_selection.py: labels compared by their poses."""

import numpy as np
import pyarrow as pa
import pytest
from frames_tables import with_column
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import ids, label_rows

from sample_hands import random_hands_mm
from semihand.steps.calibrate import ConfidenceKind
from semihand.steps.clusters import (
    ClusterConfig,
    cluster_thresholds,
    find_clusters,
    nearest_cluster,
    read_clusters,
    share_of_round,
    within_clusters,
    write_clusters,
)
from semihand.steps.guarantee import GuaranteeConfig
from semihand.steps.pose_selection import choose_clusters, drop_near_duplicates
from semihand.steps.poses import pose_vectors_mm, shape_vectors
from semihand.steps.rules import ErrorLimit, Thresholds, read_rule
from semihand.steps.selection import SelectConfig, select_labels
from semihand.steps.thinning import thin_poses
from semihand.tables import SELECTIONS, as_numpy, fixed_list_column
from semihand.tables.rows import take_rows
from semihand.tables.validation import checked_rows

CLUSTERS = ClusterConfig(num_clusters=6)
RIGHT = np.zeros(1, bool)
KINDS: tuple[ConfidenceKind, ...] = ("isotonic", "fused")


def some_poses(num_kinds: int, per_kind: int, seed: int, noise_mm: float = 1.0) -> np.ndarray:
    """Poses of a few kinds, kind after kind, every one a little different."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(random_hands_mm(num_kinds, seed), per_kind, axis=0)
    return kinds + rng.normal(0, noise_mm, kinds.shape)


def labels_of(joints_mm: np.ndarray, seed: int = 0) -> pa.Table:
    num, rng = len(joints_mm), np.random.default_rng(seed)
    labels = label_rows(ids(num))
    for name, values in {
        "label_mm": fixed_list_column(joints_mm.astype(np.float32)),
        "predicted_error_mm": pa.array(rng.uniform(2, 20, num), pa.float32()),
        "stability": pa.array(rng.uniform(0, 1, num), pa.float32()),
        "feasibility_mm": pa.array(rng.uniform(0, 1, num), pa.float32()),
        "mask_agreement": pa.array(rng.uniform(0.7, 1, num), pa.float32()),
        "joint_confidence": fixed_list_column(rng.uniform(0.1, 1, (num, 21)).astype(np.float32)),
        "subject_id": pa.nulls(num, pa.string()),
    }.items():
        labels = with_column(labels, name, values)
    hands = pa.array(["right"] * num)
    return labels.append_column("hand", hands).append_column("sequence_id", pa.nulls(num, pa.string()))


@given(st.integers(0, 2**31), st.floats(-500, 500), st.floats(0.5, 2))
@settings(max_examples=25)
def test_place_side_and_size_of_a_hand_are_no_pose_but_its_turn_is(seed, offset_mm, size):
    joints_mm = random_hands_mm(1, seed)
    vector = pose_vectors_mm(joints_mm, RIGHT)
    np.testing.assert_allclose(pose_vectors_mm(joints_mm + offset_mm, RIGHT), vector, atol=1e-6)
    np.testing.assert_allclose(pose_vectors_mm(joints_mm * [-1, 1, 1], ~RIGHT), vector, atol=1e-6)
    np.testing.assert_allclose(
        shape_vectors(pose_vectors_mm(joints_mm * size, RIGHT)), shape_vectors(vector), atol=1e-6
    )
    assert np.abs(shape_vectors(pose_vectors_mm(joints_mm[..., [1, 0, 2]], RIGHT)) - shape_vectors(vector)).max() > 0.1


def test_clusters_find_the_kinds_of_poses_whatever_the_order():
    joints_mm = some_poses(6, 40, 1)
    vectors = pose_vectors_mm(joints_mm, np.zeros(240, bool))
    found = nearest_cluster(vectors, find_clusters(vectors, ClusterConfig(num_clusters=12)))
    kinds = np.repeat(np.arange(6), 40)
    assert all(len(set(kinds[found == cluster])) == 1 for cluster in set(found))  # none mixes two kinds
    labels = labels_of(joints_mm)
    once = choose_clusters(labels, None, 1, CLUSTERS, "fused")
    order = np.random.default_rng(2).permutation(240)
    assert choose_clusters(take_rows(labels, order), None, 1, CLUSTERS, "fused") == once
    assert choose_clusters(labels, None, 1, CLUSTERS.model_copy(update={"seed": 5}), "fused").centres != once.centres


def test_as_many_clusters_as_there_are_poses_at_most():
    vectors = pose_vectors_mm(np.repeat(random_hands_mm(3, 4), 4, axis=0), np.zeros(12, bool))
    assert find_clusters(vectors, ClusterConfig(num_clusters=8)).shape == (3, 63)
    empty = labels_of(np.empty((0, 21, 3)))
    nothing = choose_clusters(empty, None, 1, CLUSTERS, "fused")
    assert select_labels(empty, nothing, SelectConfig(by_cluster=True)).num_rows == 0
    assert choose_clusters(labels_of(some_poses(3, 4, 1)), nothing, 2, CLUSTERS, "fused").centres


def test_rare_and_hard_poses_get_their_share_where_one_threshold_would_starve_them():
    joints_mm = some_poses(6, 40, 3)
    labels = labels_of(joints_mm)
    kinds = np.repeat(np.arange(6), 40)
    error_mm = as_numpy(labels["predicted_error_mm"]) + 12 * (kinds == 5)  # all labels of the last kind are worse
    labels = with_column(labels, "predicted_error_mm", pa.array(error_mm, pa.float32()))
    config = ClusterConfig(num_clusters=24, ceiling=0.98)
    clusters = choose_clusters(labels, None, 1, config, "fused")
    selections = checked_rows(select_labels(labels, clusters, SelectConfig(by_cluster=True)), SELECTIONS)
    chosen = np.array(selections["selected"].to_pylist())
    shares = [chosen[kinds == kind].mean() for kind in range(6)]
    assert min(shares) >= 0.35
    assert (error_mm[kinds == 5] <= np.quantile(error_mm, 0.4)).mean() < 0.1  # what one threshold would take
    found = selections["pose_cluster"].to_numpy()
    assert all(chosen[found == cluster].any() for cluster in set(found))
    assert set(selections["reason"].to_pylist()) == {"accepted in its cluster", "beyond its cluster"}
    assert error_mm[chosen].max() <= np.quantile(error_mm, 0.98, method="inverted_cdf")


def test_plateaus_of_an_isotonic_fit_let_no_cluster_in_whole():
    labels = labels_of(some_poses(6, 40, 3))
    plateau = with_column(labels, "predicted_error_mm", pa.array(np.full(240, 21.0), pa.float32()))
    config = ClusterConfig(num_clusters=6, share_ramp=(0.4, 0.4), ceiling=1.0)
    by_kind = [choose_clusters(plateau, None, 1, config, kind).accept(plateau).chosen for kind in KINDS]
    assert by_kind[0].mean() == pytest.approx(0.4, abs=6 / 240)
    assert by_kind[1].all()  # what a fused confidence expects is a limit in mm, whoever shares it
    stable = as_numpy(labels["stability"])
    joints_mm = np.repeat(random_hands_mm(1, 9), 240, axis=0)
    alike = with_column(plateau, "label_mm", fixed_list_column(joints_mm.astype(np.float32)))
    left, _ = drop_near_duplicates(alike, np.ones(240, bool), ["accepted"] * 240, 2.0)
    assert np.flatnonzero(left).tolist() == [stable.argmin()]


@given(st.integers(0, 2**31), st.floats(0, 1), st.lists(st.none() | st.floats(0, 40), min_size=5, max_size=5))
@settings(max_examples=50)
def test_no_threshold_is_over_the_ceiling_and_every_cluster_with_a_label_under_it_keeps_one(seed, share, before):
    rng = np.random.default_rng(seed)
    score, cluster = rng.gamma(2, 5, 60), rng.integers(0, 4, 60)  # the fifth cluster has no labels
    config = ClusterConfig(ceiling=0.7)
    thresholds = cluster_thresholds(score, cluster, before, share, config)
    ceiling = np.quantile(score, 0.7, method="inverted_cdf")
    chosen = within_clusters(score, cluster, thresholds)
    assert score[chosen].max() <= ceiling
    for number in range(4):
        mine = score[cluster == number]
        assert not len(mine) or chosen[cluster == number].any() == (mine.min() <= ceiling)
    assert thresholds[4] == before[4]


def test_a_label_without_a_score_is_in_no_cluster():
    score, cluster = np.array([1.0, np.inf, np.inf]), np.zeros(3, int)
    thresholds = cluster_thresholds(score, cluster, [None], 0.9, ClusterConfig(momentum=0, ceiling=1.0))
    assert within_clusters(score, cluster, thresholds).tolist() == [True, False, False]


def test_a_threshold_follows_its_quantile_by_its_momentum():
    score, cluster = np.arange(1.0, 11.0), np.zeros(10, int)
    config = ClusterConfig(momentum=0.75, ceiling=1.0)
    assert cluster_thresholds(score, cluster, [None], 0.5, config) == [5.0]
    assert cluster_thresholds(score, cluster, [9.0], 0.5, config) == [pytest.approx(0.75 * 9 + 0.25 * 5)]


def test_the_share_rises_to_its_end_and_stays():
    shares = [share_of_round(number, ClusterConfig(ramp_rounds=3)) for number in (1, 2, 3, 9)]
    assert shares == pytest.approx([0.4, 0.6, 0.8, 0.8])
    assert share_of_round(1, ClusterConfig(ramp_rounds=1)) == 0.8


def test_clusters_go_on_from_the_last_round(tmp_path):
    labels = labels_of(some_poses(6, 20, 6))
    first = choose_clusters(labels, None, 1, CLUSTERS, "fused")
    write_clusters(first, tmp_path / "clusters.json")
    assert read_clusters(tmp_path / "clusters.json") == first
    assert read_clusters(tmp_path / "none.json") is None
    second = choose_clusters(labels, first, 2, CLUSTERS, "fused")
    assert second.centres == first.centres
    fresh = choose_clusters(labels, None, 2, CLUSTERS, "fused")
    assert all(a <= b <= c for a, b, c in zip(first.thresholds, second.thresholds, fresh.thresholds, strict=True))
    assert first.thresholds != second.thresholds != fresh.thresholds


def thinned(vectors, score, thin_mm, groups=None):
    return thin_poses(vectors, score, ids(len(vectors)), groups or ["one"] * len(vectors), thin_mm)


def rms_mm(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=-1) / np.sqrt(21)


@given(st.integers(0, 2**31), st.floats(0.5, 8))
@settings(max_examples=40)
def test_what_is_thinned_has_a_better_one_near_and_what_stays_has_none(seed, thin_mm):
    rng = np.random.default_rng(seed)
    joints_mm = some_poses(8, 6, seed % 1000, noise_mm=rng.uniform(0.2, 4))
    vectors, score = pose_vectors_mm(joints_mm, np.zeros(48, bool)), rng.integers(0, 9, 48).astype(float)
    keep, distance = thinned(vectors, score, thin_mm), rms_mm(vectors)
    near = (distance < thin_mm) & ~np.eye(48, dtype=bool)
    assert not near[np.ix_(keep, keep)].any()
    for row in np.flatnonzero(~keep):
        assert (near[row] & keep & (score <= score[row])).any()
    assert keep[~near.any(1)].all()
    for row in range(48):  # of every group of near ones, one is left
        assert keep[near[row] | (np.arange(48) == row)].any()


def test_thinning_does_not_depend_on_the_order_of_the_rows_and_only_compares_within_a_group():
    vectors = pose_vectors_mm(some_poses(5, 30, 8), np.zeros(150, bool))
    score, names = np.random.default_rng(1).integers(0, 5, 150).astype(float), ids(150)
    keep = thin_poses(vectors, score, names, ["one"] * 150, 3.4)
    assert 5 <= keep.sum() < 150
    order = np.random.default_rng(2).permutation(150)
    again = thin_poses(vectors[order], score[order], [names[row] for row in order], ["one"] * 150, 3.4)
    np.testing.assert_array_equal(again, keep[order])
    assert thin_poses(vectors, score, names, names, 3.4).all()


def test_thinning_many_goes_in_pieces_and_keeps_one_of_a_hand_at_rest():
    vectors = pose_vectors_mm(np.repeat(random_hands_mm(2, 9), 900, axis=0), np.zeros(1800, bool))
    keep = thinned(vectors, np.arange(1800.0)[::-1], 1.0)
    assert np.flatnonzero(keep).tolist() == [899, 1799]


def test_near_duplicates_say_so_and_left_and_right_hands_are_compared():
    joints_mm = np.repeat(random_hands_mm(2, 10), 3, axis=0)
    joints_mm[1] *= [-1, 1, 1]
    labels = with_column(labels_of(joints_mm), "hand", pa.array(["right", "left", *["right"] * 4]))
    best = as_numpy(labels["predicted_error_mm"]).reshape(2, 3).argmin(1) + np.array([0, 3])
    loose = Thresholds(max_stability=9, max_feasibility_mm=9, min_mask_agreement=0)
    selections = checked_rows(select_labels(labels, loose, SelectConfig(thin_mm=2.0)), SELECTIONS)
    assert np.flatnonzero(selections["selected"].to_numpy()).tolist() == best.tolist()
    expected = ["accepted" if row in best else "near duplicate" for row in range(6)]
    assert selections["reason"].to_pylist() == expected
    assert selections["weight"].to_pylist() == [float(row in best) for row in range(6)]
    # a label that was not accepted neither stays nor thins another
    chosen = np.array([row not in best for row in range(6)])
    left, reasons = drop_near_duplicates(labels, chosen, ["accepted"] * 6, 2.0)
    assert left.sum() == 2
    assert not left[best].any()
    assert reasons.count("near duplicate") == 2


def test_labels_of_different_recordings_are_no_duplicates():
    labels = labels_of(np.repeat(random_hands_mm(1, 11), 4, axis=0))
    apart = with_column(labels, "sequence_id", pa.array(["a", "a", "b", "b"]))
    left, _ = drop_near_duplicates(apart, np.ones(4, bool), ["accepted"] * 4, 2.0)
    assert (left[:2].sum(), left[2:].sum()) == (1, 1)
    assert drop_near_duplicates(labels, np.ones(4, bool), ["accepted"] * 4, 2.0)[0].sum() == 1


def test_a_limit_on_the_expected_error_selects_by_it():
    labels = labels_of(some_poses(2, 5, 12))
    expected = as_numpy(labels["predicted_error_mm"])
    rule = read_rule({"max_predicted_error_mm": float(np.median(expected))})
    assert isinstance(rule, ErrorLimit)
    selections = select_labels(labels, rule, SelectConfig(guarantee=GuaranteeConfig()))
    chosen = selections["selected"].to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(chosen, expected <= np.median(expected))
    assert set(np.array(selections["reason"].to_pylist())[chosen]) == {"accepted"}
    unknown = with_column(labels, "predicted_error_mm", pa.nulls(10, pa.float32()))
    assert not any(select_labels(unknown, rule, SelectConfig())["selected"].to_pylist())
    assert isinstance(read_rule(Thresholds().model_dump()), Thresholds)


@pytest.mark.parametrize("more", [{"by_cluster": True}, {"thin_mm": 2.0}])
def test_a_guarantee_goes_with_nothing_that_drops_labels_within_its_limit(more):
    with pytest.raises(ValueError, match="leave both out, or the guarantee"):
        SelectConfig(guarantee=GuaranteeConfig(), **more)
