"""frames/sets/dexter_object.py on a miniature in the layout that MengHao666/Minimal-Hand-pytorch reads
(datasets/dexter_object.py at 178eb2a); names of pictures after
OlgaChernytska/3D-Hand-Pose-Estimation (dexter_labeling/bbox_dexter+object.csv at 0ea03c5)."""

from pathlib import Path

import numpy as np
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.rounds.evaluation import evaluate_frames
from semihand.tables import as_numpy
from sets_of_hands import mirrored, rendered_hands, save_picture, through_camera

TRUTH = ListOptions(with_truth=True)
SEQUENCES = ("Grasp1", "Grasp2", "Occlusion", "Pinch", "Rigid", "Rotate")
K = np.array([[587.45209, 0, 325], [0, 600.67456, 249], [0, 0, 1]])
R = np.array([[0.9999, 0.0034, 0.0161], [-0.0033, 1.0, -0.0079], [-0.0162, 0.0079, 0.9998]])
T_MM = np.array([19.0473, -1.8514, -4.7501])
TIPS = [4, 8, 12, 16, 20]
OBJECT = "100, 50, 400; 110, 60, 400; 120, 70, 400;"


def line_of(hand, unknown=()):
    """Tips in the depth camera, x left and y up, and the object's corners."""
    tips_mm = np.linalg.solve(R, (hand.joints_mm[TIPS] - T_MM).T).T * [-1, -1, 1]
    points = [(0, 0, 32001) if tip in unknown else tuple(point) for tip, point in enumerate(tips_mm)]
    return "; ".join(f"{x:.4f}, {y:.4f}, {z:.4f}" for x, y, z in points) + "; " + OBJECT


@pytest.fixture(scope="module")
def hands():
    return [through_camera(mirrored(hand), K, 640, 480) for hand in rendered_hands(2)]


@pytest.fixture
def dexter(hands, tmp_path):
    """Two pictures of the first recording, whose second hides the middle finger, and one of each other."""
    root = tmp_path / "dexter+object"
    for sequence in SEQUENCES:
        folder = root / "data" / sequence
        shown = hands if sequence == "Grasp1" else hands[:1]
        for number, hand in enumerate(shown, start=1):
            save_picture(folder / f"color/Color_{number:04d}.bmp", hand.picture)
        (folder / "color/Thumbs.db").write_bytes(b"no picture")
        (folder / "annotations").mkdir()
        lines = [line_of(hand, unknown=(2,) * place) for place, hand in enumerate(shown)]
        (folder / f"annotations/{sequence}3D.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def test_tips_fall_on_the_hand_in_the_colour_picture(dexter, hands):
    listing = list_frames(f"dexter_object:{dexter}", TRUTH)
    frames = listing.frames
    assert listing.quarantine.num_rows == 0
    assert frames["sequence_id"].to_pylist() == [f"dexter_object/{sequence}" for sequence in ("Grasp1", *SEQUENCES)]
    assert set(frames["hand"].to_pylist()) == {"left"}
    assert set(frames["supervision"].to_pylist()) == {"3d"}
    joints_mm, uv_px, valid = (as_numpy(frames[name]) for name in ("joints_mm", "joints_uv_px", "joints_valid"))
    assert np.flatnonzero(valid[0]).tolist() == TIPS
    assert np.flatnonzero(valid[1]).tolist() == [4, 8, 16, 20]
    for row, hand in enumerate(hands):
        known = valid[row]
        np.testing.assert_allclose(joints_mm[row][known], hand.joints_mm[known], atol=1e-2)
        assert np.isnan(joints_mm[row][~known]).all()
        u, v = np.rint(uv_px[row][known]).astype(int).T
        near = [hand.mask[max(y - 20, 0) : y + 20, max(x - 20, 0) : x + 20].any() for x, y in zip(u, v, strict=True)]
        assert all(near)


def test_the_box_holds_the_hand_and_not_only_its_tips(dexter, hands):
    frames = list_frames(f"dexter_object:{dexter}", TRUTH).frames
    boxes_px = as_numpy(frames["bbox_px"])
    for hand, (left, top, width, height) in zip(hands, boxes_px, strict=False):
        assert (hand.uv_px >= [left, top]).all()
        assert (hand.uv_px <= [left + width, top + height]).all()
        assert width < 2.5 * np.ptp(hand.uv_px, axis=0).max()
    assert set(frames["box_source"].to_pylist()) == {"truth"}


def test_a_model_is_evaluated_on_its_tips(dexter, teacher):
    figures = evaluate_frames(Path(f"dexter_object:{dexter}"), teacher, "do", ListOptions())
    assert figures["frames"] == 7
    assert figures["epe_mm"] > 0
    with pytest.raises(InputError, match=r"none knows wrist.*--protocol do"):
        evaluate_frames(Path(f"dexter_object:{dexter}"), teacher, "default", ListOptions())


def test_an_unlabelled_pool_needs_no_annotations(dexter):
    for sequence in SEQUENCES:
        (dexter / f"data/{sequence}/annotations/{sequence}3D.txt").unlink()
    frames = list_frames(f"dexter_object:{dexter}", ListOptions()).frames
    assert frames.num_rows == 7
    assert frames["joints_mm"].null_count == 7
    assert set(frames["box_source"].to_pylist()) == {"region"}
    assert set(frames["cx"].to_pylist()) == {325.0}


def test_a_line_that_cannot_be_read_or_knows_nothing_is_its_own_row(dexter, hands):
    path = dexter / "data/Grasp1/annotations/Grasp13D.txt"
    path.write_text(f"1, 2; {OBJECT}\n{line_of(hands[1], unknown=range(5))}\n")
    listing = list_frames(f"dexter_object:{dexter}", TRUTH)
    assert listing.quarantine["reason"].to_pylist() == ["bad_truth"]
    assert listing.frames["supervision"].to_pylist() == ["none"] + ["3d"] * 5


def test_lines_and_pictures_must_be_as_many(dexter):
    (dexter / "data/Grasp1/color/Color_0002.bmp").unlink()
    with pytest.raises(InputError, match="2 lines for 1 pictures"):
        list_frames(f"dexter_object:{dexter}", TRUTH)
    (dexter / "data/Grasp1/color/Color_0001.bmp").unlink()
    with pytest.raises(InputError, match=r"no pictures.*not complete"):
        list_frames(f"dexter_object:{dexter}", TRUTH)
