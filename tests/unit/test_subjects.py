"""steps/correct.py and subjects.py: poses onto their subject's bones, and these bones from accepted labels."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_hands import SAMPLE_LENGTHS_MM, hands, lengths, right_hand_mm
from semihand.hand.bones import bone_lengths, crossed_square_lengths, register_to_lengths
from semihand.hand.palm import crossed_square_distances
from semihand.hand.projection import PALM, palm_of
from semihand.steps.correct import CorrectConfig, correct_poses
from semihand.steps.subjects import UNNAMED, Lengths, SubjectConfig, Template, measure_subjects
from semihand.tables import SUBJECTS, as_numpy
from semihand.tables.validation import checked_rows

TEMPLATE = SAMPLE_LENGTHS_MM.ravel()
REFERENCE = 9


@given(hands(), lengths())
def test_the_three_kinds_of_label_are_the_pose_its_registration_and_their_midpoint(joints_mm, lengths_mm):
    registered = register_to_lengths(joints_mm, lengths_mm)
    expected = {"raw": joints_mm, "corrected": registered, "midpoint": (joints_mm + registered) / 2}
    for kind, label_mm in expected.items():
        made = correct_poses(joints_mm, lengths_mm, CorrectConfig(label=kind))
        np.testing.assert_array_equal(made.label_mm, label_mm)
        np.testing.assert_array_equal(made.corrected_mm, registered)


@given(hands(), lengths(), st.integers(0, 2**31))
def test_the_midpoint_minimises_equation_7(joints_mm, lengths_mm, seed):
    made = correct_poses(joints_mm, lengths_mm, CorrectConfig(label="midpoint"))

    def energy(label_mm):  # ℓ(p′, p̂) + ℓ(r′, p̂) with one weight for all axes
        return np.square(joints_mm - label_mm).sum() + np.square(made.corrected_mm - label_mm).sum()

    for away in np.random.default_rng(seed).normal(0, 1, (5, *joints_mm.shape)):
        assert energy(made.label_mm) < energy(made.label_mm + away)


@given(hands(), lengths())
def test_what_the_correction_did_is_said_beside_it(joints_mm, lengths_mm):
    made = correct_poses(joints_mm, lengths_mm, CorrectConfig())
    np.testing.assert_allclose(bone_lengths(made.corrected_mm), lengths_mm)
    np.testing.assert_allclose(made.bone_mm, bone_lengths(joints_mm))
    np.testing.assert_allclose(made.bone_residual_mm + lengths_mm, made.bone_mm)
    moved = [np.mean([np.linalg.norm(a - b) for a, b in zip(*pair, strict=True)])
             for pair in zip(made.corrected_mm, joints_mm, strict=True)]  # fmt: skip
    np.testing.assert_allclose(made.moved_mm, moved)


@given(hands())
def test_a_feasible_pose_moves_by_nothing(joints_mm):
    made = correct_poses(joints_mm, bone_lengths(joints_mm), CorrectConfig())
    np.testing.assert_allclose(made.moved_mm, 0, atol=1e-9)
    np.testing.assert_allclose(made.bone_residual_mm, 0, atol=1e-9)


def label_bones(subjects: list[str | None], bones: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"subject_id": pl.Series(subjects, dtype=pl.String), "bone_mm": bones.tolist()})


def measured(table) -> dict[str, np.ndarray]:
    return dict(zip(table["subject_id"].to_pylist(), as_numpy(table["bone_mm"]), strict=True))


def noisy_bones(num: int, seed: int) -> np.ndarray:
    return TEMPLATE * np.random.default_rng(seed).uniform(0.8, 1.2, (num, 20))


def test_a_subject_has_the_median_of_its_labels_at_the_templates_scale():
    bones = noisy_bones(7, 1)
    table = measure_subjects(label_bones(["ada"] * 7, bones), TEMPLATE, 3, SubjectConfig(prior_frames=0))
    at_scale = np.array([row * (TEMPLATE[REFERENCE] / row[REFERENCE]) for row in bones])
    np.testing.assert_allclose(measured(table)["ada"], np.sort(at_scale, axis=0)[3], rtol=1e-6)
    checked_rows(table, SUBJECTS)
    assert set(table["round"].to_pylist()) == {3}


@pytest.mark.parametrize(("num", "prior"), [(1, 30), (10, 30), (90, 30)])
def test_few_labels_are_drawn_to_the_template_by_their_share(num, prior):
    bones = noisy_bones(num, num)
    labels = label_bones(["bo"] * num, bones)
    with_prior, without = (
        measured(measure_subjects(labels, TEMPLATE, 1, SubjectConfig(prior_frames=each)))["bo"] for each in (prior, 0)
    )
    np.testing.assert_allclose(with_prior, (num * without + prior * TEMPLATE) / (num + prior), rtol=1e-5)


@given(st.floats(0.3, 3.0))
def test_the_size_of_the_labels_makes_no_difference_and_the_reference_bone_stays_the_templates(size):
    bones = noisy_bones(5, 2)
    config = SubjectConfig(prior_frames=2)
    once, scaled = (
        measured(measure_subjects(label_bones(["cy"] * 5, each), TEMPLATE, 1, config))["cy"]
        for each in (bones, bones * size)
    )
    np.testing.assert_allclose(once, scaled, rtol=1e-5)
    assert once[REFERENCE] == pytest.approx(TEMPLATE[REFERENCE])


def test_a_few_wild_labels_do_not_move_the_median():
    bones = noisy_bones(9, 3)
    wild = bones.copy()
    wild[0, :REFERENCE] *= 30
    config = SubjectConfig(prior_frames=0)
    calm, shaken = (
        measured(measure_subjects(label_bones(["di"] * 9, each), TEMPLATE, 1, config))["di"] for each in (bones, wild)
    )
    assert np.abs(shaken / calm - 1).max() < 0.3


def test_a_label_whose_reference_bone_has_no_length_is_left_out():
    bones, config = noisy_bones(4, 6), SubjectConfig(prior_frames=0)
    flat = bones.copy()
    flat[0, REFERENCE] = 0
    without, with_flat = (
        measured(measure_subjects(label_bones(["ed"] * len(each), each), TEMPLATE, 1, config))["ed"]
        for each in (bones[1:], flat)
    )
    np.testing.assert_array_equal(with_flat, without)
    flat[:, REFERENCE] = 0
    nothing = measure_subjects(label_bones(["ed"] * 4, flat), TEMPLATE, 1, config)
    np.testing.assert_allclose(measured(nothing)["ed"], TEMPLATE, rtol=1e-6)


def test_subjects_are_measured_apart_in_any_order_and_the_nameless_together():
    bones = noisy_bones(8, 4)
    names = ["ada", None, "bo", "ada", None, "bo", "ada", None]
    config = SubjectConfig(prior_frames=1)
    table = measure_subjects(label_bones(names, bones), TEMPLATE, 1, config)
    assert table["subject_id"].to_pylist() == [UNNAMED, "ada", "bo"]
    assert table["num_frames"].to_pylist() == [3, 3, 2]
    order = np.random.default_rng(5).permutation(8)
    again = measure_subjects(label_bones([names[i] for i in order], bones[order]), TEMPLATE, 1, config)
    assert again.equals(table)
    alone = measure_subjects(label_bones(["ada"] * 3, bones[[0, 3, 6]]), TEMPLATE, 1, config)
    np.testing.assert_array_equal(measured(alone)["ada"], measured(table)["ada"])


def test_without_labels_there_is_the_template_for_everyone():
    table = measure_subjects(label_bones([], np.zeros((0, 20))), TEMPLATE, 1, SubjectConfig())
    assert (table["subject_id"].to_pylist(), table["num_frames"].to_pylist()) == ([UNNAMED], [0])
    np.testing.assert_allclose(Lengths.of(table).rows(["ada", None, ""]), np.tile(TEMPLATE, (3, 1)))


def test_every_row_gets_its_own_subjects_lengths_and_a_stranger_the_templates():
    known = Lengths({UNNAMED: TEMPLATE, "ada": TEMPLATE * 0.9, "bo": TEMPLATE * 1.2})
    expected = np.outer([1.2, 1.0, 0.9, 1.0], TEMPLATE)
    np.testing.assert_allclose(known.rows(["bo", "stranger", "ada", None]), expected)
    assert known.rows([]).shape == (0, 20)


def fixed_rows(values: np.ndarray) -> pl.Series:
    return pl.Series(values.astype(np.float32), dtype=pl.Array(pl.Float32, values.shape[1:]))


def label_poses(poses_mm: np.ndarray, sigma_mm: float, seed: int) -> pl.DataFrame:
    """Labels of one subject, each coordinate off by sigma, as the mean of two halves of the views."""
    halves = poses_mm + np.random.default_rng(seed).normal(0, sigma_mm * 2**0.5, (2, *poses_mm.shape))
    squares = {"bone_square_mm2": crossed_square_lengths(*halves), "palm_square_mm2": crossed_square_distances(*halves)}
    return pl.DataFrame(
        {
            "subject_id": ["eve"] * len(poses_mm),
            "bone_mm": bone_lengths(halves.mean(0)).tolist(),
            **{name: fixed_rows(values) for name, values in squares.items()},
        }
    )


def one_subjects_poses(num: int) -> np.ndarray:
    bends = np.random.default_rng(0).uniform(0, 50, (num, 5, 3))
    return np.array([right_hand_mm(bend) for bend in bends])


def test_unbiased_lengths_are_the_truth_at_noise_that_lengthens_the_medians():
    poses_mm = one_subjects_poses(300)
    truth_mm, off = bone_lengths(poses_mm[0]), {"median": [], "unbiased": []}
    template = truth_mm * np.random.default_rng(1).uniform(0.8, 1.2, 20)  # which no label may fall back on
    template[REFERENCE] = truth_mm[REFERENCE]
    for seed in range(60):
        labels = label_poses(poses_mm, 5.0, seed)
        for estimator, errors in off.items():
            config = SubjectConfig(prior_frames=0, estimator=estimator)
            errors.append(measured(measure_subjects(labels, template, 2, config))["eve"] - truth_mm)
    assert np.abs(np.mean(off["unbiased"], axis=0)).max() < 0.3
    assert np.abs(np.mean(off["median"], axis=0)).max() > 1.0


def test_a_palm_is_measured_where_the_template_has_one_and_drawn_towards_it():
    broad = np.array([1.15, 1.0, 1.0])
    poses_mm = one_subjects_poses(400)
    poses_mm[:, PALM] = poses_mm[:, :1] + palm_of(poses_mm) * broad
    template = Template(TEMPLATE, palm_of(right_hand_mm()))
    truth_mm = palm_of(poses_mm)[0]
    table = measure_subjects(label_poses(poses_mm, 1.0, 1), template, 2, SubjectConfig(prior_frames=0))
    checked_rows(table, SUBJECTS)
    palms = dict(zip(table["subject_id"].to_pylist(), as_numpy(table["palm_mm"]), strict=True))
    np.testing.assert_allclose(palms[UNNAMED], template.palm_mm, atol=1e-4)
    between, wanted = (np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (palms["eve"], truth_mm))
    np.testing.assert_allclose(between, wanted, atol=1.0)
    drawn = as_numpy(
        measure_subjects(label_poses(poses_mm, 1.0, 1), template, 2, SubjectConfig(prior_frames=400))["palm_mm"]
    )
    np.testing.assert_allclose(drawn[1], (palms["eve"] + template.palm_mm) / 2, atol=1e-3)
    known = Lengths.of(table)
    np.testing.assert_allclose(known.palms(["eve", None, "stranger"]), np.stack([palms["eve"], *[palms[UNNAMED]] * 2]))


def test_without_a_palm_in_the_template_there_is_none():
    table = measure_subjects(label_poses(one_subjects_poses(3), 1.0, 1), TEMPLATE, 2, SubjectConfig())
    assert table["palm_mm"].null_count == 2
    assert Lengths.of(table).palms(["eve"]) is None


def test_labels_lost_in_noise_leave_the_template():
    labels = label_poses(one_subjects_poses(5), 1.0, 1)
    lost = labels.with_columns(bone_square_mm2=fixed_rows(np.full((5, 20), -1.0)))
    table = measure_subjects(lost, TEMPLATE, 2, SubjectConfig(estimator="unbiased"))
    np.testing.assert_allclose(measured(table)["eve"], TEMPLATE)
