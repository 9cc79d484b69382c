"""hand/proportions.py: units and joint orders from bone lengths, of hands in any pose, size and order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_hands import hands, possible_hands_mm, random_hands_mm
from semihand.frames.synthetic.anatomy import rest_joints_mm
from semihand.hand.bones import bone_lengths
from semihand.hand.proportions import ADULT_LENGTHS_MM, UNITS, misfits, order_fits, same_orders, size_of, unit_of
from semihand.hand.skeleton import JOINT_ORDERS, reorder_from_semihand, reorder_to_semihand

COMPLETE = sorted(name for name, order in JOINT_ORDERS.items() if order.is_complete)


def test_the_adult_is_the_generic_hand():
    np.testing.assert_allclose(bone_lengths(rest_joints_mm()), ADULT_LENGTHS_MM, atol=0.06)


@given(hands(), st.sampled_from(sorted(UNITS)))
def test_a_hand_in_any_unit_is_told_its_unit(joints_mm, unit):
    sizes = size_of(joints_mm / UNITS[unit])
    np.testing.assert_allclose(sizes * UNITS[unit], size_of(joints_mm), rtol=1e-9)
    assert {unit_of(size) for size in sizes} == {unit}


def test_what_is_no_hand_in_any_unit_has_none():
    for size in (0.02, 5.0, 300.0, np.nan):
        assert unit_of(size) is None


@pytest.mark.parametrize("order", COMPLETE)
@pytest.mark.parametrize("noise_mm", [0.0, 5.0])
def test_the_order_of_a_set_is_found_by_its_bones(order, noise_mm):
    joints_mm = possible_hands_mm(30, 3) + np.random.default_rng(4).normal(0, noise_mm, (30, 21, 3))
    given_mm = reorder_from_semihand(joints_mm, order)
    best, second = order_fits(given_mm)[:2]
    assert order in same_orders(best.order)
    assert best.misfit < 0.2
    assert second.misfit - best.misfit > 0.02
    np.testing.assert_array_equal(reorder_to_semihand(given_mm, best.order), joints_mm)


@given(hands(), st.floats(1e-4, 1e4))
def test_no_order_depends_on_size_place_or_turn(joints_mm, factor):
    turned = joints_mm[..., [1, 2, 0]] * factor + 3.0 * factor
    fits, again = order_fits(joints_mm), order_fits(turned)
    assert [fit.order for fit in again] == [fit.order for fit in fits]
    np.testing.assert_allclose([fit.misfit for fit in again], [fit.misfit for fit in fits], atol=1e-6)


def test_joints_that_are_not_known_are_left_out():
    joints_mm = random_hands_mm(20, 5)
    without_wrist = joints_mm.copy()
    without_wrist[:, 0] = np.nan
    np.testing.assert_allclose(size_of(without_wrist), size_of(joints_mm), rtol=0.15)
    assert order_fits(without_wrist)[0].order == "freihand"
    few = np.full_like(joints_mm, np.nan)
    few[:, :3] = joints_mm[:, :3]
    assert np.isnan(size_of(few)).all()
    assert np.isnan(misfits(np.full_like(joints_mm, np.nan))).all()


def test_a_pose_that_is_no_hand_misfits_alone():
    joints_mm = possible_hands_mm(40, 6)
    scrambled = joints_mm.copy()
    scrambled[7] = scrambled[7, np.random.default_rng(1).permutation(21)]
    scrambled[11, 6] = scrambled[11, 5]
    found = misfits(scrambled)
    assert found[7] > 0.5
    assert np.flatnonzero(found > 0.3).tolist() == [7, 11]
    assert misfits(joints_mm).max() < 0.3
