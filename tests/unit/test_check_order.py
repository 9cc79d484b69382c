"""steps/checking/ordering.py: an order is told where it makes hands of a set; what is no hand is not accused of one."""

import numpy as np
import pytest
from checked_sets import NUM, changed, check, serious
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_hands import possible_hands_mm
from semihand.hand.proportions import order_fits, same_orders
from semihand.hand.skeleton import JOINT_ORDERS, reorder_from_semihand, reorder_to_semihand
from semihand.steps.checking.ordering import OURS, judge_order
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import split_labelled
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import as_numpy

ORDERS = sorted({order.source_index: name for name, order in JOINT_ORDERS.items() if order.is_complete}.values())


@settings(max_examples=60)
@given(st.sampled_from(ORDERS), st.floats(0, 40), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_an_order_that_is_told_makes_hands_in_ours_of_the_set(order, noise_mm, num, seed):
    noise = np.random.default_rng(seed).normal(0, noise_mm, (num, 21, 3))
    joints_mm = reorder_from_semihand(possible_hands_mm(num, seed) + noise, order)
    told = judge_order(joints_mm)
    assert told.best == order_fits(joints_mm)[0]
    if told.kind == "another":
        mended = judge_order(reorder_to_semihand(joints_mm, told.best.order))
        assert (mended.kind, mended.ours.misfit) == ("ours", pytest.approx(told.best.misfit))
    else:
        assert (told.kind == "ours") == (told.ours.misfit <= 0.3)


@settings(max_examples=30)
@given(st.sampled_from(ORDERS), st.sampled_from([0.0, 3.0, 5.0]), st.integers(0, 2**32 - 1))
def test_the_order_of_a_few_hands_is_told_whichever_it_is(order, noise_mm, seed):
    noise = np.random.default_rng(seed).normal(0, noise_mm, (20, 21, 3))
    told = judge_order(reorder_from_semihand(possible_hands_mm(20, seed) + noise, order))
    assert told.kind == ("ours" if order in same_orders(OURS) else "another")
    assert order in same_orders(told.best.order)


def test_labels_of_an_untrained_model_are_said_to_be_no_hands_and_not_to_be_in_another_order(
    hands, teacher, card, tmp_path
):
    lengths = Lengths({UNNAMED: np.array(card.template_mm)})
    labels, _ = split_labelled(FrameLabeller(LabelConfig(), teacher, lengths, None, 1)(hands))
    joints_mm = as_numpy(labels["label_mm"])
    checked = check(tmp_path / "m", changed(hands, joints_mm=joints_mm.tolist(), mano_pose=[None] * NUM))
    found = {each.code: each for each in checked.findings if each.severity != "note"}
    assert "joint_order" not in found
    assert (found["proportions"].severity, found["proportions"].count) == ("warning", NUM)
    assert "train the model longer" in found["proportions"].way_out


def test_joints_at_random_are_said_to_be_in_no_order(hands, tmp_path):
    order = np.random.default_rng(3).permutation(21)
    checked = check(tmp_path / "m", changed(hands, joints_mm=lambda mm: mm[:, order]))
    assert serious(checked) == {"joint_order": NUM}
    assert "no hand's in any order we know" in checked.findings[0].detail
