"""Crops and what is known of them, ready to be trained on, in pixels of a 64 px crop and reference bones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semihand.hand.camera import project
from semihand.hand.crops import apply_affine
from semihand.hand.skeleton import MIDDLE_MCP, NUM_JOINTS, REFERENCE_BONE

REFERENCE_JOINT = REFERENCE_BONE + 1  # the bone's child


class Crops(NamedTuple):
    """Crops with 2.5D poses; row for row."""

    pictures: UInt8[Tensor, "batch 3 rows columns"]
    masks: UInt8[Tensor, "batch 1 rows columns"]  # 0 or 255; all 0 where none is known
    has_mask: Float[Tensor, " batch"]
    uv: Float[Tensor, "batch 21 2"]
    depth: Float[Tensor, "batch 21"]  # NaN: only the place in the picture is known
    joint_weight: Float[Tensor, "batch 21"]  # 0: nothing is known of the joint
    # The label put on its subject's bone lengths, r of eq. 5; it counts whether the label was selected or not.
    registered_uv: Float[Tensor, "batch 21 2"]
    registered_depth: Float[Tensor, "batch 21"]
    registered_weight: Float[Tensor, "batch 21"]

    def at(self, rows: Tensor, device: torch.device) -> "Crops":
        """Some of the rows, on a device."""
        return Crops(*(column[rows].to(device, non_blocking=True) for column in self))

    @property
    def num_rows(self) -> int:
        """How many crops there are."""
        return int(self.pictures.shape[0])


def concatenated(parts: Sequence[Crops]) -> Crops:
    """The rows of each part after those of the part before."""
    return Crops(*(torch.cat(column) for column in zip(*parts, strict=True)))


def pose_in_crop(
    joints_mm: Float[np.ndarray, "batch 21 3"],
    intrinsics: Float[np.ndarray, "batch 3 3"],
    distortion: Float[np.ndarray, "batch coefficients"],
    affine: Float[np.ndarray, "batch 2 3"],
) -> tuple[Float[np.ndarray, "batch 21 2"], Float[np.ndarray, "batch 21"]]:
    """Camera-frame joints as the network's 2.5D pose: px of a 64 px crop, and reference bones from the root.

    Args:
        joints_mm: joints in the camera frame.
        intrinsics: of the original picture.
        distortion: OpenCV's coefficients, zeros where there are none.
        affine: original px to px of a 64 px crop.
    """
    uv_px = project(joints_mm, intrinsics, distortion)
    bone = joints_mm[:, REFERENCE_JOINT] - joints_mm[:, MIDDLE_MCP]
    scale = np.linalg.norm(bone, axis=-1, keepdims=True)
    depth = (joints_mm[..., 2] - joints_mm[:, MIDDLE_MCP, None, 2]) / scale
    return apply_affine(affine, uv_px), depth


def unlabelled(pictures: UInt8[Tensor, "batch 3 rows columns"]) -> Crops:
    """Crops of which nothing is known."""
    num, _, rows, columns = pictures.shape
    return Crops(
        pictures,
        torch.zeros(num, 1, rows, columns, dtype=torch.uint8),
        torch.zeros(num),
        *no_poses(num),
        *no_poses(num),
    )


class Poses(NamedTuple):
    """2.5D poses of crops and how much each joint counts."""

    uv: Float[Tensor, "batch 21 2"]
    depth: Float[Tensor, "batch 21"]
    weight: Float[Tensor, "batch 21"]


def no_poses(num: int) -> Poses:
    """Poses of which nothing is known."""
    return Poses(torch.zeros(num, NUM_JOINTS, 2), torch.zeros(num, NUM_JOINTS), torch.zeros(num, NUM_JOINTS))
