"""Projection: the pose of a given skeleton that lies closest to an estimate, each joint weighed by its covariance.

Registration P walks from the wrist and leaves isotropic noise as large as it was. The least-squares projection moves
every joint a little instead, and takes out what of the noise breaks a constraint: of 63-dimensional noise the share
√((63 − c) / 63) remains under c constraints, and a rigid palm with three bones a finger has 27.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from semihand.hand.bones import register_to_lengths
from semihand.hand.skeleton import FINGERS, WRIST

_CHAINS = np.asarray(list(FINGERS.values()))  # thumb to little, base to tip
_NEAR, _FAR = _CHAINS[:, :-1], _CHAINS[:, 1:]
PALM = np.concatenate([[WRIST], _CHAINS[:, 0]])  # the joints of the palm: wrist and the five finger bases


def palm_of(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch 6 3"]:
    """The palm's joints, from the wrist, in the order of `PALM`."""
    palm_mm: np.ndarray = joints_mm[..., PALM, :] - joints_mm[..., None, WRIST, :]
    return palm_mm


def project_to_skeleton(
    joints_mm: Float[np.ndarray, "batch 21 3"],
    lengths_mm: Float[np.ndarray, "batch 20"],
    palm_mm: Float[np.ndarray, "batch 6 3"],
    covariance_mm2: Float[np.ndarray, "batch 21 3 3"] | None = None,
    num_steps: int = 4,
) -> Float[np.ndarray, "batch 21 3"]:
    """The pose of this skeleton with the least Σ_j (x_j − p_j)ᵀ Σ_j⁻¹ (x_j − p_j).

    Gauss-Newton over the palm's rotation and shift, a rigid body from a Kabsch fit onwards, and over the fingers'
    joints under c_k(x) = ½ (‖x_a − x_b‖² − L_k²): with their Jacobian J, (JΣJᵀ) λ = c + J (p − x) and
    x ← p − ΣJᵀλ. Every finger is eliminated from its tip inwards, so that 6 × 6 is all there is to solve.

    Args:
        joints_mm: estimates p, any frame, near the scale of the skeleton.
        lengths_mm: of the 20 bones, above zero; those from the wrist are the palm's and are not read.
        palm_mm: wrist and finger bases of this hand in any pose, as `palm_of` gives them.
        covariance_mm2: of the joints, positive definite; none: isotropic and equal. Only their ratios matter.
        num_steps: Gauss-Newton steps; a walk from the palm (registration P) then makes the lengths exact.

    Raises:
        ValueError: a number is not finite, or a length is not above zero.
    """
    good = all(np.isfinite(values).all() for values in (joints_mm, lengths_mm, palm_mm))
    if not good or not (lengths_mm > 0).all():
        raise ValueError(
            f"joints_mm, lengths_mm and palm_mm must be finite and lengths above 0 (shortest: {lengths_mm.min()} mm); "
            "quarantine the frame, measure the subject or give a template"
        )
    if covariance_mm2 is None:
        covariance_mm2 = np.broadcast_to(np.eye(3, dtype=joints_mm.dtype), (*joints_mm.shape, 3))
    fingers = _Fingers(joints_mm, np.square(lengths_mm[:, _FAR - 1]), covariance_mm2)
    precision = np.linalg.inv(covariance_mm2[:, PALM])
    x = joints_mm.copy()
    x[:, PALM] = _rigid_fit(palm_mm, joints_mm[:, PALM])
    for _ in range(num_steps):
        reduced = fingers.reduced(x)
        turn, shift = _palm_step(x[:, PALM], joints_mm[:, PALM], precision, reduced)
        centre = x[:, WRIST, None].copy()
        change = np.cross(turn[:, None], x[:, PALM] - centre) + shift[:, None]
        fingers.move(x, reduced, change[:, 1:])
        rotation = Rotation.from_rotvec(turn).as_matrix().astype(x.dtype)
        x[:, PALM] = (x[:, PALM] - centre) @ rotation.swapaxes(-1, -2) + centre + shift[:, None]
    exact_mm = lengths_mm.copy()
    exact_mm[:, PALM[1:] - 1] = np.linalg.norm(palm_mm[:, 1:] - palm_mm[:, :1], axis=-1)
    return register_to_lengths(x, exact_mm)


class _Reduced(NamedTuple):
    """The fingers' equations, eliminated from the tip inwards, thumb to little."""

    bones: np.ndarray  # (batch, 5, 3, 3)
    beside: np.ndarray  # (batch, 5, 2) between neighbouring bones
    left: np.ndarray  # (batch, 5, 3) the diagonal
    right: np.ndarray  # (batch, 5, 3)


class _Fingers:
    """Three bones a finger; their bases belong to the palm."""

    def __init__(self, p: np.ndarray, square: np.ndarray, covariance: np.ndarray) -> None:
        self.p, self.square, self.covariance = p, square, covariance[:, _FAR]

    def reduced(self, x: np.ndarray) -> _Reduced:
        """The equations of λ at x, for bases that stay where they are."""
        bones = x[:, _FAR] - x[:, _NEAR]
        pull = (self.p - x)[:, _FAR]
        pull[:, :, 1:] -= pull[:, :, :-1].copy()
        right = 0.5 * ((bones * bones).sum(-1) - self.square) + (bones * pull).sum(-1)
        weighed = (self.covariance @ bones[..., None])[..., 0]
        left = (bones * weighed).sum(-1)
        inner = (self.covariance[:, :, :-1] @ bones[:, :, 1:, :, None])[..., 0]
        left[:, :, 1:] += (bones[:, :, 1:] * inner).sum(-1)
        beside = -(bones[:, :, :-1] * inner).sum(-1)
        for k in (1, 0):
            ratio = beside[:, :, k] / left[:, :, k + 1]
            left[:, :, k] -= ratio * beside[:, :, k]
            right[:, :, k] -= ratio * right[:, :, k + 1]
        return _Reduced(bones, beside, left, right)

    def move(self, x: np.ndarray, reduced: _Reduced, change: np.ndarray) -> None:
        """Set the fingers' joints to p − ΣJᵀλ, once it is known how the bases change."""
        bones, beside, left, right = reduced
        force = np.empty_like(right)
        force[:, :, 0] = (right[:, :, 0] - (bones[:, :, 0] * change).sum(-1)) / left[:, :, 0]
        for k in (1, 2):
            force[:, :, k] = (right[:, :, k] - beside[:, :, k - 1] * force[:, :, k - 1]) / left[:, :, k]
        push = force[..., None] * bones
        push[:, :, :-1] -= push[:, :, 1:].copy()
        x[:, _FAR] = self.p[:, _FAR] - (self.covariance @ push[..., None])[..., 0]


def _palm_step(x: np.ndarray, p: np.ndarray, precision: np.ndarray, reduced: _Reduced) -> tuple[np.ndarray, np.ndarray]:
    """Rotation vector about the wrist and shift of the palm that the palm's own joints and the fingers ask for."""
    arm = x - x[:, :1]
    basis = np.zeros((*x.shape, 6), x.dtype)  # change of a joint = basis · (turn, shift)
    basis[..., [2, 0, 1], [1, 2, 0]] = -arm[..., [0, 1, 2]]
    basis[..., [1, 2, 0], [2, 0, 1]] = arm[..., [0, 1, 2]]
    basis[..., [0, 1, 2], [3, 4, 5]] = 1
    weighed = basis.swapaxes(-1, -2) @ precision
    matrix = (weighed @ basis).sum(1)
    wanted = (weighed @ (p - x)[..., None])[..., 0].sum(1)
    along = (reduced.bones[:, :, 0, None] @ basis[:, 1:])[:, :, 0]  # how a base's change stretches its first bone
    scaled = along / reduced.left[:, :, :1]
    matrix = matrix + along.swapaxes(-1, -2) @ scaled
    wanted = wanted + (scaled * reduced.right[:, :, :1]).sum(1)
    step = np.linalg.solve(matrix, wanted[..., None])[..., 0]
    return step[:, :3], step[:, 3:]


def _rigid_fit(shape: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A shape turned and shifted onto points (Kabsch)."""
    shape, centre = shape - shape.mean(1, keepdims=True), points.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(shape.swapaxes(-1, -2) @ (points - centre))
    u[:, :, -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
    fitted: np.ndarray = shape @ (u @ vt) + centre
    return fitted
