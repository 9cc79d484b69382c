"""Evaluation protocols: which root, which joints, which alignment and which AUC a data set's figures use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from semihand.hand.metrics import (
    auc_by_convention,
    epe,
    max_error_fraction,
    median_epe,
    pck,
    procrustes_aligned,
    root_relative,
)
from semihand.hand.skeleton import FINGERTIPS, JOINT_ORDERS, MIDDLE_MCP, NUM_JOINTS, WRIST

Joints = Float[np.ndarray, "frames 21 3"]
_ALL = tuple(range(21))
_NYU = tuple(index for index, at in enumerate(JOINT_ORDERS["nyu14"].source_index) if at >= 0)


@dataclass(frozen=True)
class Protocol:
    """How a figure called EPE is taken.

    Attributes:
        root: joint that prediction and truth are moved onto before they are compared; None: absolute.
        joints: those that count.
        auc: name of the AUC convention.
        note: the protocol in words.
        depth_root: the joint whose true depth places a 2.5D prediction in space.
        auc_after_procrustes: whether the AUC is of errors after Procrustes, reflections allowed as in the data set's
            own script.
        centred: whether the prediction is moved and scaled until the joints that count have the truth's centre and
            mean distance from it, for truth that knows neither root nor bones; it may also lack some of them.
    """

    root: int | None
    joints: tuple[int, ...]
    auc: str
    note: str
    depth_root: int = MIDDLE_MCP
    auc_after_procrustes: bool = False
    centred: bool = False

    @property
    def least_joints(self) -> int:
        """How many of its joints the truth must know: all 21, where root and scale are taken from them."""
        return 2 if self.centred else NUM_JOINTS


PROTOCOLS: dict[str, Protocol] = {
    "default": Protocol(MIDDLE_MCP, _ALL, "default", "root middle MCP, scale known, 21 joints; AUC 0-50 mm"),
    "stb": Protocol(MIDDLE_MCP, _ALL, "stb", "SemiHand: root middle MCP, scale known; AUC 20-50 mm (21.05-50)"),
    # SemiHand names root and scale, which Dexter+Object does not know: as MengHao666/Minimal-Hand-pytorch,
    # utils/align.py at 178eb2a, after Zhou et al. (CVPR 2020).
    "do": Protocol(None, FINGERTIPS, "do", "Dexter+Object: tips, their centre and spread known; AUC 0-100 mm",
                   centred=True),
    "rhd": Protocol(WRIST, _ALL, "rhd", "hand3d: root wrist, scale known; AUC 0-50 mm, 20 thresholds"),
    "freihand": Protocol(WRIST, _ALL, "freihand", "root wrist, headline pa_epe_mm; AUC 0-50 mm of aligned errors",
                         auc_after_procrustes=True),
    "ho3d": Protocol(WRIST, _ALL, "ho3d", "root wrist; AUC 0-50 mm, 100 thresholds"),
    "interhand": Protocol(WRIST, _ALL, "default", "InterHand2.6M MPJPE: root wrist, scale known"),
    "nyu": Protocol(None, _NYU, "default", "NYU: its joints among ours, absolute; frames with all joints near"),
}  # fmt: skip


def scores(
    joints_mm: Joints, true_mm: Joints, protocol: Protocol
) -> tuple[Float[np.ndarray, "frames 21"], dict[str, float]]:
    """Errors per joint under the protocol's root, and every figure drawn from them.

    Args:
        joints_mm: predictions in the camera frame, scale and depth of the root known.
        true_mm: the truth; NaN where it is not known, which only a `centred` protocol allows.
        protocol: how to compare.

    Returns:
        Errors of all 21 joints in mm, and the figures: epe_mm, median_epe_mm, auc and pck_20mm over the
        protocol's joints; pa_epe_mm after Procrustes with rotation only, of frames with all of them; xy_mm and
        depth_mm, the parts of the error across and along the line of sight.
    """
    chosen = list(protocol.joints)
    valid = np.isfinite(true_mm[:, chosen]).all(-1)
    ours, theirs = _compared(joints_mm, true_mm, protocol)
    error_mm: np.ndarray = np.linalg.norm(ours - theirs, axis=-1)
    counted = error_mm[:, chosen]
    offset = np.abs(ours - theirs)[:, chosen][valid]
    figures = {
        "epe_mm": epe(ours[:, chosen], theirs[:, chosen], valid),
        "median_epe_mm": median_epe(ours[:, chosen], theirs[:, chosen], valid),
        "auc": auc_by_convention(_for_auc(joints_mm[:, chosen], true_mm[:, chosen], counted, protocol), protocol.auc),
        "pck_20mm": float(pck(counted, np.array([20.0]))[0]),
        "xy_mm": float(np.hypot(offset[..., 0], offset[..., 1]).mean()),
        "depth_mm": float(offset[..., 2].mean()),
        "frames": float(len(joints_mm)),
    }
    whole = np.flatnonzero(valid.all(-1))
    if len(whole):
        ours, theirs = joints_mm[whole][:, chosen], true_mm[whole][:, chosen]
        figures["pa_epe_mm"] = epe(procrustes_aligned(ours, theirs), theirs)
    if protocol.root is None and not protocol.centred:
        figures["frames_within_50mm"] = float(max_error_fraction(counted, np.array([50.0]))[0])
    return error_mm, figures


def _compared(joints_mm: Joints, true_mm: Joints, protocol: Protocol) -> tuple[Joints, Joints]:
    """Prediction and truth under the protocol's root, or about the centre of the joints that count."""
    if protocol.centred:
        return _centred(joints_mm, true_mm, protocol.joints)
    if protocol.root is None:
        return joints_mm, true_mm
    return root_relative(joints_mm, protocol.root), root_relative(true_mm, protocol.root)


def _centred(joints_mm: Joints, true_mm: Joints, joints: tuple[int, ...]) -> tuple[Joints, Joints]:
    used = np.zeros(joints_mm.shape[:2], bool)
    used[:, list(joints)] = np.isfinite(true_mm[:, list(joints)]).all(-1)
    placed, spread = [], []
    for pose_mm in (joints_mm, true_mm):
        about_mm = pose_mm - np.nanmean(np.where(used[..., None], pose_mm, np.nan), axis=1, keepdims=True)
        placed.append(about_mm)
        spread.append(np.nanmean(np.where(used, np.linalg.norm(about_mm, axis=-1), np.nan), axis=1))
    return placed[0] * (spread[1] / spread[0])[:, None, None], placed[1]


def _for_auc(
    joints_mm: Float[np.ndarray, "frames joints 3"],
    true_mm: Float[np.ndarray, "frames joints 3"],
    error_mm: Float[np.ndarray, "frames joints"],
    protocol: Protocol,
) -> Float[np.ndarray, "frames joints"]:
    if not protocol.auc_after_procrustes:
        return error_mm
    aligned = procrustes_aligned(joints_mm, true_mm, allow_reflection=True)
    distance: np.ndarray = np.linalg.norm(aligned - true_mm, axis=-1)
    return distance
