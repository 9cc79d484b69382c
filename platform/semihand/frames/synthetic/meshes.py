"""What stands before the camera as triangles: hand, forearm, sleeve, things held and things in the way."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, Shaped

#: kinds of surface, one number per triangle
HAND, SKIN, CLOTH, THING = 0, 1, 2, 3


@dataclass(frozen=True)
class Mesh:
    """Triangles in mm with what shading needs.

    Attributes:
        vertices: positions.
        faces: triangles, counter-clockwise from outside.
        colours: per-vertex colour where the kind is cloth or thing, tint elsewhere, 0..1.
        texture: where each vertex looks up the skin's detail (anatomical frame, mm).
        kinds: HAND, SKIN, CLOTH or THING per triangle.
        parts: hand part per triangle, 0 where it is no hand.
        corners: the faces once more as tuples, which embreex reads three times as fast as array rows.
    """

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    colours: Float[np.ndarray, "V 3"]
    texture: Float[np.ndarray, "V 3"]
    kinds: Int[np.ndarray, " F"]
    parts: Int[np.ndarray, " F"]
    corners: Shaped[np.ndarray, " F"]


def as_tuples(faces: Int[np.ndarray, "F 3"]) -> Shaped[np.ndarray, " F"]:
    """The rows of an array as an array of tuples."""
    rows = np.empty(len(faces), object)
    rows[:] = list(zip(*faces.T.tolist(), strict=True))
    return rows


def plain_mesh(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], colours: np.ndarray, kind: int
) -> Mesh:
    """A mesh of one kind that is no hand."""
    full, nowhere = np.broadcast_to(colours, vertices.shape), np.zeros_like(vertices)
    kinds, parts = np.full(len(faces), kind), np.zeros(len(faces), np.int64)
    return Mesh(vertices, faces, full, nowhere, kinds, parts, as_tuples(faces))


def joined(meshes: list[Mesh]) -> Mesh:
    """All meshes as one."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.colours for mesh in meshes]),
        np.concatenate([mesh.texture for mesh in meshes]),
        np.concatenate([mesh.kinds for mesh in meshes]),
        np.concatenate([mesh.parts for mesh in meshes]),
        np.concatenate(
            [
                as_tuples(mesh.faces + offset) if offset else mesh.corners
                for mesh, offset in zip(meshes, offsets.tolist(), strict=True)
            ]
        ),
    )


def vertex_normals(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "V 3"]:
    """Unit normals, area-weighted over the triangles about each vertex."""
    places = np.ascontiguousarray(vertices.T)
    columns = [np.ascontiguousarray(column) for column in faces.T]
    a, b, c = (places.take(column, axis=1) for column in columns)
    across = cross(b - a, c - a)
    normals = np.stack([sum(np.bincount(column, side, len(vertices)) for column in columns) for side in across])
    return np.asarray(unit(normals).T)


def dot(left: Float[np.ndarray, "3 N"], right: Float[np.ndarray, "3 N"]) -> Float[np.ndarray, " N"]:
    """Scalar products."""
    return np.asarray(left[0] * right[0] + left[1] * right[1] + left[2] * right[2])


def cross(left: Float[np.ndarray, "3 N"], right: Float[np.ndarray, "3 N"]) -> Float[np.ndarray, "3 N"]:
    """Cross products."""
    (x, y, z), (u, v, w) = left, right
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u])


def unit(vectors: Float[np.ndarray, "3 N"]) -> Float[np.ndarray, "3 N"]:
    """The vectors at length one; those without length stay as they are."""
    return np.asarray(vectors / np.maximum(np.sqrt(dot(vectors, vectors)), 1e-9))


def tube(
    heights: Float[np.ndarray, " R"], widths: Float[np.ndarray, "R 2"], num_sides: int
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """An oval tube along +z with closed ends: ring r at height r has half-axes `widths[r]` in x and y."""
    angles = np.linspace(0, 2 * np.pi, num_sides, endpoint=False)
    rings = np.stack(
        [
            widths[:, :1] * np.cos(angles),
            widths[:, 1:] * np.sin(angles),
            np.broadcast_to(heights[:, None], (len(heights), num_sides)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    ends = np.array([[0, 0, heights[0]], [0, 0, heights[-1]]], float)
    return np.concatenate([rings, ends]), _tube_faces(len(heights), num_sides)


@lru_cache(maxsize=16)
def _tube_faces(num_rings: int, num_sides: int) -> Int[np.ndarray, "F 3"]:
    side = np.arange(num_sides)
    following = (side + 1) % num_sides
    start = np.arange(num_rings - 1)[:, None] * num_sides
    lower = np.stack([start + side, start + following, start + num_sides + following], axis=-1).reshape(-1, 3)
    upper = np.stack([start + side, start + num_sides + following, start + num_sides + side], axis=-1).reshape(-1, 3)
    last = (num_rings - 1) * num_sides
    caps = np.concatenate(
        [
            np.stack([np.full(num_sides, num_rings * num_sides), following, side], axis=-1),
            np.stack([np.full(num_sides, num_rings * num_sides + 1), last + side, last + following], axis=-1),
        ]
    )
    return np.concatenate([lower, upper, caps])


def ball(radius_mm: float) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """A sphere."""
    polar = np.linspace(0.05, np.pi - 0.05, 10)
    return tube(-radius_mm * np.cos(polar), np.repeat(radius_mm * np.sin(polar)[:, None], 2, axis=1), 14)


def box(half_sides_mm: Float[np.ndarray, "3"]) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """A box; each side has its own corners, so that its edges shade sharp."""
    square = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], float)
    half_turns = [np.roll(square, k, axis=1) for k in range(3)]
    corners = [*half_turns, *(-side[::-1] for side in half_turns)]
    faces = [[4 * k + i for i in (0, a, a + 1)] for k in range(6) for a in (1, 2)]
    oriented = _facing_out(np.concatenate(corners), np.array(faces))
    return np.concatenate(corners) * half_sides_mm, oriented


def _facing_out(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    inward = np.einsum("fi,fi->f", np.cross(b - a, c - a), a + b + c) < 0
    return np.where(inward[:, None], faces[:, ::-1], faces)
