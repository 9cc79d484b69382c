"""Flesh around the bones: the signed distance of tapered capsules under a smooth union, and its surface."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

import numpy as np
from jaxtyping import Float, Int
from skimage.measure import marching_cubes

from semihand.frames.synthetic.anatomy import PALM_FLESH, Capsule, finger_flesh
from semihand.hand.skeleton import FINGERS

_SHORTEST = 1.0  # of the grid's spacing
_BOUNDS_MM = np.array([[-62.0, 92.0], [-40.0, 196.0], [-52.0, 28.0]])


def owner_distances(points_mm: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 16"]:
    """Distance of points to the flesh that each MANO joint carries."""
    distances = np.full((len(points_mm), 16), np.inf)
    for capsule in (*PALM_FLESH, *(part for finger in FINGERS for part in finger_flesh(finger))):
        distances[:, capsule.owner] = np.minimum(distances[:, capsule.owner], _capsule_distance(points_mm, capsule))
    return distances


def skin_surface(
    spacing_mm: float, kept_mm: Float[np.ndarray, "K 3"]
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """The skin as a closed mesh in the anatomical frame, by marching cubes over a grid of `spacing_mm`.

    Edges shorter than the grid's show nothing and are collapsed, but for those of the vertices nearest `kept_mm`.
    """
    axes = [np.arange(low, high, spacing_mm) for low, high in _BOUNDS_MM]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance = _hand_distance(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    vertices, faces, _, _ = marching_cubes(distance, 0.0)
    faces = faces.astype(np.int64)
    vertices = _relaxed(vertices * spacing_mm + _BOUNDS_MM[:, 0], faces)
    fixed = {int(np.linalg.norm(vertices - place, axis=1).argmin()) for place in kept_mm}
    return _without_slivers(vertices, faces, _SHORTEST * spacing_mm, fixed)


def _hand_distance(points_mm: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    palm = _smooth_union([_capsule_distance(points_mm, capsule) for capsule in PALM_FLESH], 7.0)
    hand = palm
    for finger in FINGERS:
        chain = _smooth_union([_capsule_distance(points_mm, capsule) for capsule in finger_flesh(finger)], 2.0)
        joined = _smooth_union([palm, chain], 8.0)
        hand = np.minimum(hand, joined)  # neighbouring fingers must not melt together
    return hand


def _capsule_distance(points_mm: Float[np.ndarray, "N 3"], capsule: Capsule) -> Float[np.ndarray, " N"]:
    start, bone = np.array(capsule.start_mm), np.subtract(capsule.end_mm, capsule.start_mm)
    share = np.clip((points_mm - start) @ bone / (bone @ bone), 0.0, 1.0)
    nearest = start + share[:, None] * bone
    radius = capsule.start_radius_mm + share * (capsule.end_radius_mm - capsule.start_radius_mm)
    return np.asarray(np.linalg.norm(points_mm - nearest, axis=1) - radius)


def _smooth_union(distances: Sequence[Float[np.ndarray, " N"]], width_mm: float) -> Float[np.ndarray, " N"]:
    union = distances[0]
    for distance in distances[1:]:
        overlap = np.maximum(width_mm - np.abs(union - distance), 0.0) / width_mm
        union = np.minimum(union, distance) - overlap**2 * width_mm / 4.0
    return union


def _without_slivers(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], shortest_mm: float, fixed: set[int]
) -> tuple[Float[np.ndarray, "W 3"], Int[np.ndarray, "G 3"]]:
    """Collapse edges to their middle, the shortest first, where the surface stays closed and of one piece."""
    places, neighbours = vertices.copy(), [set[int]() for _ in vertices]
    for a, b, c in faces.tolist():
        neighbours[a] |= {b, c}
        neighbours[b] |= {a, c}
        neighbours[c] |= {a, b}

    def edges_of(vertex: int, others: Iterable[int]) -> list[tuple[float, int, int]]:
        return [(float(np.linalg.norm(places[vertex] - places[other])), vertex, other) for other in others]

    waiting = [edge for a in range(len(vertices)) for edge in edges_of(a, (b for b in neighbours[a] if a < b))]
    heapify(waiting)
    owner = np.arange(len(vertices))
    while waiting and waiting[0][0] < shortest_mm:
        length, kept, lost = heappop(waiting)
        stale = lost not in neighbours[kept] or length != float(np.linalg.norm(places[kept] - places[lost]))
        # An edge of a closed surface has two triangles; a third vertex next to both ends would be pinched off.
        if stale or {kept, lost} & fixed or len(neighbours[kept] & neighbours[lost]) != 2:
            continue
        places[kept], owner[lost] = (places[kept] + places[lost]) / 2, kept
        for other in neighbours[lost]:
            neighbours[other] = neighbours[other] - {lost} | {kept}
        neighbours[kept] = (neighbours[kept] | neighbours[lost]) - {kept, lost}
        neighbours[lost] = set()
        for edge in edges_of(kept, neighbours[kept]):
            heappush(waiting, edge)
    for _ in range(len(owner).bit_length()):  # owners of owners
        owner = owner[owner]
    left, faces = np.unique(owner), owner[faces]
    apart = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return places[left], np.searchsorted(left, faces[apart])


def _relaxed(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "V 3"]:
    """Two passes of Taubin smoothing: marching cubes leaves slivers that shade badly."""
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    degree = np.bincount(edges.ravel(), minlength=len(vertices))[:, None]
    for factor in (0.5, -0.52, 0.5, -0.52):
        total = np.zeros_like(vertices)
        np.add.at(total, edges[:, 0], vertices[edges[:, 1]])
        np.add.at(total, edges[:, 1], vertices[edges[:, 0]])
        vertices = vertices + factor * (total / degree - vertices)
    return vertices
