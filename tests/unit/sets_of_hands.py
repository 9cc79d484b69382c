"""Rendered hands to write miniature data sets from, and what every reader's rows must agree on."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.tables import as_numpy


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


def save_mano(path):
    """The generic hand in a file of MANO's layout; returns the path."""
    hand = build_generic_hand()
    np.savez(
        path, v_template=hand.v_template, f=hand.faces, shapedirs=hand.shapedirs, posedirs=hand.posedirs,
        J_regressor=hand.J_regressor, weights=hand.weights, kintree_table=np.stack([hand.kintree, np.arange(16)]),
        hands_components=hand.hands_components, hands_mean=hand.hands_mean,
    )  # fmt: skip
    return path


def save_picture(path, pixels):
    """Pixels as a file of the format that its name says, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix in (".jpg", ".jpeg") else {}))


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
