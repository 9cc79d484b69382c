"""steps/label_free.py: measures that need no truth, on labels whose quality is known."""

import numpy as np
import pyarrow as pa
import pytest
from frames_tables import with_column

from sample_hands import possible_hands_mm, right_hand_mm
from semihand.hand.skeleton import MIDDLE_MCP
from semihand.steps.label import LabelConfig
from semihand.steps.label_free import label_free_quality, measures
from semihand.tables import FRAMES, fixed_list_column, rows_of

QUICK = LabelConfig.model_validate({"views": {"num_views": 2}})


def frames_of(num, video="a.mp4", first=0, **columns):
    """FRAMES of a video."""
    about = {
        "frame_id": [f"{video}-{k:03d}" for k in range(num)],
        "dataset": ["test"] * num,
        "content_sha256": ["0" * 64] * num,
        "modality": ["rgb"] * num,
        "supervision": ["none"] * num,
        "hand": ["right"] * num,
        "uri": [video] * num,
        "video_frame": list(range(first, first + num)),
    }
    return rows_of(FRAMES, about | columns)


def labels_of(frames, joints_mm, stability=4.0):
    num = len(joints_mm)
    return pa.table(
        {
            "frame_id": frames["frame_id"],
            "joints_mm": fixed_list_column(joints_mm.astype(np.float32)),
            "stability": np.full(num, stability, np.float32),
            "mask_agreement": np.linspace(0.8, 1.0, num, dtype=np.float32),
            "silhouette_overlap": np.linspace(0.6, 0.8, num, dtype=np.float32),
        }
    )


def test_a_rigid_hand_that_is_carried_along_has_no_fault():
    hand = possible_hands_mm(1, 3)
    place = np.cumsum(np.random.default_rng(0).normal(0, 5, (12, 1, 3)), axis=0)
    frames = frames_of(12)
    found = measures(frames, labels_of(frames, hand + place))
    assert found["bone_length_variation"] == pytest.approx(0, abs=1e-4)
    assert found["jitter_mm"] == pytest.approx(0, abs=1e-3)
    assert found["angles_in_limits"] == 1
    assert found["view_error_px"] == pytest.approx(2)  # the root of an instability in px squared
    assert found["mask_agreement"] == pytest.approx(0.9)
    assert found["silhouette_overlap"] == pytest.approx(0.7)


def test_noise_of_a_known_size_is_measured_as_such():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 2.0, (400, 21, 3))
    frames = frames_of(400)
    found = measures(frames, labels_of(frames, right_hand_mm() + noise))
    relative = noise - noise[:, [MIDDLE_MCP]]
    expected = np.linalg.norm(np.diff(relative, n=2, axis=0), axis=-1).mean()
    assert found["jitter_mm"] == pytest.approx(expected, rel=1e-4)
    assert 0.03 < found["bone_length_variation"] < 0.3


def test_motion_is_not_taken_across_a_gap_or_from_one_video_to_another():
    hands = right_hand_mm() + np.random.default_rng(2).normal(0, 2.0, (10, 21, 3))
    first, second = frames_of(5), frames_of(5, "b.mp4", first=5)
    whole = [measures(f, labels_of(f, h))["jitter_mm"] for f, h in ((first, hands[:5]), (second, hands[5:]))]
    both = pa.concat_tables([first, second])
    assert measures(both, labels_of(both, hands))["jitter_mm"] == pytest.approx(np.mean(whole), rel=1e-5)
    gaps = frames_of(5, video_frame=[0, 1, 3, 4, 6])
    assert "jitter_mm" not in measures(gaps, labels_of(gaps, hands[:5]))


def test_a_left_hand_is_held_to_a_left_hands_limits_and_subjects_have_their_own_bones():
    hands = possible_hands_mm(6, 4)
    hands[3:, :, 0] *= -1
    hands[3:] *= 1.5
    sides, people = ["right"] * 3 + ["left"] * 3, ["small"] * 3 + ["large"] * 3
    known = frames_of(6, hand=sides, subject_id=people)
    found = measures(known, labels_of(known, hands))
    assert found["angles_in_limits"] == 1
    unknown = frames_of(6)
    mistaken = measures(unknown, labels_of(unknown, hands))
    assert mistaken["angles_in_limits"] < 1
    assert mistaken["bone_length_variation"] > found["bone_length_variation"] + 0.1


def test_a_model_is_measured_on_frames_whose_truth_is_hidden(source_frames, teacher):
    found = label_free_quality(source_frames, teacher, QUICK)
    assert found["frames"] == source_frames.num_rows
    assert found["unusable"] == 0
    assert 0 < found["angles_in_limits"] <= 1
    assert 0 < found["mask_agreement"] <= 1
    assert found["view_error_px"] > 0
    assert "jitter_mm" not in found


def test_motion_is_one_hands_where_a_video_shows_two():
    hands = right_hand_mm() + np.random.default_rng(6).normal(0, 2.0, (12, 21, 3))
    alone = [frames_of(6, track_id=[name] * 6) for name in ("a", "b")]
    alone[1] = with_column(alone[1], "frame_id", [f"second-{index}" for index in range(6)])
    whole = [measures(f, labels_of(f, h))["jitter_mm"] for f, h in zip(alone, (hands[:6], hands[6:]), strict=True)]
    both = pa.concat_tables(alone)
    assert measures(both, labels_of(both, hands))["jitter_mm"] == pytest.approx(np.mean(whole), rel=1e-5)
