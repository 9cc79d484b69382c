"""steps/calibrate.py and harden.py: errors of labels with known truth, and frames as hard as those to come."""

import io

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from frames_tables import with_column
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation
from table_rows import ids, label_rows

from sample_hands import random_hands_mm
from semihand.frames.reading import read_pictures
from semihand.hand.camera import relative_depth
from semihand.methods.semihand.augmentation import AppearanceConfig
from semihand.steps.calibrate import CalibrateConfig, Calibration, fit_calibration, label_errors, place_known
from semihand.steps.confidence import fit_confidence
from semihand.steps.harden import HardenConfig, harden_frames
from semihand.steps.recordings import halves
from semihand.tables import FRAMES, content_sha256, fixed_list_column, rows_of
from semihand.tables.rows import take_rows

NUM = 6


def truth(joints_mm: np.ndarray) -> pa.Table:
    num = len(joints_mm)
    return rows_of(
        FRAMES,
        {
            "frame_id": ids(num), "dataset": ["test"] * num, "content_sha256": ["0" * 64] * num,
            "modality": ["rgb"] * num, "hand": ["right"] * num, "supervision": ["3d"] * num,
            "joints_mm": joints_mm.astype(np.float32),
        },
    )  # fmt: skip


def labelled(label_mm: np.ndarray, raw_mm: np.ndarray | None = None) -> pa.Table:
    labels = label_rows(ids(len(label_mm)))
    for name, values in (("label_mm", label_mm), ("joints_mm", label_mm if raw_mm is None else raw_mm)):
        labels = with_column(labels, name, fixed_list_column(values.astype(np.float32)))
    return labels


@given(st.integers(0, 2**31))
def test_a_pose_placed_by_known_scale_and_root_keeps_its_lines_of_sight_and_its_depths_in_bones(seed):
    joints_mm = random_hands_mm(3, seed)
    scale, root_mm = np.array([30.0, 40.0, 50.0]), np.array([500.0, 350.0, 900.0])
    placed = place_known(joints_mm, scale, root_mm)
    np.testing.assert_allclose(placed[..., :2] / placed[..., 2:], joints_mm[..., :2] / joints_mm[..., 2:])
    np.testing.assert_allclose(placed[:, 9, 2], root_mm)
    along = (placed[..., 2] - root_mm[:, None]) / scale[:, None]
    np.testing.assert_allclose(along, relative_depth(joints_mm), atol=1e-9)


def test_distance_and_size_of_a_label_are_no_error_but_its_orientation_is():
    true_mm = random_hands_mm(NUM, 1)
    further = true_mm * np.random.default_rng(2).uniform(0.5, 2, (NUM, 1, 1))  # larger and as much further away
    turned = (true_mm - true_mm[:, 9:10]) @ Rotation.from_euler("y", 20, degrees=True).as_matrix() + true_mm[:, 9:10]
    errors = label_errors(labelled(further, turned), truth(true_mm))
    np.testing.assert_allclose(errors["error_mm"], 0, atol=1e-3)
    assert (errors["raw_error_mm"].to_numpy() > 1).all()


def test_a_joint_that_is_too_far_counts_a_twenty_first_at_the_true_scale():
    true_mm = random_hands_mm(NUM, 3)
    off = true_mm.copy()
    off[:, 4] *= 1 + 13 / np.linalg.norm(off[:, 4], axis=-1, keepdims=True)  # the thumb's tip, 13 mm along its ray
    errors = label_errors(labelled(off * 2), truth(true_mm))
    np.testing.assert_allclose(errors["error_mm"], 13 / 21, rtol=1e-3)


def test_errors_come_by_frame_id_whatever_the_order_and_without_truth_not_at_all():
    true_mm = random_hands_mm(NUM, 4)
    labels = labelled(true_mm + np.random.default_rng(5).normal(0, 5, true_mm.shape))
    once = label_errors(labels, truth(true_mm))
    order = [4, 2, 0, 5, 1, 3]
    assert label_errors(take_rows(labels, order), take_rows(truth(true_mm), order[::-1])).equals(once)
    assert once["frame_id"].is_sorted()
    unknown = true_mm.astype(np.float32)
    unknown[3, 7] = np.nan  # one joint of one frame is not known
    known = with_column(truth(true_mm), "joints_mm", [*unknown[:5].tolist(), None])
    expected = once.filter(~pl.col("frame_id").is_in([ids(NUM)[3], ids(NUM)[5]]))
    assert label_errors(labels, known).equals(expected)


def error_table(stability: np.ndarray, error_mm: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"stability": stability.astype(np.float32), "error_mm": error_mm})


@given(st.integers(0, 2**31), st.floats(0.0, 10.0))
@settings(max_examples=25)
def test_the_fit_never_falls_and_keeps_the_mean_error(seed, noise_mm):
    rng = np.random.default_rng(seed)
    stability = rng.gamma(2.0, 3.0, 60)
    error = 4 + 2 * np.sqrt(stability) + rng.normal(0, noise_mm, 60)
    calibration = fit_calibration(error_table(stability, error))
    line = calibration.error_mm(np.linspace(-5, 60, 300))
    assert (np.diff(line) >= -1e-9).all()
    assert line[0] == pytest.approx(min(calibration.expected_mm))
    assert line[-1] == pytest.approx(max(calibration.expected_mm))
    # isotonic regression keeps the mean of what it is fitted to
    fitted = calibration.error_mm(stability.astype(np.float32).astype(np.float64))
    assert fitted.mean() == pytest.approx(error.mean(), rel=1e-4, abs=1e-4)


def test_a_fit_of_what_is_already_in_order_goes_through_every_point():
    stability, error = np.arange(25.0) ** 2, np.arange(25.0) * 1.5 + 2
    shuffled = np.random.default_rng(1).permutation(25)
    calibration = fit_calibration(error_table(stability[shuffled], error[shuffled]))
    np.testing.assert_allclose(calibration.error_mm(stability), error)
    np.testing.assert_allclose(calibration.error_mm(np.array([0.5, 10.0**6])), [2.75, error[-1]])


def test_a_fit_survives_json():
    calibration = fit_calibration(error_table(np.arange(30.0), np.arange(30.0)[::-1] + np.arange(30.0) * 2))
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration


def test_too_few_frames_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"has 19 labelled frames .* at least 20 .*--calibrate\.num_frames"):
        fit_confidence(error_table(np.arange(19.0), np.arange(19.0)), "isotonic")
    with pytest.raises(ValueError, match="greater than or equal to 20"):
        CalibrateConfig(num_frames=19)


def named(frame_ids: list[str], sequences: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame({"frame_id": frame_ids, "sequence_id": pl.Series(sequences, dtype=pl.String)})


def test_the_halves_are_told_by_the_id_alone_and_are_all_there_is():
    names = ids(200)
    search, check = halves(named(names, [None] * 200))
    assert sorted(search + check) == list(range(200))
    assert min(len(search), len(check)) > 60
    order = np.random.default_rng(2).permutation(200)
    again, _ = halves(named([names[i] for i in order], [None] * 200))
    assert {names[order[row]] for row in again} == {names[row] for row in search}


def test_recordings_are_searched_or_checked_as_a_whole_where_there_are_enough():
    sequences = [f"clip {row // 10}" for row in range(200)]
    sides = [{sequences[row] for row in half} for half in halves(named(ids(200), sequences))]
    assert not sides[0] & sides[1]
    assert min(map(len, sides)) >= 5
    one_clip = halves(named(ids(200), ["clip"] * 200))
    assert one_clip == halves(named(ids(200), [None] * 200))


def pictures(frames: pa.Table) -> list[np.ndarray]:
    return [picture for _, picture in read_pictures(frames)]


def test_hardened_frames_keep_their_truth_and_change_their_pixels(source_frames):
    hard = harden_frames(source_frames, HardenConfig())
    same = [name for name in FRAMES.names if name not in ("image", "uri", "content_sha256")]
    assert hard.select(same).equals(source_frames.select(same))
    for ours, theirs in zip(pictures(hard), pictures(source_frames), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).mean() > 5
    assert hard["content_sha256"].to_pylist() == [content_sha256(image) for image in hard["image"].to_pylist()]


def test_how_a_frame_is_hardened_depends_on_its_id_alone(source_frames):
    hard = harden_frames(source_frames, HardenConfig())
    order = [5, 0, 7, 2]
    assert harden_frames(take_rows(source_frames, order), HardenConfig()).equals(take_rows(hard, order))
    renamed = with_column(source_frames, "frame_id", ids(source_frames.num_rows))
    assert harden_frames(renamed, HardenConfig())["image"].to_pylist() != hard["image"].to_pylist()


def test_a_new_background_stops_at_the_hand(source_frames):
    nothing = AppearanceConfig(colour=0, grey=0, blur=0, noise=0, erase=0, background=1.0, skin=0)
    hard = harden_frames(source_frames, HardenConfig(appearance=nothing))
    for row, (ours, theirs) in enumerate(zip(pictures(hard), pictures(source_frames), strict=True)):
        mask = np.asarray(Image.open(io.BytesIO(source_frames["mask_png"][row].as_py())))
        assert np.abs(ours[mask == 255].astype(int) - theirs[mask == 255]).max() <= 1
        assert np.abs(ours[mask == 0].astype(int) - theirs[mask == 0]).mean() > 5


def test_a_frame_that_cannot_be_read_is_left_out(source_frames):
    images = source_frames["image"].to_pylist()
    hard = harden_frames(with_column(source_frames, "image", [images[0], b"", *images[2:]]), HardenConfig())
    kept = [0, *range(2, source_frames.num_rows)]
    assert hard.equals(take_rows(harden_frames(source_frames, HardenConfig()), kept))
