"""The hand model: MANO's file layout, read safely, and posed through smplx.

A licensed MANO file and the generic hand (`semihand.frames.synthetic`) share this layout, so one takes the
other's place. smplx is never given a path: it unpickles without asking.
"""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import smplx
import torch
from jaxtyping import Float, Float32, Int, Shaped
from smplx.utils import Struct
from smplx.vertex_ids import vertex_ids

from semihand.hand.model_files import read_arrays

Side = Literal["left", "right"]

#: parents of MANO's 16 joints: wrist, index, middle, little, ring, thumb (three each, base to tip)
MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
#: vertices that smplx takes as fingertips, in the order thumb, index, middle, ring, little
TIP_VERTICES: tuple[int, ...] = tuple(
    vertex_ids["mano"][name] for name in ("thumb", "index", "middle", "ring", "pinky")
)
#: row k of the 21 joints comes from this row of (16 MANO joints, then five tips thumb..little)
SEMIHAND_FROM_MANO = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
LICENSED_NUM_VERTICES = 778
LICENSED_NUM_FACES = 1538


@dataclass(frozen=True)
class HandModel:
    """A hand in MANO's layout; metres, rest pose, MANO joint order.

    Attributes:
        v_template: rest vertices.
        faces: triangles, counter-clockwise seen from outside.
        shapedirs: vertex displacement per unit of each of the ten shape coefficients.
        posedirs: vertex displacement per element of (R - I) of the 15 finger joints.
        J_regressor: joints from shaped rest vertices.
        weights: skinning weights, rows sum to one.
        kintree: parents, -1 for the wrist.
        hands_components: principal components of the pose.
        hands_mean: mean pose (axis-angle) on top of the flat hand.
        side: decided from the geometry, never from a file's name.
    """

    v_template: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    shapedirs: Float[np.ndarray, "V 3 10"]
    posedirs: Float[np.ndarray, "V 3 135"]
    J_regressor: Float[np.ndarray, "16 V"]
    weights: Float[np.ndarray, "V 16"]
    kintree: Int[np.ndarray, " 16"]
    hands_components: Float[np.ndarray, "45 45"]
    hands_mean: Float[np.ndarray, " 45"]
    side: Side

    @property
    def rest_joints_m(self) -> Float[np.ndarray, "21 3"]:
        """The 21 joints of the flat rest hand in semihand's order, metres."""
        joints = np.concatenate([self.J_regressor @ self.v_template, self.v_template[list(TIP_VERTICES)]])
        return joints[list(SEMIHAND_FROM_MANO)]


def read_hand_model(path: str | Path) -> HandModel:
    """Read a hand model from `.pkl` or `.npz`, running no code that the file may carry.

    A file of 778 vertices must have MANO's exact shapes; any other must only be consistent in itself, with
    enough vertices for smplx's fingertips.

    Raises:
        ValueError: the file is missing, too large, of another type, carries anything but numeric arrays, lacks a
            key, has inconsistent shapes or values that are not finite.
    """
    return hand_model_from_arrays(read_arrays(Path(path)), source=str(path))


def hand_model_from_arrays(arrays: Mapping[str, Shaped[np.ndarray, "..."]], source: str) -> HandModel:
    """Check arrays under MANO's key names and make a model of them; `source` names them in errors.

    Raises:
        ValueError: as for `read_hand_model`.
    """
    _check(arrays, source)
    v_template, shapedirs = (np.asarray(arrays[k], np.float64) for k in ("v_template", "shapedirs"))
    kintree = np.asarray(arrays["kintree_table"])[0].astype(np.int64)
    kintree[0] = -1  # stored as 2^32 - 1 in the licensed file
    if tuple(kintree) != MANO_PARENTS:
        raise ValueError(f"{source}: kintree_table has parents {kintree.tolist()}, MANO's are {list(MANO_PARENTS)}")
    mean = np.asarray(arrays["hands_mean"], np.float64)
    J_regressor = np.asarray(arrays["J_regressor"], np.float64)
    side = _side(J_regressor @ v_template, v_template[list(TIP_VERTICES)], mean)
    return HandModel(
        v_template=v_template,
        faces=np.asarray(arrays["f"]).astype(np.int64),
        shapedirs=_with_mended_sign(shapedirs, v_template) if side == "left" else shapedirs,
        posedirs=np.asarray(arrays["posedirs"], np.float64),
        J_regressor=J_regressor,
        weights=np.asarray(arrays["weights"], np.float64),
        kintree=kintree,
        hands_components=np.asarray(arrays["hands_components"], np.float64),
        hands_mean=mean,
        side=side,
    )


def write_hand_model(model: HandModel, path: Path) -> None:
    """Write a model as an `.npz` under MANO's key names, which `read_hand_model` reads."""
    kintree = np.stack([np.where(model.kintree < 0, 2**32 - 1, model.kintree), np.arange(16)]).astype(np.uint32)
    np.savez(
        path, v_template=model.v_template, f=model.faces.astype(np.uint32), shapedirs=model.shapedirs,
        posedirs=model.posedirs, J_regressor=model.J_regressor, weights=model.weights, kintree_table=kintree,
        hands_components=model.hands_components, hands_mean=model.hands_mean,
    )  # fmt: skip


def hand_layer(model: HandModel) -> smplx.MANO:
    """The model as smplx's MANO layer: full axis-angle pose, zeros are the flat hand."""
    data = Struct(
        v_template=model.v_template,
        f=model.faces,
        shapedirs=model.shapedirs,
        posedirs=model.posedirs,
        J_regressor=model.J_regressor,
        weights=model.weights,
        kintree_table=np.stack([model.kintree, np.arange(16)]),
        hands_components=model.hands_components,
        hands_mean=model.hands_mean,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # smplx prints a warning about ten shapes, which is MANO's all
        layer = smplx.MANO(
            "", is_rhand=model.side == "right", data_struct=data, use_pca=False, flat_hand_mean=True,
            num_pca_comps=45, create_transl=False,
        )  # fmt: skip
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    return layer.eval()


def mirrored(model: HandModel) -> HandModel:
    """The other hand: the same one in a mirror across x, as MANO's own left hand is.

    Angles that are mirrored, (x, -y, -z), pose the mirrored hand.
    """
    flip = np.array([-1.0, 1.0, 1.0])
    return replace(
        model,
        v_template=model.v_template * flip,
        faces=model.faces[:, ::-1],
        shapedirs=model.shapedirs * flip[:, None],
        posedirs=model.posedirs * flip[:, None] * np.tile(np.outer(flip, flip).reshape(-1), 15),
        hands_components=model.hands_components * np.tile(-flip, 15),
        hands_mean=model.hands_mean * np.tile(-flip, 15),
        side="left" if model.side == "right" else "right",
    )


def pose_hand(
    layer: smplx.MANO,
    global_orient: Float32[torch.Tensor, "B 3"],
    pose: Float32[torch.Tensor, "B 45"],
    betas: Float32[torch.Tensor, "B 10"],
    transl_mm: Float32[torch.Tensor, "B 3"],
) -> tuple[Float32[torch.Tensor, "B V 3"], Float32[torch.Tensor, "B 21 3"]]:
    """Vertices and the 21 joints (semihand order, tips on the skin) in mm, frame of `transl_mm`.

    Args:
        layer: from `hand_layer`.
        global_orient: axis-angle about the model's wrist joint.
        pose: axis-angle of the 15 finger joints in MANO's order, zeros are the flat hand.
        betas: shape coefficients.
        transl_mm: added after everything else, as smplx does.
    """
    posed = layer(betas=betas, global_orient=global_orient, hand_pose=pose)
    vertices = posed.vertices * 1000.0 + transl_mm[:, None]
    joints = posed.joints[:, :16] * 1000.0 + transl_mm[:, None]
    return vertices, torch.cat([joints, vertices[:, list(TIP_VERTICES)]], dim=1)[:, list(SEMIHAND_FROM_MANO)]


def _check(arrays: Mapping[str, Shaped[np.ndarray, "..."]], source: str) -> None:
    num_vertices = len(arrays["v_template"]) if arrays["v_template"].ndim else 0
    num_faces = len(arrays["f"]) if arrays["f"].ndim else 0
    if num_vertices <= max(TIP_VERTICES):
        raise ValueError(f"{source}: {num_vertices} vertices, but fingertips are vertices up to {max(TIP_VERTICES)}")
    if num_vertices == LICENSED_NUM_VERTICES:
        num_faces = LICENSED_NUM_FACES
    shapes = {
        "v_template": (num_vertices, 3), "f": (num_faces, 3), "shapedirs": (num_vertices, 3, 10),
        "posedirs": (num_vertices, 3, 135), "J_regressor": (16, num_vertices), "weights": (num_vertices, 16),
        "kintree_table": (2, 16), "hands_components": (45, 45), "hands_mean": (45,),
    }  # fmt: skip
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            raise ValueError(
                f"{source}: {name} has shape {array.shape}, a hand of {num_vertices} vertices needs {shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{source}: {name} holds values that are not finite; the file is damaged")
    faces = arrays["f"]
    if faces.min() < 0 or faces.max() >= num_vertices:
        raise ValueError(f"{source}: f names vertex {faces.max()} of {num_vertices}; the file is damaged")


def _side(joints: np.ndarray, tips: np.ndarray, mean: np.ndarray) -> Side:
    """Right when (towards the thumb) x (towards the fingers) leaves through the palm.

    The palm is where the fingertips go when the mean pose curls them; where a model has no mean pose, it is
    where the thumb lies.
    """
    wrist, index, little, middle = joints[0], joints[1], joints[7], joints[4]
    out_of_hand = np.cross(index - little, middle - wrist)
    curl = np.zeros(3)
    for finger, tip in zip((1, 4, 10, 7), tips[1:], strict=True):
        axis = mean.reshape(15, 3)[finger - 1 : finger + 2].sum(0)
        curl += np.cross(axis, tip - joints[finger])
    palmar = curl if np.linalg.norm(mean) > 0.1 else tips[0] - joints[[0, 1, 4]].mean(0)
    return "right" if out_of_hand @ palmar > 0 else "left"


def _with_mended_sign(shapedirs: np.ndarray, v_template: np.ndarray) -> np.ndarray:
    """Undo the left MANO file's known slip: its first shape, the size, shrinks x while it grows y and z."""
    centred = v_template - v_template.mean(0)
    growth = np.sign((shapedirs[:, :, 0] * centred).sum(0))
    if growth[0] == growth[2]:
        return shapedirs
    return np.asarray(shapedirs * np.array([-1.0, 1.0, 1.0])[:, None])
