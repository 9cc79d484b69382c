"""rounds/choosing.py and convergence.py: what a campaign's tables say to a selection, without a cluster."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from frames_tables import with_column
from table_rows import frame_rows, label_rows

from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.convergence import label_movements
from semihand.rounds.steps import RoundSteps
from semihand.steps.clusters import ClusterConfig
from semihand.steps.convergence import moved_mm
from semihand.steps.selection import SelectConfig, Thresholds
from semihand.tables import as_numpy, fixed_list_column, scan

NUM = 40
LOOSE = Thresholds(max_stability=9, max_feasibility_mm=9, min_mask_agreement=0)


def labels(frame_ids: list[str], round_number: int) -> pa.Table:
    rng = np.random.default_rng(round_number)
    table = label_rows(frame_ids, round=round_number)
    joints_mm = as_numpy(table["joints_mm"]) + rng.normal(0, round_number, (NUM, 21, 3)).astype(np.float32)
    joints_mm[NUM // 2 :] = joints_mm[: NUM // 2]  # every pose twice
    columns = {name: pa.array(rng.uniform(0, 1, NUM), pa.float32())
               for name in ("stability", "feasibility_mm", "mask_agreement")}  # fmt: skip
    for name, values in {
        **columns,
        "joints_mm": fixed_list_column(joints_mm),
        "label_mm": fixed_list_column(joints_mm),
        "predicted_error_mm": pa.array(rng.uniform(2, 20, NUM), pa.float32()),
        "joint_confidence": fixed_list_column(rng.uniform(0.1, 1, (NUM, 21)).astype(np.float32)),
        "joint_covariance": fixed_list_column(np.tile(np.eye(3, dtype=np.float32).ravel(), (NUM, 21, 1))),
        "subject_id": pa.nulls(NUM, pa.string()),
    }.items():
        table = with_column(table, name, values)
    return table


@pytest.fixture
def campaign_of(tmp_path):
    def make(select: SelectConfig):
        campaign = open_campaign(RoundConfig(campaign=tmp_path / "campaign", select=select))
        frames = with_column(frame_rows(NUM), "hand", pa.array(["right"] * NUM))
        campaign.store.append("frames", frames)
        for number in (1, 2):
            campaign.store.append("labels", labels(frames["frame_id"].to_pylist(), number), number)
        return campaign

    return make


def selected(campaign, number: int) -> pl.DataFrame:
    RoundSteps(campaign, number, campaign.folder, campaign.folder, pa.table({})).select(LOOSE)
    return scan(campaign.store, "selections").filter(pl.col("round") == number).sort("frame_id").collect()


def test_a_rounds_clusters_go_on_in_the_next_and_stand_in_the_selections(campaign_of):
    campaign = campaign_of(SelectConfig(by_cluster=True, cluster=ClusterConfig(num_clusters=3)))
    first, second = selected(campaign, 1), selected(campaign, 2)
    for each in (first, second):
        assert set(each["pose_cluster"]) <= {0, 1, 2}
        assert 0 < each["selected"].sum() < NUM
    kept = [(campaign.round_folder(number) / "clusters.json").read_text() for number in (1, 2)]
    assert kept[0] != kept[1]
    assert selected(campaign, 2).equals(second)  # done again, the same


def test_of_poses_that_are_there_twice_a_round_selects_the_better(campaign_of):
    campaign = campaign_of(SelectConfig(thin_mm=0.5))
    found = selected(campaign, 1)
    assert found["selected"].sum() == NUM // 2
    assert (found["reason"] == "near duplicate").sum() == NUM // 2
    assert found["pose_cluster"].null_count() == NUM
    expected = scan(campaign.store, "labels").filter(pl.col("round") == 1).sort("frame_id").collect()
    chosen = found["selected"].to_numpy()
    assert expected["predicted_error_mm"].to_numpy()[chosen].sum() < expected["predicted_error_mm"].sum() / 2


def test_by_default_a_round_selects_by_its_thresholds_alone(campaign_of):
    found = selected(campaign_of(SelectConfig()), 1)
    assert found["selected"].all()
    assert set(found["reason"]) == {"accepted"}


def test_labels_that_do_not_say_how_far_they_moved_are_compared(campaign_of):
    campaign = campaign_of(SelectConfig())
    before, after = (scan(campaign.store, "labels").filter(pl.col("round") == number).collect() for number in (1, 2))
    movements = label_movements(campaign, 2)
    assert list(movements) == [2]
    assert movements[2].moved_mm == pytest.approx(moved_mm(after, before).median())
    assert movements[2].spread_mm == pytest.approx(np.sqrt(3))
