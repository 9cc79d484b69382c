"""hand/quality.py: motion, skeleton and confidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sample_hands import hands, random_hands_mm
from semihand.hand import metrics
from semihand.hand.bones import bone_lengths


def test_steady_motion_has_no_jitter_and_an_accelerated_one_has_its_own():
    time = np.arange(10.0)[:, None, None]
    start, speed = random_hands_mm(2, 14)
    assert metrics.jitter(start + time * speed) == pytest.approx(0, abs=1e-9)
    bent = start + time**2 * [0.0, 1.5, 2.0]
    assert metrics.jitter(bent) == pytest.approx(5.0)
    assert metrics.acceleration_error(bent, start + time * speed) == pytest.approx(5.0)
    assert metrics.acceleration_error(bent, bent + time * speed) == pytest.approx(0, abs=1e-9)
    assert metrics.wrist_speed(start + time * [3.0, 0.0, 4.0]) == pytest.approx(5.0)
    with pytest.raises(ValueError, match="2 frames"):
        metrics.jitter(bent[:2])


@given(hands())
def test_bone_variation_is_zero_for_one_skeleton_and_grows_with_noise(joints_mm):
    turned = np.stack([joints_mm[0] @ Rotation.random(random_state=seed).as_matrix().T for seed in range(20)])
    assert metrics.bone_length_variation(turned) < 1e-9
    noise = np.random.default_rng(0).normal(size=turned.shape)
    assert 0 < metrics.bone_length_variation(turned + noise) < metrics.bone_length_variation(turned + 3 * noise)


def test_sides_of_unequal_length_are_asymmetric():
    left_mm = bone_lengths(random_hands_mm(1, 15))[0]
    assert metrics.side_asymmetry(left_mm, left_mm) == 0
    assert metrics.side_asymmetry(left_mm, 1.5 * left_mm) == pytest.approx(0.4)


def test_a_confidence_that_ranks_like_the_error_has_the_least_area():
    rng = np.random.default_rng(0)
    risk = rng.exponential(10.0, 200)
    best, worst = metrics.aurc(risk, -risk), metrics.aurc(risk, risk)
    shuffled = [metrics.aurc(risk, rng.permutation(risk)) for _ in range(20)]
    assert best < min(shuffled) <= max(shuffled) < worst
    coverage, curve = metrics.risk_coverage(risk, -risk)
    assert (coverage[0], coverage[-1], curve[-1]) == (1 / 200, 1.0, pytest.approx(risk.mean()))
    assert (np.diff(curve) >= 0).all()


@given(st.integers(0, 2**32 - 1))
def test_the_risk_curve_does_not_depend_on_the_order_of_ties(seed):
    rng = np.random.default_rng(seed)
    risk, confidence, order = rng.random(30), rng.integers(0, 4, 30) / 4, rng.permutation(30)
    np.testing.assert_allclose(
        metrics.risk_coverage(risk, confidence).risk,
        metrics.risk_coverage(risk[order], confidence[order]).risk,
    )
    assert metrics.aurc(risk, np.zeros(30)) == pytest.approx(risk.mean())


def test_label_quality_is_about_what_was_accepted():
    errors_mm, accepted = np.array([2.0, 12.0, 6.0, 30.0]), np.array([True, True, True, False])
    assert metrics.label_quality(errors_mm, accepted) == pytest.approx((0.75, 2 / 3, 20 / 3))
    none = metrics.label_quality(errors_mm, np.zeros(4, bool))
    assert none.acceptance == 0
    assert np.isnan([none.precision, none.epe_mm]).all()
