"""Rendered hands to write miniature data sets from, and what every reader's rows must agree on."""

import io
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.files import forget_annotations, kept_bytes
from semihand.frames.sets.named import open_set
from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.tables import as_numpy
from semihand.tables.schemas import TRUTH_COLUMNS


@dataclass(frozen=True)
class Hand:
    """A right hand in a picture, all of it known."""

    picture: UInt8[np.ndarray, "rows columns 3"]
    mask: Bool[np.ndarray, "rows columns"]
    depth_mm: Float[np.ndarray, "rows columns"]
    K: Float[np.ndarray, "3 3"]
    joints_mm: Float[np.ndarray, "21 3"]
    uv_px: Float[np.ndarray, "21 2"]
    mano_pose: Float[np.ndarray, " 48"]
    mano_shape: Float[np.ndarray, " 10"]
    mano_translation_mm: Float[np.ndarray, "3"]


def rendered_hands(num: int, size_px: int = 64) -> list[Hand]:
    """Hands of the embedded default, each of another pose and person."""
    config = SyntheticConfig(domain="source", seed=23, num_frames=num, size_px=size_px)
    frames = generate_frames(config, range(num))
    truth = {name: as_numpy(frames[name]).astype(np.float64) for name in
             ("joints_mm", "joints_uv_px", "mano_pose", "mano_shape", "mano_translation_mm")}  # fmt: skip
    hands = []
    for row, frame in enumerate(frames.select(["image", "mask_png", "depth_png", "fx", "cx", "cy"]).to_pylist()):
        picture, mask, depth = (
            np.asarray(Image.open(io.BytesIO(frame[name]))) for name in ("image", "mask_png", "depth_png")
        )
        K = np.array([[frame["fx"], 0, frame["cx"]], [0, frame["fx"], frame["cy"]], [0, 0, 1]])
        hands.append(
            Hand(picture, mask > 0, depth / 10, K, truth["joints_mm"][row], truth["joints_uv_px"][row],
                 truth["mano_pose"][row], truth["mano_shape"][row], truth["mano_translation_mm"][row])
        )  # fmt: skip
    return hands


def mirrored(hand):
    """The same as a left hand, in a mirror that stands between it and the camera."""
    last = hand.picture.shape[1] - 1
    K = np.array([[hand.K[0, 0], 0, last - hand.K[0, 2]], hand.K[1], hand.K[2]])
    return replace(
        hand, picture=hand.picture[:, ::-1].copy(), mask=hand.mask[:, ::-1].copy(),
        depth_mm=hand.depth_mm[:, ::-1].copy(), K=K, joints_mm=hand.joints_mm * [-1, 1, 1],
        uv_px=np.stack([last - hand.uv_px[:, 0], hand.uv_px[:, 1]], -1),
        mano_pose=hand.mano_pose * np.tile([1, -1, -1], 16), mano_translation_mm=hand.mano_translation_mm * [-1, 1, 1],
    )  # fmt: skip


def through_camera(hand, K, width, height):
    """The same hand from the same place, through a camera of other intrinsics."""
    to_old = hand.K @ np.linalg.inv(K)
    u, v = (np.rint(to_old[axis, axis] * np.arange(size) + to_old[axis, 2]).astype(int)
            for axis, size in enumerate((width, height)))  # fmt: skip
    seen = ((v >= 0) & (v < len(hand.mask)))[:, None] & ((u >= 0) & (u < hand.mask.shape[1]))
    at = np.ix_(v.clip(0, len(hand.mask) - 1), u.clip(0, hand.mask.shape[1] - 1))
    uvw = hand.joints_mm @ K.T
    return replace(
        hand, picture=hand.picture[at] * seen[..., None], mask=hand.mask[at] & seen,
        depth_mm=hand.depth_mm[at] * seen, K=K, uv_px=uvw[:, :2] / uvw[:, 2:],
    )  # fmt: skip


def rolled(hand):
    """The same hand before a camera on its head, X_rolled = diag(-1, -1, 1) X; its fit stays the first camera's."""
    last = np.array(hand.picture.shape[1::-1]) - 1
    K = hand.K.copy()
    K[:2, 2] = last - K[:2, 2]
    turn = np.array([-1.0, -1.0, 1.0])
    return replace(
        hand, picture=hand.picture[::-1, ::-1].copy(), mask=hand.mask[::-1, ::-1].copy(),
        depth_mm=hand.depth_mm[::-1, ::-1].copy(), K=K, joints_mm=hand.joints_mm * turn, uv_px=last - hand.uv_px,
    )  # fmt: skip


def save_mano(path, mirror=False):
    """The generic hand in a file of MANO's layout, or its mirror image, a left one; returns the path."""
    hand = build_generic_hand()
    across = np.array([-1.0, 1.0, 1.0]) if mirror else np.ones(3)
    turned = across * np.linalg.det(np.diag(across))  # a mirror keeps rotations about its normal
    entries = np.tile(np.outer(across, across).reshape(-1), 15)
    np.savez(
        path, v_template=hand.v_template * across, f=hand.faces[:, ::-1] if mirror else hand.faces,
        shapedirs=hand.shapedirs * across[:, None], posedirs=hand.posedirs * across[:, None] * entries,
        J_regressor=hand.J_regressor, weights=hand.weights, kintree_table=np.stack([hand.kintree, np.arange(16)]),
        hands_components=hand.hands_components * np.tile(turned, 15), hands_mean=hand.hands_mean * np.tile(turned, 15),
    )  # fmt: skip
    return path


def save_picture(path, pixels):
    """Pixels as a file of the format that its name says, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix in (".jpg", ".jpeg") else {}))


def assert_no_truth(frames):
    """What holds of every unlabelled listing: no truth, and no box that was drawn from it."""
    for name in TRUTH_COLUMNS:
        assert frames[name].null_count == frames.num_rows
    assert set(frames["supervision"].to_pylist()) == {"none"}
    assert "truth" not in frames["box_source"].to_pylist()


def assert_annotations_are_counted(name):
    """What an actor reserves memory for is what listing with truth keeps parsed, more than `parts` alone does."""
    forget_annotations()
    reader = open_set(name)
    reader.parts()
    of_parts, counted = kept_bytes(), kept_bytes(reader.annotations(with_truth=True))
    assert kept_bytes(reader.annotations(with_truth=False)) < counted
    forget_annotations()
    list_frames(name, ListOptions(with_truth=True))
    assert kept_bytes() == counted > of_parts
    forget_annotations()


def assert_joints_lie_on_the_hand(frames):
    """What holds of every labelled row: truth in space falls on truth in the picture, and both on the hand."""
    for frame in frames.to_pylist():
        valid = np.array(frame["joints_valid"])
        uv_px = np.array(frame["joints_uv_px"])[valid]
        if frame["joints_mm"] is not None:
            x, y, z = np.array(frame["joints_mm"])[valid].T
            seen = np.stack([frame["fx"] * x / z + frame["cx"], frame["fy"] * y / z + frame["cy"]], -1)
            assert np.abs(seen - uv_px).max() < 1.0
        if frame["mask_png"] is not None:
            mask = np.asarray(Image.open(io.BytesIO(frame["mask_png"]))) > 0
            u, v = np.rint(uv_px).astype(int).T
            inside = (u >= 0) & (v >= 0) & (u < mask.shape[1]) & (v < mask.shape[0])
            assert mask[v[inside], u[inside]].mean() > 0.8
