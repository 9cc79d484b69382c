"""hand/skeleton.py: the joint tree, and the orders of other data sets."""

import numpy as np
import pytest
from hypothesis import given

from sample_hands import hands, right_hand_mm
from semihand.hand.skeleton import (
    FINGERS,
    FINGERTIPS,
    JOINT_NAMES,
    JOINT_ORDERS,
    MIDDLE_MCP,
    NUM_BONES,
    NUM_JOINTS,
    PARENTS,
    REFERENCE_BONE,
    palm_from_wrist,
    reorder_from_semihand,
    reorder_to_semihand,
    wrist_from_palm,
)

COMPLETE = [name for name in JOINT_ORDERS if name != "nyu14"]


def test_every_joint_reaches_the_wrist_through_parents_that_stand_before_it():
    assert len(PARENTS) == NUM_JOINTS == NUM_BONES + 1
    assert PARENTS[0] == -1
    assert all(0 <= parent < joint for joint, parent in enumerate(PARENTS) if joint)


def test_a_finger_is_a_chain_from_the_wrist_to_its_tip():
    for base, *rest in FINGERS.values():
        assert PARENTS[base] == 0
        assert [PARENTS[joint] for joint in rest] == [base, *rest[:-1]]
    assert tuple(joints[-1] for joints in FINGERS.values()) == FINGERTIPS == (4, 8, 12, 16, 20)


def test_the_reference_bone_is_the_middle_fingers_proximal_one():
    assert (JOINT_NAMES[PARENTS[REFERENCE_BONE + 1]], JOINT_NAMES[REFERENCE_BONE + 1]) == (
        "middle_mcp",
        "middle_pip",
    )
    assert JOINT_NAMES[MIDDLE_MCP] == "middle_mcp"


# Index of our joints in each order, as printed by code released with or for the data sets.
PUBLISHED = {
    # mmhuman3d MANO_REORDER_MAP and HO-3D's vis_HO3D.py jointsMapManoToSimple
    "mano": [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20],
    "ho3d": [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20],
    "stb": [0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4],
    "rhd": [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17],
    # mmpose interhand3d: thumb4..thumb1 are 0..3, the wrist is 20
    "interhand": [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16],
    # README of ShichengChen/multiviewDataset at 37bb5213
    "mvhand": [0, 17, 18, 19, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    # the readme of cvpr15_MSRAHandGestureDB
    "msra15": [0, 17, 18, 19, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    # guiggh/hand_pose_action load_example.py at 3609b02, reorder_idx
    "fpha": [0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20],
    "freihand": list(range(21)),
    "mediapipe": list(range(21)),
    "coco": list(range(21)),
}


@pytest.mark.parametrize("order", COMPLETE)
def test_an_order_lists_the_joints_where_published_code_finds_them(order):
    assert list(JOINT_ORDERS[order].source_index) == PUBLISHED[order]


def test_stb_becomes_hand3ds_order_by_the_map_of_its_reader():
    # BinaryDbReaderSTB.convert_kp: keypoint i of the RHD order is STB's 21 - i, the root stays.
    raw = np.arange(21.0)[:, None]
    by_reader = np.array([0.0, *range(20, 0, -1)])[:, None]
    np.testing.assert_array_equal(reorder_from_semihand(reorder_to_semihand(raw, "stb"), "rhd"), by_reader)


def test_smplx_adds_manos_tips_in_our_finger_order():
    from smplx.vertex_ids import vertex_ids

    tips = [name.replace("pinky", "little") for name in vertex_ids["mano"]]
    assert tips == [name.removesuffix("_tip") for name in JOINT_ORDERS["mano"].names[16:]]


@pytest.mark.parametrize("order", COMPLETE)
@given(joints_mm=hands())
def test_a_complete_order_round_trips_both_ways(order, joints_mm):
    assert JOINT_ORDERS[order].is_complete
    np.testing.assert_array_equal(reorder_to_semihand(reorder_from_semihand(joints_mm, order), order), joints_mm)
    np.testing.assert_array_equal(reorder_from_semihand(reorder_to_semihand(joints_mm, order), order), joints_mm)


@pytest.mark.parametrize("order", COMPLETE)
def test_a_reordered_hand_is_still_a_hand(order):
    # Along a finger the distance to the wrist grows; the tips fan out from thumb to little finger.
    native = reorder_from_semihand(right_hand_mm(5.0), order)
    joints_mm = reorder_to_semihand(native, order)
    from_wrist = np.linalg.norm(joints_mm - joints_mm[0], axis=-1)
    for finger in FINGERS.values():
        assert (np.diff(from_wrist[list(finger)]) > 0).all()
    assert (np.diff(joints_mm[list(FINGERTIPS), 0]) < 0).all()
    assert np.argmax(from_wrist) == FINGERS["middle"][-1]


def test_nyu14_gives_the_joints_it_has_and_nan_for_the_rest():
    assert not JOINT_ORDERS["nyu14"].is_complete
    joints_mm = reorder_to_semihand(np.arange(42.0).reshape(14, 3), "nyu14")
    present = ~np.isnan(joints_mm[:, 0])
    assert sorted(np.array(JOINT_NAMES)[present]) == sorted(
        [f"{finger}_{part}" for finger in ("index", "middle", "ring", "little") for part in ("pip", "tip")]
        + ["thumb_mcp", "thumb_ip", "thumb_tip"]
    )
    back = reorder_from_semihand(joints_mm, "nyu14")
    np.testing.assert_array_equal(back[:11], np.arange(33.0).reshape(11, 3))
    assert np.isnan(back[11:]).all()


def test_an_unknown_order_and_a_wrong_number_of_joints_are_refused_by_name():
    with pytest.raises(ValueError, match=r"'panoptic' is unknown; known are coco, fpha"):
        reorder_to_semihand(np.zeros((21, 3)), "panoptic")
    with pytest.raises(ValueError, match=r"\(14, 3\) do not fit order 'rhd'"):
        reorder_to_semihand(np.zeros((14, 3)), "rhd")


@given(joints_mm=hands())
def test_palm_and_wrist_convert_back_and_forth_and_leave_the_fingers_alone(joints_mm):
    palm = palm_from_wrist(joints_mm)
    np.testing.assert_allclose(palm[..., 0, :], joints_mm[..., [0, 9], :].mean(-2))
    np.testing.assert_allclose(wrist_from_palm(palm), joints_mm)
    np.testing.assert_array_equal(palm[..., 1:, :], joints_mm[..., 1:, :])


def test_hand3ds_wrist_runs_through_the_ring_finger():
    # BinaryDbReaderSTB: wrist = kp16 + 2 (palm - kp16), kp16 of the RHD order.
    assert JOINT_ORDERS["rhd"].names[16] == "ring_mcp"
    joints = reorder_to_semihand(np.random.default_rng(0).normal(size=(2, 21, 3)), "stb")
    wrist = joints[:, 13] + 2 * (joints[:, 0] - joints[:, 13])
    np.testing.assert_allclose(wrist_from_palm(joints, through=13)[:, 0], wrist)
