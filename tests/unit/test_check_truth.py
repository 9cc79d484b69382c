"""steps/checking: every mistake in the truth is named once, with its mend."""

import numpy as np
import pytest
from checked_sets import NUM, changed, check, serious, some
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_hands import possible_hands_mm
from semihand.hand.camera import intrinsics_matrix, project
from semihand.hand.skeleton import JOINT_ORDERS, reorder_from_semihand
from semihand.steps.checking.findings import Teller
from semihand.steps.checking.in_space import find_in_space
from semihand.steps.checking.truth import Truth
from semihand.tables import FRAMES, rows_of

OURS = ("freihand", "mediapipe", "coco")
ORDERS = sorted({order.source_index: name for name, order in JOINT_ORDERS.items() if order.is_complete}.values())


NO_UV = [None] * NUM
FLIP = {"opengl": [1, -1, -1], "backwards": [1, 1, -1], "up": [1, -1, 1], "leftwards": [-1, 1, 1]}
MISTAKES = {
    "metres": ({"joints_mm": lambda mm: mm / 1000}, {"units": NUM}, "multiply them by 1000"),
    "centimetres": ({"joints_mm": lambda mm: mm / 10}, {"units": NUM}, "multiply them by 10"),
    "twice": ({"joints_mm": lambda mm: mm * 1000}, {"units": NUM}, "multiply them by 0.001"),
    "some metres": ({"joints_mm": some(lambda mm: mm / 1000)}, {"units": 12}, "multiply them by 1000"),
    "no unit": ({"joints_mm": lambda mm: mm / 45}, {"units": NUM}, "give millimetres"),
    "left": ({"hand": ["left"] * NUM}, {"mirrored": NUM}, "correct `hand`"),
    "a left": ({"hand": ["left"] + ["right"] * (NUM - 1)}, {"mirrored": 1}, "correct `hand`"),
    "mirrored": ({"joints_mm": lambda mm: mm * FLIP["leftwards"], "joints_uv_px": NO_UV}, {"mirrored": NUM}, "hand"),
    "opengl": ({"joints_mm": lambda mm: mm * FLIP["opengl"]}, {"camera_sign": NUM}, "negate y and z"),
    "opengl, no uv": ({"joints_mm": lambda mm: mm * FLIP["opengl"], "joints_uv_px": NO_UV}, {"camera_sign": NUM},
                      "negate y and z"),
    "backwards, no uv": ({"joints_mm": lambda mm: mm * FLIP["backwards"], "joints_uv_px": NO_UV},
                         {"camera_sign": NUM}, "negate z"),
    "up": ({"joints_mm": lambda mm: mm * FLIP["up"]}, {"camera_sign": NUM}, "negate y"),
    "some leftwards": ({"joints_mm": some(lambda mm: mm * FLIP["leftwards"])}, {"camera_sign": 12}, "negate x"),
    "relative": ({"joints_mm": lambda mm: mm - mm[:, :1]}, {"root_relative": NUM}, "add the root's place"),
    "scrambled": ({"joints_mm": lambda mm: mm[:, np.random.default_rng(3).permutation(21)]},
                  {"joint_order": NUM}, "each base to tip"),
    "another camera": ({name: lambda px: px * 2 for name in ("fx", "fy", "cx", "cy")}, {"projection": NUM},
                       "agree once scaled by 0.5"),
    "shares": ({"joints_uv_px": lambda px: px / 64}, {"normalised_joints": NUM, "projection": NUM}, "multiply them by"),
    "elsewhere": ({"joints_uv_px": some(lambda px: px + 300)}, {"hand_outside": 12, "projection": 12}, "resolution"),
    "corners": ({"box_source": ["given"] * NUM, "bbox_px": lambda box: box + np.array([30, 30, 0, 0])}, {"box": NUM},
                "not two corners"),
    "one for two": ({"subject_id": ["anna"] * NUM, "joints_mm": some(lambda mm: mm * 1.5)}, {"bone_spread": NUM},
                    "several people"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_mend(hands, tmp_path, mistake):
    columns, found, way_out = MISTAKES[mistake]
    checked = check(tmp_path / "m", changed(hands, **columns))
    assert serious(checked) == found
    code = next(iter(found))
    [finding] = [each for each in checked.findings if each.code == code]
    assert way_out in finding.way_out
    assert (finding.severity == "error") == (code not in ("box", "bone_spread") and finding.count > 0.02 * NUM)
    assert len(finding.frames) == min(5, finding.count)


@pytest.mark.parametrize(
    "order", [order for order in ORDERS if JOINT_ORDERS[order].names != JOINT_ORDERS["coco"].names]
)
@pytest.mark.parametrize("only_space", [True, False])
def test_joints_in_another_order_are_told_which(hands, tmp_path, order, only_space):
    both = ("joints_mm",) if only_space else ("joints_mm", "joints_uv_px")
    reordered = changed(hands, **dict.fromkeys(both, lambda values: reorder_from_semihand(values, order)))
    checked = check(tmp_path / "m", reordered)
    assert serious(checked) == {"joint_order": NUM}
    assert f"reorder_to_semihand(joints, {checked.findings[0].detail.split(' order of ')[1].split()[0]!r})" in (
        checked.findings[0].way_out
    )
    assert order in checked.findings[0].detail


@given(
    st.sampled_from(ORDERS), st.sampled_from([1, 0.1, 0.001]), st.tuples(*[st.sampled_from([1, -1])] * 3),
    st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=40)
def test_joints_with_several_mistakes_at_once_are_mended_into_what_they_were(order, unit, flip, is_left, seed):
    joints_mm = possible_hands_mm(24, seed) * ([-1, 1, 1] if is_left else [1, 1, 1])
    uv_px = project(joints_mm, intrinsics_matrix(500.0, 510.0, 330.0, 240.0))
    rows = rows_of(FRAMES, {
        "frame_id": [str(row) for row in range(24)], "dataset": ["d"] * 24, "content_sha256": ["c"] * 24,
        "modality": ["rgb"] * 24, "hand": ["left" if is_left else "right"] * 24, "supervision": ["3d"] * 24,
        "intrinsics_source": ["given"] * 24, "fx": [500.0] * 24, "fy": [510.0] * 24, "cx": [330.0] * 24,
        "cy": [240.0] * 24,
    })  # fmt: skip
    wrong_mm, wrong_px = (reorder_from_semihand(values, order) for values in (joints_mm * flip * unit, uv_px))
    truth = Truth(wrong_mm, wrong_px, np.zeros((24, 2), int), np.full(24, is_left), np.full((24, 4), np.nan))
    mended = find_in_space(Teller("set", rows), truth)
    np.testing.assert_allclose(mended.joints_mm, joints_mm, rtol=1e-9)
    wanted = {"joint_order"} if order not in OURS else set()
    wanted |= ({"units"} if unit != 1 else set()) | ({"camera_sign"} if min(flip) < 0 else set())
    assert {each.code for each in mended.findings} == wanted
