"""ablation/: plans made of overlays, what the results amount to."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from semihand.ablation.config import AblationConfig
from semihand.ablation.plans import Plan, plan_of, read_rows
from semihand.ablation.results import ResultFolder, markdown, paired_gain, summarise
from semihand.frames.errors import InputError

NAMED = {
    *("source_only", "consistency_only", "naive_pseudo_labels", "corrected_selected", "semihand", "all_additions"),
    *("random_selection", "five_percent", "ceiling"),
}
ROWS = {
    "plain": {"about": "plain", "learns_from": "labels", "train": {"objective": {"losses": {"label_weight": 0.5}}}},
    "more": {"extends": "plain", "about": "more", "train": {"objective": {"losses": {"mask_weight": 7.0}}}},
    "circle": {"extends": "round", "about": "", "learns_from": "source"},
    "round": {"extends": "circle", "about": "", "learns_from": "source"},
}


def test_a_row_is_the_base_what_it_extends_and_what_it_changes():
    plan = plan_of("more", ROWS, {"train": {"num_steps": 9, "objective": {"losses": {"label_weight": 0.1}}}})
    assert (plan.about, plan.learns_from, plan.train.num_steps) == ("more", "labels", 9)
    assert (plan.train.objective.losses.label_weight, plan.train.objective.losses.mask_weight) == (0.5, 7.0)


def test_every_named_row_is_there_and_shares_steps_and_source_augmentation():
    plans = AblationConfig(base={"train": {"num_steps": 123}}).plans()
    assert plans.keys() >= NAMED
    assert {plan.train.num_steps for plan in plans.values()} == {123}
    source = {(plan.train.source_batch, plan.train.objective.source_appearance.model_dump_json(),
               plan.train.objective.warp.model_dump_json()) for plan in plans.values()}  # fmt: skip
    assert len(source) == 1


def test_only_controls_that_say_so_learn_from_truth():
    plans = AblationConfig().plans()
    assert {name for name, plan in plans.items() if plan.learns_from == "truth"} == {"five_percent", "ceiling"}


def test_a_recipe_may_change_a_row_and_add_one():
    config = AblationConfig(row={"semihand": {"about": "mine"}, "new": {"extends": "ceiling", "truth_share": 0.5}})
    plans = config.plans()
    assert plans["semihand"].about == "mine"
    assert plans["semihand"].learns_from == "labels"
    assert plans["new"].truth_share == 0.5


@pytest.mark.parametrize(("name", "says"), [("nothing", "there is no row 'nothing'"), ("circle", "extends itself")])
def test_a_row_that_cannot_be_resolved_is_refused(name: str, says: str):
    with pytest.raises(InputError, match=says):
        plan_of(name, ROWS, {})


def test_an_addition_changes_something_of_the_row_it_is_compared_with():
    config = AblationConfig()
    plans, bases = config.plans(), config.compared_with()
    assert bases.keys() == {name for name, plan in plans.items() if plan.kind == "addition"}
    about = {"about": "", "kind": "method"}
    for name, base in bases.items():
        assert plans[name].model_copy(update=about) != plans[base].model_copy(update=about)


def test_accepted_shares_go_by_round_and_the_last_repeats():
    plan = Plan(about="", learns_from="labels", accept_shares=[0.4, 0.6])
    assert [plan.accept_share(number) for number in (1, 2, 3)] == [0.4, 0.6, 0.6]


def filled(folder: Path, errors_mm: dict[str, float]) -> ResultFolder:
    """Two domains and seeds; the second domain's errors are doubled, the frames' spread is the same in all rows."""
    results = ResultFolder(folder)
    spread = np.random.default_rng(0).normal(0, 3, 200)
    for domain, factor in (("a", 1.0), ("b", 2.0)):
        for seed in (1, 2):
            for row, mean in errors_mm.items():
                value = factor * (mean + 0.5 * seed)
                frames = pl.DataFrame({"frame_id": [f"{i:04d}" for i in range(200)], "error_mm": value + spread})
                metrics = {"epe_mm": value, "uv_px": 1.0}
                results.write(row, domain, seed, '{"of": 1}', metrics, frames, Path("model"))
    return results


def test_gap_closed_and_paired_gain_are_what_the_numbers_say(tmp_path: Path):
    results = filled(tmp_path, {"source_only": 20.0, "semihand": 16.0, "better": 14.0, "ceiling": 10.0})
    names = ("source_only", "semihand", "ceiling")
    plans = {name: plan_of(name, read_rows(), {}) for name in names}
    plans["better"] = Plan(about="an addition", learns_from="labels", kind="addition")
    summary = summarise(results, plans, {"better": "semihand"})
    rows = {row["name"]: row for row in summary["rows"]}
    assert [rows[name]["gap_closed"] for name in (*names, "better")] == pytest.approx([0.0, 0.4, 1.0, 0.6])
    assert rows["semihand"]["epe_mm"] == pytest.approx(1.5 * 16.75)
    assert rows["semihand"]["epe_mm_spread"] == pytest.approx(1.5 * 0.5 * np.sqrt(0.5))
    assert summary["domains"]["b"]["ratio"] == pytest.approx(20.75 / 10.75)
    assert rows["better"]["gain"]["b"]["mean_mm"] == pytest.approx(4.0)
    assert rows["better"]["on_by_default"]
    assert "| better | semihand | a +2.00" in markdown(summary)


def test_an_addition_that_gains_nothing_clear_is_off(tmp_path: Path):
    results = filled(tmp_path, {"semihand": 16.0, "same": 16.0})
    gain = paired_gain(results, results.read(), "same", "semihand", "a")
    assert gain is not None
    assert gain["mean_mm"] == 0.0
    plans = {"same": Plan(about="", learns_from="labels", kind="addition")}
    assert not summarise(results, plans, {"same": "semihand"})["rows"][0]["on_by_default"]
    assert paired_gain(results, results.read(), "same", "never run", "a") is None


def test_a_result_is_done_for_the_plan_it_was_run_by(tmp_path: Path):
    results = filled(tmp_path, {"semihand": 16.0})
    assert results.is_done("semihand", "a", 1, '{"of": 1}')
    assert not results.is_done("semihand", "a", 1, '{"of": 2}')
    assert not results.is_done("semihand", "a", 3, '{"of": 1}')
