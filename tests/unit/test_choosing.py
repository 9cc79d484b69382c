"""rounds/choosing.py and convergence.py: what a campaign's tables say to a selection, without a cluster."""

from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from frames_tables import with_column
from table_rows import frame_rows, label_rows

from made_errors import made_errors
from semihand.rounds.campaign import open_campaign
from semihand.rounds.choosing import few_in_words, find_rule
from semihand.rounds.config import RoundConfig
from semihand.rounds.convergence import label_movements, movement_figures, reason_to_end
from semihand.rounds.ledger import Done, Ledger
from semihand.rounds.record import confidence_figures, search_figures
from semihand.rounds.run import _say_selected
from semihand.rounds.steps import RoundSteps
from semihand.steps.calibrate import CalibrateConfig
from semihand.steps.clusters import ClusterConfig
from semihand.steps.convergence import StopConfig, moved_mm
from semihand.steps.expected import fit_expected
from semihand.steps.guarantee import GuaranteeConfig
from semihand.steps.rules import Thresholds
from semihand.steps.selection import SelectConfig, error_limit_mm
from semihand.tables import as_numpy, fixed_list_column, scan
from semihand.workforce import working_alone

NUM = 40
LOOSE = Thresholds(max_stability=9, max_feasibility_mm=9, min_mask_agreement=0)


def labels(frame_ids: list[str], round_number: int, model: str | None = None) -> pa.Table:
    rng = np.random.default_rng(round_number)
    table = label_rows(frame_ids, round=round_number)
    table = with_column(table, "model", [model or f"{round_number:064x}"] * NUM)
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
    def make(select: SelectConfig, **more):
        campaign = open_campaign(RoundConfig(campaign=tmp_path / "campaign", select=select, **more))
        frames = with_column(frame_rows(NUM), "hand", pa.array(["right"] * NUM))
        campaign.store.append("frames", frames)
        for number in (1, 2):
            campaign.store.append("labels", labels(frames["frame_id"].to_pylist(), number), number)
        return campaign

    return make


def selected(campaign, number: int) -> pl.DataFrame:
    RoundSteps(campaign, number, campaign.folder, campaign.folder, lambda: pa.table({})).select(LOOSE.model_dump())
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
    assert movement_figures(campaign, 2) == {
        "median_moved_mm": movements[2].moved_mm,
        "median_spread_mm": movements[2].spread_mm,
    }
    assert movement_figures(campaign, 1) == {}


def test_a_round_that_the_same_teacher_labelled_again_is_no_sign_of_rest(campaign_of):
    campaign = campaign_of(SelectConfig(), stop=StopConfig(within_spread=True), rounds=9)
    frame_ids = scan(campaign.store, "frames").collect()["frame_id"].to_list()
    campaign.store.append("labels", labels(frame_ids, 3, model=f"{2:064x}"), 3)
    campaign.store.append("labels", labels(frame_ids, 4), 4)
    assert list(label_movements(campaign, 4)) == [2, 4]
    assert movement_figures(campaign, 3) == {}


@pytest.mark.parametrize("begun", [False, True])
def test_labels_at_rest_end_a_campaign_unless_its_next_round_has_begun(campaign_of, begun):
    campaign = campaign_of(SelectConfig(), stop=StopConfig(within_spread=True), rounds=4)
    frame_ids = scan(campaign.store, "frames").collect()["frame_id"].to_list()
    rested = with_column(labels(frame_ids, 2, "f" * 64), "round", [3] * NUM)
    campaign.store.append("labels", rested, 3)
    if begun:
        campaign.ledger.once(4, "subjects", Done)
    reason = reason_to_end(campaign, 3)
    assert (reason is None) == begun
    assert begun or reason.startswith("stopped after round 3 of 4: the median label moved 0.00 mm")


@pytest.mark.parametrize(("kind", "column"), [("fused", "predicted_error_mm"), ("isotonic", "stability")])
def test_a_round_accepts_its_share_of_the_pools_labels(campaign_of, kind, column):
    select = SelectConfig(accept_shares=(0.25, 0.5))
    campaign = campaign_of(select, calibrate=CalibrateConfig(confidence=kind))
    _, errors = fit_expected(made_errors(40, 1), kind, None)
    for number, num in ((1, 10), (2, 20)):
        done = find_rule(campaign, number, errors)
        assert 0 <= done.metrics["calibration_share"] <= 1
        steps = RoundSteps(campaign, number, campaign.folder, campaign.folder, lambda: pa.table({}))
        assert steps.select(done.thresholds).metrics["selected"] == num
    found = scan(campaign.store, "labels").filter(pl.col("round") == 2).sort("frame_id").collect()
    chosen = scan(campaign.store, "selections").filter(pl.col("round") == 2).sort("frame_id").collect()["selected"]
    assert found[column].filter(chosen).mean() < found[column].filter(~chosen).mean()


def test_with_fused_confidence_a_round_selects_by_the_expected_error_even_without_a_search(campaign_of):
    select = SelectConfig(num_trials=0)
    campaign = campaign_of(select, calibrate=CalibrateConfig(confidence="fused"))
    _, errors = fit_expected(made_errors(60, 2), "fused", None)
    done = find_rule(campaign, 1, errors)
    assert list(done.thresholds) == ["max_predicted_error_mm"]
    assert done.thresholds["max_predicted_error_mm"] == pytest.approx(done.metrics["error_limit_mm"])
    assert done.metrics["error_limit_mm"] == pytest.approx(error_limit_mm(errors, select), rel=0.3)


def without_numbers(errors: pl.DataFrame, share: float) -> pl.DataFrame:
    """The same labels; of the least stable ones nobody knows how wrong they are."""
    worst = pl.col("stability") >= pl.col("stability").quantile(1 - share)
    return errors.with_columns(error_mm=pl.when(worst).then(float("nan")).otherwise("error_mm"))


def test_where_no_trial_has_a_score_the_last_rounds_limits_stay_and_the_ledger_and_the_log_say_so(campaign_of, capsys):
    campaign = campaign_of(SelectConfig(num_trials=6, default=LOOSE, max_label_error_mm=9))
    nothing = made_errors(60, 2).with_columns(
        error_mm=pl.lit(float("nan")), stability=pl.lit(1.0), feasibility_mm=pl.lit(1.0), mask_agreement=pl.lit(0.9)
    )
    with working_alone():
        first = campaign.ledger.once(1, "search", lambda: find_rule(campaign, 1, nothing))
        assert first.thresholds == LOOSE.model_dump()
        assert (
            "no trial of the search for limits has a score that is a number, so those that the search began with"
            in (capsys.readouterr().out)
        )
        second = campaign.ledger.once(2, "search", lambda: find_rule(campaign, 2, made_errors(60, 2)))
        assert second.thresholds != first.thresholds
        assert second.metrics["search_kept_limits"] == second.metrics["search_without_score"] == 0
        campaign.ledger.once(3, "search", lambda: find_rule(campaign, 3, nothing))
    third = Ledger(campaign.store).finished(3, "search")
    assert third.thresholds == second.thresholds
    assert (third.metrics["search_kept_limits"], third.metrics["search_without_score"]) == (1, 6)
    assert "so those that round 2 selected by are kept; see error_mm in" in capsys.readouterr().out


def test_a_trial_whose_score_is_no_number_is_never_chosen(campaign_of):
    campaign = campaign_of(SelectConfig(num_trials=12, max_label_error_mm=40))
    with working_alone():
        done = find_rule(campaign, 1, without_numbers(made_errors(80, 2), 0.3))
    assert 0 < done.metrics["search_without_score"] < 12
    assert done.metrics["search_value"] > 0
    trials = pl.read_parquet(campaign.round_folder(1) / "trials.parquet")
    assert trials.height == 12
    assert done.metrics["search_value"] == trials["value"][0] == trials["value"].fill_nan(None).max()


def test_a_rounds_reliability_is_that_of_labels_its_fit_has_not_seen(tmp_path):
    config = RoundConfig(campaign=tmp_path, calibrate=CalibrateConfig(confidence="fused"))
    told = made_errors(60, 3).with_columns(predicted_error_mm=pl.lit(7.0))
    [axes] = confidence_figures(told, config)["reliability"].axes
    drawn = np.concatenate([line.get_xdata() for line in axes.lines])
    assert 7.0 in np.round(drawn.astype(float), 6)


@pytest.mark.parametrize(
    ("best", "kept_limits", "ringed"),
    [
        ((0.5, 8.0, 0.5), 0.0, "chosen: 20 labels at 8.00 mm"),
        ((-1.0, 11.0, 0.5), 0.0, "chosen: 20 labels at 11.00 mm"),
        ((0.0, float("nan"), 0.0), 0.0, None),
        ((0.5, 8.0, 0.5), 1.0, None),
    ],
)
def test_the_picture_of_a_search_rings_the_trial_whose_limits_are_used_and_no_other(best, kept_limits, ringed):
    rows = [best, (-5.0, 15.0, 1.0), (-6.0, 16.0, 0.9)]
    trials = pl.DataFrame(rows, ["value", "error_mm", "share"], orient="row")
    metrics = {"error_limit_mm": 10.0, "search_kept_limits": kept_limits}
    [axes] = search_figures(trials, NUM, metrics)["threshold_search"].axes
    named = [str(line.get_label()) for line in axes.lines]
    assert [name for name in named if name.startswith("chosen")] == ([] if ringed is None else [ringed])


@pytest.mark.parametrize(
    ("select", "confidence", "option"),
    [
        ({}, "isotonic", "raise --select.max_label_error_mm, here 56.1"),
        ({"num_trials": 0}, "isotonic", "loosen --select.default"),
        ({"num_trials": 0}, "fused", "raise --select.max_label_error_mm, here 56.1"),
        ({"by_cluster": True}, "isotonic", "raise --select.cluster.share_ramp"),
        ({"accept_shares": (0.01,)}, "isotonic", "raise --select.accept_shares"),
        ({"guarantee": GuaranteeConfig()}, "isotonic", "raise --select.guarantee.error_mm or alpha"),
    ],
)
def test_a_round_that_trusts_next_to_no_label_says_what_that_means_and_what_decides(select, confidence, option):
    config = RoundConfig(select=SelectConfig(**select), calibrate=CalibrateConfig(confidence=confidence))
    none, few = (few_in_words(num, 200, 56.06, config) for num in (0, 9))
    assert none.startswith("no label was trusted, so nothing is learned from labels of these frames in this round")
    assert few.startswith("so few labels were trusted that little is learned")
    for said in (none, few):
        assert option in said
        assert "--pretrain.num_steps" in said
    assert few_in_words(10, 200, 56.06, config) is None
    assert few_in_words(0, 0, 56.06, config) is None  # all is quarantined, and was said to be


def test_a_round_says_so_below_its_line_and_names_the_teacher_that_was_given(campaign_of, tmp_path, capsys):
    config = RoundConfig(campaign=tmp_path / "other", teacher=tmp_path / "model")
    campaign = replace(campaign_of(SelectConfig()), config=config)
    found = {"selected": 0.0, "labels": 32.0, "quarantined": 1.0, "error_limit_mm": 56.06}
    _say_selected(campaign, 3, found)
    line, below = capsys.readouterr().out.splitlines()
    assert line.startswith("round 3: 0 of 32 labels selected, 1 quarantined; training for ")
    assert "start from a better --teacher" in below
    assert "--pretrain" not in below
    _say_selected(campaign, 3, found | {"selected": 20.0})
    assert len(capsys.readouterr().out.splitlines()) == 1
