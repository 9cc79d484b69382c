"""The joints of a hand model without its skin: where smplx puts them, and how they move with pose and shape.

smplx poses a whole mesh to say where 21 joints are. Here its own functions pose the 16 joints and the five vertices
that are fingertips, which gives the same numbers without the skin, and the derivatives are in closed form.
Points are in smplx's order: MANO's 16 joints, then the tips thumb, index, middle, ring, little.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from smplx.lbs import batch_rigid_transform, batch_rodrigues

from semihand.hand.mano import MANO_PARENTS, TIP_VERTICES, HandModel

NUM_OWN = 16  # joints that turn
_PARENTS = torch.tensor(MANO_PARENTS)


def _following() -> Float32[np.ndarray, "16 16"]:
    """1 where the second joint is the first or hangs from it."""
    follows = np.eye(NUM_OWN, dtype=np.float32)
    for joint in range(1, NUM_OWN):
        follows[:, joint] = np.maximum(follows[:, joint], follows[:, MANO_PARENTS[joint]])
    return follows


class JointModel(NamedTuple):
    """What of a hand model decides where its joints are; mm.

    Attributes:
        rest: points of the mean shape at rest.
        shapes: how they move with each shape coefficient.
        bends: how the tips move with each element of (R - I) of the finger joints.
        weights: by which joints the tips are carried.
    """

    rest: Float32[torch.Tensor, "21 3"]
    shapes: Float32[torch.Tensor, "21 3 10"]
    bends: Float32[torch.Tensor, "5 3 15 9"]
    weights: Float32[torch.Tensor, "5 16"]


class Posed(NamedTuple):
    """Hands in their poses; mm, before translation.

    Attributes:
        points: 16 joints and five tips.
        turns: rotation of every joint, in the frame of the hand.
        carried: where each joint alone would carry each tip.
        rest: points of these shapes at rest, tips with their bends.
    """

    points: Float32[torch.Tensor, "B 21 3"]
    turns: Float32[torch.Tensor, "B 16 3 3"]
    carried: Float32[torch.Tensor, "B 5 16 3"]
    rest: Float32[torch.Tensor, "B 21 3"]


def joint_model(model: HandModel, device: str = "cpu") -> JointModel:
    """The joints of a hand model."""
    tips = list(TIP_VERTICES)
    of_joints = np.einsum("jv,vcs->jcs", model.J_regressor, model.shapedirs)
    arrays = (
        np.concatenate([model.J_regressor @ model.v_template, model.v_template[tips]]) * 1000.0,
        np.concatenate([of_joints, model.shapedirs[tips]]) * 1000.0,
        model.posedirs[tips].reshape(5, 3, 15, 9) * 1000.0,
        model.weights[tips],
    )
    return JointModel(*(torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device) for array in arrays))


def pose_joints(
    model: JointModel, rotvec: Float32[torch.Tensor, "B 16 3"], shape: Float32[torch.Tensor, "B 10"]
) -> Posed:
    """Where smplx puts the joints: `semihand.hand.mano.pose_hand` without its skin and translation.

    Args:
        model: from `joint_model`.
        rotvec: axis-angle of every joint, the first about the wrist.
        shape: coefficients.
    """
    rest = model.rest + torch.einsum("pcs,bs->bpc", model.shapes, shape)
    turns = batch_rodrigues(rotvec.reshape(-1, 3)).reshape(-1, NUM_OWN, 3, 3)
    bends = (turns[:, 1:] - torch.eye(3, device=rest.device)).reshape(-1, 15, 9)
    rest[:, NUM_OWN:] += torch.einsum("tcjk,bjk->btc", model.bends, bends)
    joints, moved = batch_rigid_transform(turns, rest[:, :NUM_OWN], _PARENTS)
    carried = torch.einsum("bkic,btc->btki", moved[..., :3, :3], rest[:, NUM_OWN:]) + moved[:, None, ..., :3, 3]
    tips = torch.einsum("tk,btki->bti", model.weights, carried)
    return Posed(torch.cat([joints, tips], 1), moved[..., :3, :3], carried, rest)


def pose_derivatives(
    model: JointModel, posed: Posed, rotvec: Float32[torch.Tensor, "B 16 3"]
) -> Float32[torch.Tensor, "B 63 48"]:
    """How the coordinates of all points change with all axis-angles.

    A joint that turns by a small ω, seen in the frame of the hand, moves what it carries by ω × (its distance from
    the joint); an axis-angle θ that grows by dθ turns its joint by J(θ) dθ seen from its parent, with J the left
    Jacobian of SO(3) (Barfoot, State Estimation for Robotics, 2017, eq. 7.77). A tip hangs on several joints by its
    weights, and its bends follow the rotations themselves.
    """
    follows = torch.from_numpy(_following()).to(rotvec.device)
    joints = posed.points[:, :NUM_OWN]
    of_joints = (joints[:, :, None] - joints[:, None]) * follows.T[..., None]
    shares = model.weights @ follows.T
    of_tips = torch.einsum("ak,tk,btkc->btac", follows, model.weights, posed.carried)
    of_tips = of_tips - shares[..., None] * joints[:, None]
    levers = torch.cat([of_joints, of_tips], 1)
    slopes = _left_jacobian(rotvec)
    before = torch.cat([torch.eye(3, device=rotvec.device).expand(len(rotvec), 1, 3, 3),
                        posed.turns[:, list(MANO_PARENTS[1:])]], 1)  # fmt: skip
    axes = (before @ slopes).transpose(-1, -2)
    moves = torch.linalg.cross(axes[:, None], levers[..., None, :])
    moves[:, NUM_OWN:, 1:] += _bend_moves(model, posed, slopes, before)
    derivatives: torch.Tensor = moves.permute(0, 1, 4, 2, 3).reshape(-1, 63, 48)
    return derivatives


def shape_derivatives(model: JointModel, posed: Posed) -> Float32[torch.Tensor, "B 63 10"]:
    """How the coordinates of all points change with the shape coefficients."""
    grown = [model.shapes[0].expand(len(posed.points), 3, 10)]
    for joint in range(1, NUM_OWN):
        parent = MANO_PARENTS[joint]
        grown.append(grown[parent] + posed.turns[:, parent] @ (model.shapes[joint] - model.shapes[parent]))
    joints = torch.stack(grown, 1)
    turned = torch.einsum("bkic,tkcs->btkis", posed.turns, model.shapes[NUM_OWN:, None] - model.shapes[:NUM_OWN])
    tips = torch.einsum("tk,btkis->btis", model.weights, joints[:, None] + turned)
    return torch.cat([joints, tips], 1).reshape(-1, 63, 10)


def _bend_moves(
    model: JointModel,
    posed: Posed,
    slopes: Float32[torch.Tensor, "B 16 3 3"],
    before: Float32[torch.Tensor, "B 16 3 3"],
) -> Float32[torch.Tensor, "B 5 15 3 3"]:
    """What the tips move by because the skin bends with the rotation of each finger joint."""
    own = (before.transpose(-1, -2) @ posed.turns)[:, 1:]
    changes = torch.linalg.cross(slopes[:, 1:].transpose(-1, -2)[..., None, :], own.transpose(-1, -2)[:, :, None])
    changed = changes.transpose(-1, -2).reshape(len(own), 15, 3, 9)
    moves = torch.einsum("tcjk,bjak->btjac", model.bends, changed)
    turns = torch.einsum("tk,bkic->btic", model.weights, posed.turns)
    return torch.einsum("btic,btjac->btjai", turns, moves)


def _left_jacobian(rotvec: Float32[torch.Tensor, "B 16 3"]) -> Float32[torch.Tensor, "B 16 3 3"]:
    square = (rotvec**2).sum(-1)[..., None, None]
    angle = square.sqrt()
    small = square < 1e-4  # where the quotients are lost in rounding, the first terms of their series are exact
    safe = torch.where(small, torch.ones_like(square), square)
    first = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - square / 120, (angle - angle.sin()) / (safe * safe.sqrt()))
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*rotvec.shape, 3)
    return torch.eye(3, device=rotvec.device) + first * cross + second * (cross @ cross)
