"""The generic hand: a right hand made by code, in MANO's file layout, so that smplx poses it like a licensed one."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from semihand.frames.synthetic import anatomy
from semihand.frames.synthetic.flesh import owner_distances, skin_surface
from semihand.hand.finger_axes import OWNERS, joint_axes
from semihand.hand.mano import MANO_PARENTS, TIP_VERTICES, HandModel
from semihand.hand.skeleton import FINGERS, FINGERTIPS

GRID_MM = 4.4  # then 1,200 vertices: finer skin shows no difference at 64 px, and costs time per frame
_BLEND_MM = 2.2  # how fast skin passes from one bone to the next
_RELAXED_DEG = (18.0, 24.0, 10.0)  # mean pose of a hand at rest: MCP, PIP, DIP


@lru_cache(maxsize=1)
def build_generic_hand() -> HandModel:
    """Build the generic right hand (0.5 s, once per process); the same arrays every time."""
    joints = anatomy.rest_joints_mm()
    vertices, faces = skin_surface(GRID_MM, joints[list(FINGERTIPS)])
    vertices, faces = _with_tips_in_place(vertices, faces, joints)
    weights = _skin_weights(vertices)
    shapedirs = np.stack([_shape_direction(vertices, weights, joints, **spec) for spec in _SHAPES], axis=-1)
    to_mano = anatomy.TO_MANO.T / 1000.0
    model_joints = joints @ to_mano
    return HandModel(
        v_template=vertices @ to_mano,
        faces=_facing_outwards(vertices @ to_mano, faces),
        shapedirs=np.einsum("vas,ab->vbs", shapedirs, to_mano),
        posedirs=np.zeros((len(vertices), 3, 135)),
        J_regressor=_joint_regressor(vertices, joints),
        weights=weights,
        kintree=np.array(MANO_PARENTS),
        hands_components=np.eye(45),
        hands_mean=_relaxed_pose(model_joints),
        side="right",
    )


def _with_tips_in_place(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], joints: Float[np.ndarray, "21 3"]
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Renumber vertices so that the five fingertips stand where smplx looks for MANO's."""
    order = np.arange(len(vertices))
    for finger, target in zip(FINGERS, TIP_VERTICES, strict=True):
        tip = np.argmin(np.linalg.norm(vertices - joints[FINGERS[finger][3]], axis=1))
        here = int(np.flatnonzero(order == tip)[0])
        order[[here, target]] = order[[target, here]]
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return vertices[order], number[faces]


def _skin_weights(vertices: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 16"]:
    distances = owner_distances(vertices)
    weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / _BLEND_MM)
    weights[weights < 0.03] = 0.0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _joint_regressor(
    vertices: Float[np.ndarray, "V 3"], joints: Float[np.ndarray, "21 3"]
) -> Float[np.ndarray, "16 V"]:
    """Weights of the ring of skin about each joint, corrected by the least change that hits the joint exactly."""
    mano_joints = np.zeros((16, 3))
    for finger, owners in OWNERS.items():
        mano_joints[list(owners)] = joints[list(FINGERS[finger][:3])]
    regressor = np.zeros((16, len(vertices)))
    for joint, position in enumerate(mano_joints):
        distance = np.linalg.norm(vertices - position, axis=1)
        ring = np.flatnonzero(distance < distance.min() + 10.0)
        guess = np.exp(-(((distance[ring] - distance.min()) / 4.0) ** 2))
        constraints = np.concatenate([vertices[ring].T, np.ones((1, len(ring)))])
        guess /= guess.sum()
        slack = np.append(position, 1.0) - constraints @ guess
        regressor[joint, ring] = guess + constraints.T @ np.linalg.solve(constraints @ constraints.T, slack)
    return regressor


#: What one unit of each shape coefficient does: palm growth (width, length, thickness), stretch of each finger's
#: three bones, growth of each finger's three bones in thickness. Fingers: thumb, index, middle, ring, little.
_SHAPES: tuple[dict[str, Float[np.ndarray, "..."]], ...] = tuple(
    {"palm": np.array(palm), "stretch": np.broadcast_to(stretch, (5, 3)), "girth": np.broadcast_to(girth, (5, 3))}
    for palm, stretch, girth in (
        ((0.05, 0.05, 0.05), 0.05, 0.05),  # size
        ((0.0, -0.01, 0.0), [[0.02], [0.06], [0.06], [0.06], [0.06]], 0.0),  # long fingers
        ((0.03, 0.0, 0.08), 0.0, 0.09),  # fleshy
        ((0.06, 0.0, 0.0), 0.0, 0.0),  # broad palm
        ((0.0, 0.05, 0.0), 0.0, 0.0),  # long palm
        ((0.0, 0.0, 0.0), [[0.07], [0.0], [0.0], [0.0], [0.0]], 0.0),  # long thumb
        ((0.0, 0.0, 0.0), [[0.0], [0.0], [0.0], [0.02], [0.07]], 0.0),  # long little finger
        ((0.0, 0.0, 0.0), [[0.0], [0.04], [0.0], [-0.04], [0.0]], 0.0),  # index over ring
        ((0.0, 0.0, 0.0), [0.05, 0.0, -0.06], 0.0),  # long proximal, short distal bones
        ((0.0, 0.0, 0.0), 0.0, [0.04, -0.02, -0.08]),  # tapered fingers
    )
)


def _shape_direction(
    vertices: Float[np.ndarray, "V 3"],
    weights: Float[np.ndarray, "V 16"],
    joints: Float[np.ndarray, "21 3"],
    **growth: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "V 3"]:
    """Displacement of the skin when palm and finger bones grow; every bone stays on the one before it."""
    moved = weights[:, :1] * vertices * growth["palm"]
    for row, (finger, owners) in enumerate(OWNERS.items()):
        start_moved = joints[FINGERS[finger][0]] * growth["palm"]
        for bone, owner in enumerate(owners):
            start, end = joints[FINGERS[finger][bone]], joints[FINGERS[finger][bone + 1]]
            along = (end - start) / np.linalg.norm(end - start)
            height = (vertices - start) @ along
            radial = vertices - start - height[:, None] * along
            reach = np.clip(height, 0.0, None)[:, None] * along
            field = start_moved + growth["stretch"][row, bone] * reach + growth["girth"][row, bone] * radial
            moved = moved + weights[:, owner : owner + 1] * field
            start_moved = start_moved + growth["stretch"][row, bone] * (end - start)
    return np.asarray(moved)


def _relaxed_pose(model_joints: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, " 45"]:
    angles = np.zeros(15)
    for finger, owners in OWNERS.items():
        angles[np.array(owners) - 1] = (0.0, 8.0, 12.0) if finger == "thumb" else _RELAXED_DEG
    return np.asarray((np.deg2rad(angles)[:, None] * joint_axes(model_joints)[:, 0]).ravel())


def _facing_outwards(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F 3"]:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    volume = np.einsum("fi,fi->", a, np.cross(b, c))
    return faces if volume > 0 else faces[:, ::-1]


@lru_cache(maxsize=1)
def part_of_faces() -> Int[np.ndarray, " F"]:
    """Part of each triangle: 1 palm, 2-4 thumb, then four to a finger (its first bone is halved), index to little."""
    model = build_generic_hand()
    rest_mm = model.v_template * 1000.0 @ anatomy.TO_MANO
    centres = rest_mm[model.faces].mean(axis=1)
    owner = model.weights[model.faces].sum(axis=1).argmax(axis=1)
    joints, parts, following = anatomy.rest_joints_mm(), np.ones(len(centres), np.int64), 2
    for finger, owners in OWNERS.items():
        start, end = joints[FINGERS[finger][0]], joints[FINGERS[finger][1]]
        outer_half = (centres - start) @ (end - start) > 0.5 * ((end - start) @ (end - start))
        for bone, number in enumerate(owners):
            parts[owner == number] = following
            if bone == 0 and finger != "thumb":
                following += 1
                parts[(owner == number) & outer_half] = following
            following += 1
    return parts
