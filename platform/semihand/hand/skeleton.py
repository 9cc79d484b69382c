"""The skeleton: which joints a hand has, how they hang together, and how other data sets order them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

NUM_JOINTS = 21
NUM_BONES = 20
WRIST = 0
MIDDLE_MCP = 9
# The middle finger's proximal bone (joint 9 to 10): the scale of 2.5D.
REFERENCE_BONE = 9

FINGERS: dict[str, tuple[int, int, int, int]] = {
    "thumb": (1, 2, 3, 4),
    "index": (5, 6, 7, 8),
    "middle": (9, 10, 11, 12),
    "ring": (13, 14, 15, 16),
    "little": (17, 18, 19, 20),
}
FINGERTIPS = tuple(finger[-1] for finger in FINGERS.values())

_THUMB_PARTS = ("cmc", "mcp", "ip", "tip")
_FINGER_PARTS = ("mcp", "pip", "dip", "tip")


def _finger_names(finger: str) -> tuple[str, ...]:
    parts = _THUMB_PARTS if finger == "thumb" else _FINGER_PARTS
    return tuple(f"{finger}_{part}" for part in parts)


JOINT_NAMES: tuple[str, ...] = ("wrist", *(name for finger in FINGERS for name in _finger_names(finger)))
# Parent of every joint; the wrist has none. A parent always stands before its children.
PARENTS: tuple[int, ...] = (-1, *(WRIST if joint % 4 == 1 else joint - 1 for joint in range(1, NUM_JOINTS)))


@dataclass(frozen=True)
class JointOrder:
    """The order in which a data set or library lists the joints of one hand.

    Attributes:
        names: what stands at each position; names of `JOINT_NAMES`, or others without a counterpart here.
        note: what a user of this order has to know.
        source_index: for each of our 21 joints its position in `names`, -1 where it is not listed.
    """

    names: tuple[str, ...]
    note: str

    @property
    def source_index(self) -> tuple[int, ...]:
        return tuple(self.names.index(name) if name in self.names else -1 for name in JOINT_NAMES)

    @property
    def is_complete(self) -> bool:
        """Whether the order is a permutation of our 21 joints."""
        return sorted(self.names) == sorted(JOINT_NAMES)


def _tip_to_base(*fingers: str) -> tuple[str, ...]:
    return tuple(name for finger in fingers for name in reversed(_finger_names(finger)))


def _base_to_tip(*fingers: str) -> tuple[str, ...]:
    return tuple(name for finger in fingers for name in _finger_names(finger))


_MANO_FINGERS = ("index", "middle", "little", "ring", "thumb")
_MANO = (
    "wrist",
    *(name for finger in _MANO_FINGERS for name in _finger_names(finger)[:3]),
    *(f"{finger}_tip" for finger in FINGERS),
)

JOINT_ORDERS: dict[str, JointOrder] = {
    "freihand": JointOrder(JOINT_NAMES, "the same as ours"),
    "mediapipe": JointOrder(JOINT_NAMES, "the same as ours"),
    "coco": JointOrder(JOINT_NAMES, "COCO-WholeBody, one hand; the same as ours"),
    "mano": JointOrder(_MANO, "smplx.MANO: 16 joints, then the tips thumb, index, middle, ring, little"),
    "ho3d": JointOrder(_MANO, "handJoints3D; HO-3D's camera has y up and z backwards, so negate both"),
    "interhand": JointOrder(
        (*_tip_to_base("thumb", "index", "middle", "ring", "little"), "wrist"),
        "InterHand2.6M, one hand (the right one is joints 0-20, the left one 21-41)",
    ),
    "rhd": JointOrder(
        ("wrist", *_tip_to_base("thumb", "index", "middle", "ring", "little")),
        "RHD, one hand (the left one is joints 0-20, the right one 21-41)",
    ),
    "stb": JointOrder(
        ("wrist", *_base_to_tip("little", "ring", "middle", "index", "thumb")),
        "position 0 holds the palm centre, not the wrist: see wrist_from_palm",
    ),
    "mvhand": JointOrder(("wrist", *_base_to_tip("index", "middle", "ring", "little", "thumb")), "MVHand"),
    "msra15": JointOrder(("wrist", *_base_to_tip("index", "middle", "ring", "little", "thumb")), "MSRA15"),
    "fpha": JointOrder(
        (
            *("wrist", *(_finger_names(finger)[0] for finger in FINGERS)),
            *(name for finger in FINGERS for name in _finger_names(finger)[1:]),
        ),
        "FPHA: the wrist, the base of each finger, then the rest of each finger",
    ),
    "nyu14": JointOrder(
        (
            *("little_tip", "little_pip", "ring_tip", "ring_pip", "middle_tip", "middle_pip"),
            *("index_tip", "index_pip", "thumb_tip", "thumb_ip", "thumb_mcp"),
            *("wrist_ulnar", "wrist_radial", "palm_centre"),
        ),
        "joints 0,3,6,9,12,15,18,21,24,25,27,30,31,32 of NYU's 36; 11 have a counterpart, the rest are NaN",
    ),
}


def _joint_order(order: str) -> JointOrder:
    if order not in JOINT_ORDERS:
        raise ValueError(f"joint order {order!r} is unknown; known are {', '.join(sorted(JOINT_ORDERS))}")
    return JOINT_ORDERS[order]


def reorder_to_semihand(
    joints: Float[np.ndarray, "*batch num_joints dim"], order: str
) -> Float[np.ndarray, "*batch 21 dim"]:
    """Bring joints from another order into ours.

    Args:
        joints: one hand's joints in any unit and frame.
        order: a key of `JOINT_ORDERS`.

    Returns:
        The same numbers in our order. A joint that a partial order (`nyu14`) does not list is NaN.

    Raises:
        ValueError: the order is unknown or lists another number of joints.
    """
    names, index = _joint_order(order).names, np.asarray(_joint_order(order).source_index)
    _check_num_joints(joints, len(names), order)
    reordered: np.ndarray = joints[..., index, :]
    reordered[..., index < 0, :] = np.nan
    return reordered


def reorder_from_semihand(
    joints: Float[np.ndarray, "*batch 21 dim"], order: str
) -> Float[np.ndarray, "*batch num_joints dim"]:
    """Bring joints from our order into another one; the inverse of `reorder_to_semihand`.

    Positions without a counterpart among our joints (`nyu14`: both sides of the wrist, palm centre) are NaN.

    Raises:
        ValueError: the order is unknown or the joints are not 21.
    """
    names = _joint_order(order).names
    _check_num_joints(joints, NUM_JOINTS, "semihand")
    index = np.asarray([JOINT_NAMES.index(name) if name in JOINT_NAMES else -1 for name in names])
    reordered: np.ndarray = joints[..., index, :]
    reordered[..., index < 0, :] = np.nan
    return reordered


def _check_num_joints(joints: np.ndarray, expected: int, order: str) -> None:
    if joints.ndim < 2 or joints.shape[-2] != expected:
        raise ValueError(
            f"joints of shape {joints.shape} do not fit order {order!r}, which needs (..., {expected}, dim); "
            "name the order the joints are really in"
        )


def wrist_from_palm(
    joints: Float[np.ndarray, "*batch 21 dim"], through: int = MIDDLE_MCP
) -> Float[np.ndarray, "*batch 21 dim"]:
    """Replace a palm centre in joint 0 by the wrist: wrist = MCP + 2 (palm - MCP).

    STB annotates the palm centre; a model trained on it must not be scored against a wrist, nor the reverse.

    Args:
        joints: joints in our order, joint 0 holding the palm centre (`reorder_to_semihand(..., "stb")`).
        through: the MCP the palm centre is half way to. The middle one is the definition of RHD's palm and
            of most STB evaluations; the reader released with hand3d (Zimmermann & Brox, ICCV 2017) takes the
            ring's, 13.
    """
    converted: np.ndarray = joints.copy()
    converted[..., WRIST, :] = 2 * joints[..., WRIST, :] - joints[..., through, :]
    return converted


def palm_from_wrist(
    joints: Float[np.ndarray, "*batch 21 dim"], through: int = MIDDLE_MCP
) -> Float[np.ndarray, "*batch 21 dim"]:
    """Replace the wrist in joint 0 by the palm centre, (wrist + MCP) / 2; undoes `wrist_from_palm`."""
    converted: np.ndarray = joints.copy()
    converted[..., WRIST, :] = (joints[..., WRIST, :] + joints[..., through, :]) / 2
    return converted
