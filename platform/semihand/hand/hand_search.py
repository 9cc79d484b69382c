"""The search for the pose, place and shape of many hands at once: Levenberg and Marquardt's damped least squares.

Smplx's forward pass and derivatives in closed form (`semihand.hand.kinematics`). It starts where Kabsch's rotation lays
the palm and every bone points as it should; shapes that hands share are eliminated from the normal equations last, by
their Schur complement, as in bundle adjustment (Triggs et al., Bundle Adjustment, 2000, section 6).
"""

from typing import NamedTuple

import numpy as np
import roma
import torch
from jaxtyping import Float32, Int64

from semihand.hand.angles import MAX_ABDUCTION_DEG, MAX_EXTENSION_DEG, MAX_FLEXION_DEG
from semihand.hand.finger_axes import OWNERS, joint_axes
from semihand.hand.kinematics import (
    NUM_OWN,
    Posed,
    joint_model,
    pose_derivatives,
    pose_joints,
    shape_derivatives,
)
from semihand.hand.mano import MANO_PARENTS, HandModel

# What a radian beyond a limit, a radian from the mean pose and a shape coefficient of one cost: as much as one joint
# that is so far off. Exact joints stay within 0.1 mm; of joints off by 5 mm a coordinate, more than 3 from the mean
# pose bring the fit nearer to the truth, but away from the joints it was asked to fit.
_BEYOND_LIMIT_MM = 50.0
_FROM_MEAN_MM = 3.0
_SHAPE_MM = 1.0
_HINGE_DEG = 4.0  # sideways and about the bone, of joints that only bend (S. Chen's master thesis, table 6.1)
_TWIST_DEG = 20.0  # of fingers' bases about the bone, likewise
_NUM_STEPS = 30  # at most; eight are usual
_CONVERGED = 1e-3  # share by which a step lowers the cost of a person's hands
_LEAST_COST_MM2 = 1e-3  # of a hand; below it float32 has nothing more to say
_FIRST_DAMPING, _MOST_DAMPING = 1e-2, 1e4


class Hands(NamedTuple):
    """Where hands stand in the search.

    Attributes:
        rotvec: axis-angle of every joint.
        place: translation, mm.
        shape: of every person.
        person: of every hand.
    """

    rotvec: Float32[torch.Tensor, "B 16 3"]
    place: Float32[torch.Tensor, "B 3"]
    shape: Float32[torch.Tensor, "persons 10"]
    person: Int64[torch.Tensor, " B"]


class _Prior(NamedTuple):
    """Axes of the finger joints, their limits in radians, the mean pose."""

    axes: Float32[torch.Tensor, "15 3 3"]
    low: Float32[torch.Tensor, "15 3"]
    high: Float32[torch.Tensor, "15 3"]
    mean: Float32[torch.Tensor, "15 3"]


class HandSearch:
    """Fits one right hand model to any joints in smplx's order, relative to a point near them."""

    def __init__(self, model: HandModel, device: str) -> None:
        """Lay out the model's numbers.

        Args:
            model: a right hand.
            device: where to search.
        """
        self._model = joint_model(model, device)
        self._prior = _prior(model, device)

    def posed(self, hands: Hands) -> Float32[torch.Tensor, "B 21 3"]:
        """The model's joints, in place."""
        return self._pose(hands).points + hands.place[:, None]

    def start(
        self, targets: Float32[torch.Tensor, "B 21 3"], shape: Float32[torch.Tensor, "persons 10"],
        person: Int64[torch.Tensor, " B"],
    ) -> Hands:  # fmt: skip
        """Palms laid onto the joints, every bone of a finger pointing as it should."""
        rest = self._model.rest + torch.einsum("pcs,bs->bpc", self._model.shapes, shape[person])
        palm = [0, *(owners[0] for owners in OWNERS.values())]
        turn, place = roma.rigid_points_registration(rest[:, palm], targets[:, palm])
        turns = [turn]
        rotvec = torch.zeros(len(targets), NUM_OWN, 3, device=targets.device)
        rotvec[:, 0] = roma.rotmat_to_rotvec(turn)
        for joint in range(1, NUM_OWN):
            end, before = _END_OF[joint], turns[MANO_PARENTS[joint]]
            wanted = (before.transpose(-1, -2) @ (targets[:, end] - targets[:, joint])[..., None])[..., 0]
            rotvec[:, joint] = _swing(rest[:, end] - rest[:, joint], wanted)
            turns.append(before @ roma.rotvec_to_rotmat(rotvec[:, joint]))
        hands = Hands(rotvec, place, shape.clone(), person)
        return hands._replace(place=targets[:, 0] - self._pose(hands).points[:, 0])

    def run(self, hands: Hands, targets: Float32[torch.Tensor, "B 21 3"], free_shape: bool) -> Hands:
        """Descend until every person's hands, or every hand where shapes stay, have converged.

        Args:
            hands: from `start`; where shapes stay, every hand is a person of its own.
            targets: the joints.
            free_shape: whether shapes are searched, too.
        """
        hands = Hands(*(part.clone() for part in hands))
        cost = self._cost(hands, targets, free_shape)
        damping = torch.full_like(cost, _FIRST_DAMPING)
        moving = torch.ones_like(cost, dtype=torch.bool)
        for _ in range(_NUM_STEPS):
            who = moving.nonzero()[:, 0]
            if not len(who):
                break
            rows = moving[hands.person].nonzero()[:, 0]
            some = Hands(hands.rotvec[rows], hands.place[rows], hands.shape[who],
                         torch.searchsorted(who, hands.person[rows]))  # fmt: skip
            trial = self._step(some, targets[rows], damping[who], free_shape)
            found = self._cost(trial, targets[rows], free_shape)
            better = found < cost[who]
            gained = cost[who] - found
            moved = rows[better[some.person]]
            hands.rotvec[moved], hands.place[moved] = (
                trial.rotvec[better[some.person]],
                trial.place[better[some.person]],
            )
            hands.shape[who[better]] = trial.shape[better]
            moving[who] = ~(better & (gained < _CONVERGED * found + _LEAST_COST_MM2)) & (damping[who] < _MOST_DAMPING)
            cost[who] = torch.where(better, found, cost[who])
            damping[who] *= torch.where(better, 0.3, 10.0)
        return hands

    def _pose(self, hands: Hands) -> Posed:
        return pose_joints(self._model, hands.rotvec, hands.shape[hands.person])

    def _cost(
        self, hands: Hands, targets: Float32[torch.Tensor, "B 21 3"], free_shape: bool
    ) -> Float32[torch.Tensor, " persons"]:
        """Squared distances of the joints, and what angles and shapes cost, mm²."""
        off = (self.posed(hands) - targets).square().sum((1, 2))
        beyond = self._beyond(hands.rotvec).square().sum((1, 2)) * _BEYOND_LIMIT_MM**2
        strange = (hands.rotvec[:, 1:] - self._prior.mean).square().sum((1, 2)) * _FROM_MEAN_MM**2
        shapes = hands.shape.square().sum(1) * _SHAPE_MM**2
        total = torch.zeros_like(shapes).index_add(0, hands.person, off + beyond + strange)
        return total + shapes if free_shape else total

    def _beyond(self, rotvec: Float32[torch.Tensor, "B 16 3"]) -> Float32[torch.Tensor, "B 15 3"]:
        """How far flexion, abduction and twist are beyond their limits, radians; 0 within."""
        angles = torch.einsum("jac,bjc->bja", self._prior.axes, rotvec[:, 1:])
        return angles - angles.clamp(self._prior.low, self._prior.high)

    def _step(
        self, hands: Hands, targets: Float32[torch.Tensor, "B 21 3"], damping: Float32[torch.Tensor, " persons"],
        free_shape: bool,
    ) -> Hands:  # fmt: skip
        """One damped step of Gauss and Newton."""
        posed = self._pose(hands)
        off = (posed.points + hands.place[:, None] - targets).reshape(-1, 63, 1)
        moves = torch.cat([pose_derivatives(self._model, posed, hands.rotvec), _shift(off)], -1)
        normal, slope = moves.mT @ moves, moves.mT @ off
        self._add_prior(normal, slope, hands.rotvec)
        more = damping[hands.person][:, None]
        normal.diagonal(dim1=-2, dim2=-1).mul_(1 + more)
        factor = torch.linalg.cholesky_ex(normal)[0]
        if not free_shape:
            step = torch.cholesky_solve(slope, factor)[..., 0]
            return _stepped(hands, step, torch.zeros_like(hands.shape))
        grows = shape_derivatives(self._model, posed)
        mixed = moves.mT @ grows
        solved = torch.cholesky_solve(torch.cat([slope, mixed], -1), factor)
        zeros = torch.zeros(len(hands.shape), 10, 10, device=off.device)
        shapes = zeros.index_add(0, hands.person, grows.mT @ grows) + _SHAPE_MM**2 * torch.eye(10, device=off.device)
        shapes.diagonal(dim1=-2, dim2=-1).mul_(1 + damping[:, None])
        shapes -= zeros.index_add(0, hands.person, mixed.mT @ solved[..., 1:])
        pull = (grows.mT @ off - mixed.mT @ solved[..., :1])[..., 0]
        pull = (_SHAPE_MM**2 * hands.shape).index_add(0, hands.person, pull)
        grown = torch.linalg.solve(shapes, pull)
        step = solved[..., 0] - (solved[..., 1:] @ grown[hands.person][..., None])[..., 0]
        return _stepped(hands, step, grown)

    def _add_prior(
        self, normal: Float32[torch.Tensor, "B 51 51"], slope: Float32[torch.Tensor, "B 51 1"],
        rotvec: Float32[torch.Tensor, "B 16 3"],
    ) -> None:  # fmt: skip
        beyond = self._beyond(rotvec)
        axes, reach = self._prior.axes, _BEYOND_LIMIT_MM**2
        own = reach * torch.einsum("jac,bja,jad->bjcd", axes, (beyond != 0).float(), axes)
        own += _FROM_MEAN_MM**2 * torch.eye(3, device=rotvec.device)
        for joint in range(1, NUM_OWN):
            normal[:, 3 * joint : 3 * joint + 3, 3 * joint : 3 * joint + 3] += own[:, joint - 1]
        pull = reach * torch.einsum("jac,bja->bjc", axes, beyond) + _FROM_MEAN_MM**2 * (
            rotvec[:, 1:] - self._prior.mean
        )
        slope[:, 3:48, 0] += pull.reshape(-1, 45)


# the point that the bone of each joint ends in: a joint or a tip
_END_OF = {
    joint: end
    for tip, owners in enumerate(OWNERS.values())
    for joint, end in zip(owners, (*owners[1:], NUM_OWN + tip), strict=True)
}


def _prior(model: HandModel, device: str) -> _Prior:
    low, high = np.full((15, 3), -_HINGE_DEG), np.full((15, 3), _HINGE_DEG)
    for finger, owners in enumerate(OWNERS.values()):
        rows = np.array(owners) - 1
        low[rows, 0], high[rows, 0] = -MAX_EXTENSION_DEG[finger], MAX_FLEXION_DEG[finger]
        high[rows[0], 1:] = MAX_ABDUCTION_DEG[finger], _TWIST_DEG
        low[rows[0], 1:] = -high[rows[0], 1:]
    arrays = joint_axes(model.rest_joints_m), np.radians(low), np.radians(high), model.hands_mean.reshape(15, 3)
    return _Prior(*(torch.from_numpy(array.astype(np.float32)).to(device) for array in arrays))


def _swing(start: Float32[torch.Tensor, "B 3"], end: Float32[torch.Tensor, "B 3"]) -> Float32[torch.Tensor, "B 3"]:
    """The axis-angle of the shortest way from one direction to another; 0 where they are opposite."""
    across = torch.linalg.cross(start, end)
    size = across.norm(dim=-1, keepdim=True)
    swing: torch.Tensor = across / size.clamp(min=1e-9) * torch.atan2(size, (start * end).sum(-1, keepdim=True))
    return swing


def _shift(off: Float32[torch.Tensor, "B 63 1"]) -> Float32[torch.Tensor, "B 63 3"]:
    """How the coordinates of all points change with the hand's place."""
    return torch.eye(3, device=off.device).repeat(21, 1).expand(len(off), 63, 3)


def _stepped(hands: Hands, step: Float32[torch.Tensor, "B 51"], grown: Float32[torch.Tensor, "persons 10"]) -> Hands:
    rotvec = hands.rotvec - step[:, :48].reshape(-1, NUM_OWN, 3)
    return Hands(rotvec, hands.place - step[:, 48:], hands.shape - grown, hands.person)
