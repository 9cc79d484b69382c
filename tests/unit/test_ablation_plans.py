"""ablation/: plans made of overlays."""

import pytest
from pydantic import ValidationError

from semihand.ablation.config import AblationConfig
from semihand.ablation.plans import Cell, Plan, plan_of
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
    "pair": {"extends": "plain", "label": {"combine": "mean"}},
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


def test_the_row_as_printed_has_the_papers_distance_and_weighs_joints_alike():
    plan = AblationConfig().plans()["semihand"]
    losses = plan.train.objective.losses
    assert (losses.distance, plan.select.by_joint, plan.train.ema_decay, plan.label.carry) == (
        "squared",
        False,
        0,
        True,
    )
    assert (losses.consistency_weight, losses.cross_modal_weight, losses.registration_weight) == (0.1, 0.1, 1)


def test_a_recipe_may_change_a_row_and_add_one():
    config = AblationConfig(row={"semihand": {"about": "mine"}, "new": {"extends": "ceiling", "truth_share": 0.5}})
    plans = config.plans()
    assert plans["semihand"].about == "mine"
    assert plans["semihand"].learns_from == "labels"
    assert plans["new"].truth_share == 0.5


@pytest.mark.parametrize(
    ("name", "says"),
    [("nothing", "there is no row 'nothing'"), ("circle", "extends itself"), ("pair", "row.pair: .* two teachers")],
)
def test_a_row_that_cannot_be_resolved_is_refused(name: str, says: str):
    with pytest.raises(InputError, match=says):
        plan_of(name, ROWS, {})


@pytest.mark.parametrize("asks", [{"label": {"combine": "mean"}}, {"select": {"weighting": "divergence"}}])
def test_what_two_teachers_do_is_refused_of_one(asks: dict[str, object]):
    with pytest.raises(ValidationError, match="second_teacher = true"):
        Plan.model_validate({"about": "", "learns_from": "labels", **asks})
    assert Plan.model_validate({"about": "", "learns_from": "labels", "second_teacher": True, **asks})


def test_all_additions_hold_what_they_take_in_whole():
    config = AblationConfig()
    plans, base = config.all_plans(), config.compared_with()
    held = {name for name in base if plans["all_additions"].takes_in(plans[name], plans[base[name]])}
    assert held >= {"fresh_labels", "mean_teacher", "smoothed_views", "mode_of_views", "label_heatmaps", "robust"}
    assert not held & {"adaptive_ema", "corrector", "thinning", "by_cluster", "soft_weights"}


def test_an_addition_changes_something_of_the_row_it_is_compared_with():
    config = AblationConfig()
    plans, bases = config.plans(), config.compared_with()
    assert bases.keys() == {name for name, plan in plans.items() if plan.kind == "addition"}
    assert all(plans[name].as_text(1) != plans[base].as_text(1) for name, base in bases.items())


def test_accepted_shares_go_by_round_and_the_last_repeats():
    plan = Plan(about="", learns_from="labels", accept_shares=[0.4, 0.6])
    assert [plan.accept_share(number) for number in (1, 2, 3)] == [0.4, 0.6, 0.6]


def test_what_a_row_is_called_does_not_decide_its_figures_and_its_rounds_do():
    plan = Plan(about="one", learns_from="labels")
    assert plan.as_text(2) == Plan(about="other", kind="control", learns_from="labels").as_text(2)
    assert plan.as_text(2) != plan.as_text(3)


def test_cells_are_the_domains_and_seeds_asked_for():
    config = AblationConfig(domains=["target_sensor"], seeds=2, first_seed=11, rows=["ceiling"])
    assert list(config.cells(config.plans())) == [Cell("ceiling", "target_sensor", seed) for seed in (11, 12)]
    assert config.all_plans().keys() >= NAMED
