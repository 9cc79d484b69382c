"""Ray casting with embreex: what each pixel sees, and how the light falls on it.

Pixel centres are integers; the camera looks along +z with y down. What is of many samples has its components first
(3 N): numpy is several times as fast over three long rows as over thousands of triples.
"""

import os
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from embreex import rtcore, rtcore_scene
from embreex.mesh_construction import TriangleMesh
from jaxtyping import Float, Float32, Int

from semihand.frames.synthetic.meshes import Mesh, cross, dot, vertex_normals

_SUBPIXELS = np.array([[-0.375, -0.125], [0.125, -0.375], [0.375, 0.125], [-0.125, 0.375]])


@dataclass(frozen=True)
class Camera:
    """A pinhole: focal length and principal point in px of a square picture of `size_px`."""

    focal_px: float
    centre_px: tuple[float, float]
    size_px: int

    def rays(self, pixels: Float[np.ndarray, "N 2"]) -> Float32[np.ndarray, "N 3"]:
        """Directions with z = 1, so that a hit's distance along them is its depth."""
        directions = np.ones((len(pixels), 3), np.float32)
        directions[:, :2] = (pixels - np.array(self.centre_px)) / self.focal_px
        return directions

    def project(self, points_mm: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Pixel coordinates of points in the camera frame."""
        x, y, z = np.moveaxis(points_mm, -1, 0)
        u, v = (self.focal_px * side / z + centre for side, centre in zip((x, y), self.centre_px, strict=True))
        return np.moveaxis(np.stack([u, v]), 0, -1)


@dataclass(frozen=True)
class Hits:
    """Samples that met a surface.

    Attributes:
        pixel: the flat pixel index.
        share: the part of the pixel that the sample stands for.
        face: the triangle.
        corners: its vertices.
        barycentric: where in the triangle, one weight a corner.
        position_mm: where in the camera frame.
    """

    pixel: Int[np.ndarray, " N"]
    share: Float[np.ndarray, " N"]
    face: Int[np.ndarray, " N"]
    corners: Int[np.ndarray, "3 N"]
    barycentric: Float[np.ndarray, "3 N"]
    position_mm: Float[np.ndarray, "3 N"]

    def interpolate(self, values: Float[np.ndarray, "C V"]) -> Float[np.ndarray, "C N"]:
        """Per-vertex values at the hits."""
        first, second, third = (
            weight * values.take(corner, axis=1) for weight, corner in zip(self.barycentric, self.corners, strict=True)
        )
        return np.asarray(first + second + third)

    def __getitem__(self, chosen: Int[np.ndarray, " M"]) -> "Hits":
        """Some of the hits."""
        return Hits(*(getattr(self, field.name).take(chosen, axis=-1) for field in fields(self)))


@dataclass(frozen=True)
class Scene:
    """A mesh made ready for rays."""

    mesh: Mesh
    vertices: Float[np.ndarray, "3 V"]
    normals: Float[np.ndarray, "3 V"]
    caster: rtcore_scene.EmbreeScene


def build_scene(mesh: Mesh) -> Scene:
    """Index the mesh for ray casting."""
    caster = rtcore_scene.EmbreeScene(_device())
    TriangleMesh(caster, mesh.vertices, mesh.corners)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    return Scene(mesh, np.ascontiguousarray(mesh.vertices.T), np.ascontiguousarray(normals.T), caster)


@lru_cache(maxsize=1)
def _device() -> rtcore.EmbreeDevice:
    """One device a process, on one thread.

    Embree's threads wait for each other in every scene. With as many processes as cores that cost up to a second a
    scene, and it takes its thread count from nowhere but the CPUs it may run on when it first builds something.
    """
    if not hasattr(os, "sched_setaffinity"):
        return rtcore.EmbreeDevice()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        device = rtcore.EmbreeDevice()
        first = rtcore_scene.EmbreeScene(device)
        TriangleMesh(first, np.eye(3, dtype=np.float32)[None])
        first.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))
    finally:
        os.sched_setaffinity(0, allowed)
    return device


def centre_hits(scene: Scene, camera: Camera) -> Hits:
    """What the centre of each pixel sees."""
    size = camera.size_px
    low, high = _extent(scene, camera)
    columns, rows = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return _cast(scene, camera, pixels.astype(float), pixels[:, 1] * size + pixels[:, 0], 1.0)


def sharpened(scene: Scene, camera: Camera, hits: Hits) -> Hits:
    """The hits with pixels at outlines replaced by four samples each, so that outlines are smooth."""
    size = camera.size_px
    depth = np.zeros(size * size)
    depth[hits.pixel] = hits.position_mm[2]
    kind = np.full(size * size, -1)
    kind[hits.pixel] = scene.mesh.kinds[hits.face]
    edge = _edges(depth.reshape(size, size), kind.reshape(size, size)).ravel()
    outline = np.flatnonzero(edge)
    pixels = np.stack([outline % size, outline // size], axis=1)
    samples = (pixels[:, None] + _SUBPIXELS).reshape(-1, 2)
    fine = _cast(scene, camera, samples, np.repeat(outline, 4), 0.25)
    kept = hits[np.flatnonzero(~edge[hits.pixel])]
    names = [field.name for field in fields(Hits)]
    return Hits(*(np.concatenate([getattr(kept, name), getattr(fine, name)], axis=-1) for name in names))


def occluded(
    scene: Scene, start_mm: Float[np.ndarray, "3 N"], direction: Float[np.ndarray, "3 N"], reach_mm: float
) -> Float[np.ndarray, " N"]:
    """1 where something stands within `reach_mm` in the direction, else 0."""
    reach = np.full(start_mm.shape[1], reach_mm, np.float32)
    hit = scene.caster.run(start_mm.T.astype(np.float32), direction.T.astype(np.float32), reach, query="OCCLUDED")
    return (np.asarray(hit) >= 0).astype(float)


def _extent(scene: Scene, camera: Camera) -> tuple[Int[np.ndarray, "2"], Int[np.ndarray, "2"]]:
    before = scene.vertices[2] > 1.0
    projected = camera.project((scene.vertices if before.all() else scene.vertices[:, before]).T)
    low = np.floor(projected.min(axis=0)).clip(0, camera.size_px - 1).astype(int)
    high = np.ceil(projected.max(axis=0)).clip(0, camera.size_px - 1).astype(int)
    return low, high


def _cast(
    scene: Scene, camera: Camera, samples: Float[np.ndarray, "N 2"], pixel: Int[np.ndarray, " N"], share: float
) -> Hits:
    directions = camera.rays(samples)
    first = np.asarray(scene.caster.run(np.zeros_like(directions), directions))
    hit = np.flatnonzero(first >= 0)
    face = first.take(hit).astype(int)
    corners = np.ascontiguousarray(scene.mesh.faces.take(face, axis=0).T)
    towards = directions.T.take(hit, axis=1).astype(float)
    barycentric, depth_mm = _meeting(scene.vertices.take(corners, axis=1), towards)
    return Hits(pixel.take(hit), np.full(len(hit), share), face, corners, barycentric, towards * depth_mm)


def _meeting(
    corners_mm: Float[np.ndarray, "3 3 N"], directions: Float[np.ndarray, "3 N"]
) -> tuple[Float[np.ndarray, "3 N"], Float[np.ndarray, " N"]]:
    """Where rays from the origin meet their triangles: barycentric coordinates and depth (Cramer's rule)."""
    # embreex would tell, but hands every number over as a Python object
    a, b, c = corners_mm[:, 0], corners_mm[:, 1], corners_mm[:, 2]
    volumes = np.stack([dot(directions, cross(b, c)), dot(directions, cross(c, a)), dot(directions, cross(a, b))])
    barycentric = volumes / volumes.sum(axis=0)
    return barycentric, dot(barycentric, corners_mm[2])


def _edges(depth: Float[np.ndarray, "S S"], kind: Int[np.ndarray, "S S"]) -> np.ndarray:
    edge = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        step = (np.abs(np.diff(depth, axis=axis)) > 8.0) | (np.diff(kind, axis=axis) != 0)
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= step
        edge[tuple(after)] |= step
    return edge
