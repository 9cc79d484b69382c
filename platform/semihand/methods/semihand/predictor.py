"""A trained model as a function of pictures: what the registry serves and the evaluation calls."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from semihand.frames.crop import crop_hand
from semihand.hand.bones import scale_to_lengths
from semihand.hand.camera import intrinsics_matrix, lift, root_depth_from_bones, root_depth_from_scale
from semihand.hand.crops import apply_affine, crop_affine, invert_affine, square_box
from semihand.methods.semihand.augmentation import as_float
from semihand.methods.semihand.labeller import as_crops
from semihand.methods.semihand.network import GRID_PX
from semihand.methods.semihand.weights import load_model

_PASS = 32  # crops in one forward pass


class Predictor:
    """One model, opened once; one view a picture, no test-time augmentation."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.network, self.card = load_model(Path(folder), device)
        self.device = device

    @torch.no_grad()
    def predict_crops(
        self, crops: UInt8[np.ndarray, "batch rows columns 3"]
    ) -> tuple[Float[np.ndarray, "batch 21 2"], Float[np.ndarray, "batch 21"]]:
        """2.5D poses of ready crops: pixels of a 64 px crop, and reference bones from the root."""
        uv, depth = [np.zeros((0, 21, 2), np.float32)], [np.zeros((0, 21), np.float32)]
        for start in range(0, len(crops), _PASS):
            predicted = self.network(as_float(as_crops(crops[start : start + _PASS]).to(self.device)))
            uv.append(predicted.uv.cpu().numpy())
            depth.append(predicted.depth.cpu().numpy())
        return np.concatenate(uv), np.concatenate(depth)

    def in_pictures(
        self, crops: UInt8[np.ndarray, "batch rows columns 3"], affine: Float[np.ndarray, "batch 2 3"]
    ) -> Float[np.ndarray, "batch 21 2"]:
        """2D joints of ready crops in px of their pictures; `affine` maps those to px of a 64 px crop."""
        uv, _ = self.predict_crops(crops)
        uv_px: np.ndarray = apply_affine(invert_affine(affine), uv.astype(np.float64))
        return uv_px

    def predict(
        self,
        pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        boxes_px: Float[np.ndarray, "batch 4"] | None = None,
        intrinsics: Float[np.ndarray, "batch 3 3"] | None = None,
    ) -> tuple[Float[np.ndarray, "batch 21 2"], Float[np.ndarray, "batch 21 3"]]:
        """Joints of right hands in pictures.

        Args:
            pictures: RGB, each of its own size.
            boxes_px: x, y, width and height of the hand; None takes the whole picture.
            intrinsics: None assumes a focal length of 1.2 times the longer side and a centred camera.

        Returns:
            Joints in px of the pictures, and in mm in the camera frame; the distance from the camera follows
            from the bone lengths of the model's own hand (`ModelCard.template_mm`).
        """
        if not len(pictures):
            return np.zeros((0, 21, 2), np.float32), np.zeros((0, 21, 3), np.float32)
        if boxes_px is None:
            boxes_px = np.array([[0.0, 0.0, p.shape[1], p.shape[0]] for p in pictures])
        if intrinsics is None:
            intrinsics = np.stack([assumed_intrinsics(p.shape[1], p.shape[0]) for p in pictures])
        margin, size = self.card.crop_margin, self.card.network.input_px
        crops = np.stack([crop_hand(p, box, size, False, margin)[0] for p, box in zip(pictures, boxes_px, strict=True)])
        uv, depth = self.predict_crops(crops)
        back = invert_affine(crop_affine(square_box(boxes_px, margin), int(GRID_PX)))
        uv_px = apply_affine(back, uv.astype(np.float64))
        scale = np.full(len(uv), self.card.scale_mm)
        depth = depth.astype(np.float64)
        root = root_depth_from_scale(uv_px, depth, intrinsics, scale)
        lengths = np.broadcast_to(np.array(self.card.template_mm), (len(uv), 20))
        root = np.where(np.isfinite(root), root, root_depth_from_bones(uv_px, depth, intrinsics, lengths))
        joints_mm = lift(uv_px, depth, intrinsics, scale, root)
        joints_mm *= scale_to_lengths(joints_mm, lengths)[:, None, None]
        return uv_px.astype(np.float32), joints_mm.astype(np.float32)


def assumed_intrinsics(width_px: int, height_px: int) -> Float[np.ndarray, "3 3"]:
    """A camera for pictures that come without one: f = 1.2 times the longer side, centred."""
    focal = 1.2 * max(width_px, height_px)
    matrix: np.ndarray = intrinsics_matrix(focal, focal, (width_px - 1) / 2, (height_px - 1) / 2)
    return matrix
