"""The camera: a pinhole with OpenCV's lens distortion, and the way between 2.5D and 3D.

A caller's slip (a focal length of zero, a missing coefficient) raises. A point for which the geometry has no
answer (behind the camera, outside what the lens model covers) becomes NaN in its own place, so that one bad
row of a batch does not cost the others. Leading axes of cameras and points broadcast.
"""

import numpy as np
from jaxtyping import Float, Shaped

from semihand.hand.bones import bone_lengths
from semihand.hand.lens import DISTORTION_SIZES, distort, undistort
from semihand.hand.skeleton import MIDDLE_MCP, PARENTS, REFERENCE_BONE


def intrinsics_matrix(
    fx: float | Float[np.ndarray, "*batch"],
    fy: float | Float[np.ndarray, "*batch"],
    cx: float | Float[np.ndarray, "*batch"],
    cy: float | Float[np.ndarray, "*batch"],
) -> Float[np.ndarray, "*batch 3 3"]:
    """The camera matrix K, from focal lengths and principal point in px of the original picture.

    Raises:
        ValueError: a focal length is not above zero, or a number is not finite.
    """
    fx, fy, cx, cy = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (fx, fy, cx, cy)))
    K: np.ndarray = np.zeros((*fx.shape, 3, 3))
    K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = fx, fy, cx, cy, 1.0
    _check_camera(K, None)
    return K


def project(
    points_mm: Float[np.ndarray, "*batch num_points 3"],
    K: Float[np.ndarray, "*camera 3 3"],
    distortion: Float[np.ndarray, "*lens num_coefficients"] | None = None,
) -> Float[np.ndarray, "*out num_points 2"]:
    """Pixels of points given in the camera frame (x right, y down, z forward).

    Args:
        points_mm: points in mm; NaN stays NaN.
        K: camera matrix, px.
        distortion: OpenCV's 4, 5 or 8 coefficients k1 k2 p1 p2 [k3 [k4 k5 k6]].

    Returns:
        u, v in px; NaN for points that are not in front of the camera.

    Raises:
        ValueError: a focal length is not above zero, K or a coefficient is not finite, or their number is
            wrong.
    """
    _check_camera(K, distortion)
    depth_mm = np.where(points_mm[..., 2:] > 0, points_mm[..., 2:], np.nan)
    normalised = points_mm[..., :2] / depth_mm
    if distortion is not None:
        normalised, _ = distort(normalised, distortion)
    x, y = normalised[..., 0], normalised[..., 1]
    u = K[..., 0, 0, None] * x + K[..., 0, 1, None] * y + K[..., 0, 2, None]
    v = K[..., 1, 1, None] * y + K[..., 1, 2, None]
    pixels: np.ndarray = np.stack([u, v], axis=-1)
    return pixels


def unproject(
    uv_px: Float[np.ndarray, "*batch num_points 2"],
    depth_mm: Float[np.ndarray, "*depth num_points"],
    K: Float[np.ndarray, "*camera 3 3"],
    distortion: Float[np.ndarray, "*lens num_coefficients"] | None = None,
) -> Float[np.ndarray, "*out num_points 3"]:
    """Points in the camera frame from pixels and metric depth; the inverse of `project`.

    Args:
        uv_px: pixels of the original picture.
        depth_mm: z of every point, not the length of the ray.
        K: camera matrix, px.
        distortion: OpenCV's coefficients, undone by Newton's method.

    Returns:
        x, y, z in mm; NaN where the depth is not above zero or no point distorts onto the pixel.

    Raises:
        ValueError: as `project`.
    """
    rays = _rays(uv_px, K, distortion)
    depth_mm = np.where(depth_mm > 0, depth_mm, np.nan)[..., None]
    points_mm: np.ndarray = np.concatenate([rays * depth_mm, np.broadcast_to(depth_mm, (*rays.shape[:-1], 1))], -1)
    return points_mm


def scale_mm(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch"]:
    """The scale of 2.5D: the length of the middle finger's proximal bone, mm, any frame."""
    lengths_mm: np.ndarray = bone_lengths(joints_mm)[..., REFERENCE_BONE]
    return lengths_mm


def relative_depth(
    joints_mm: Float[np.ndarray, "*batch 21 3"], root: int = MIDDLE_MCP
) -> Float[np.ndarray, "*batch 21"]:
    """Depth of every joint relative to the root's, in reference-bone lengths (Iqbal et al., ECCV 2018).

    Args:
        joints_mm: joints in the camera frame.
        root: the joint whose depth becomes zero.

    Raises:
        ValueError: a reference bone has no length.
    """
    scale = scale_mm(joints_mm)
    _check_scale(scale)
    depth: np.ndarray = (joints_mm[..., 2] - joints_mm[..., root, None, 2]) / scale[..., None]
    return depth


def lift(
    uv_px: Float[np.ndarray, "*batch 21 2"],
    depth_bones: Float[np.ndarray, "*batch 21"],
    K: Float[np.ndarray, "*camera 3 3"],
    scale_mm: float | Float[np.ndarray, "*scale"],
    root_depth_mm: float | Float[np.ndarray, "*root"],
    distortion: Float[np.ndarray, "*lens num_coefficients"] | None = None,
) -> Float[np.ndarray, "*out 21 3"]:
    """From 2.5D to joints in the camera frame, mm: z = root depth + scale * relative depth, then unproject.

    Args:
        uv_px: joints in px of the original picture.
        depth_bones: depth relative to the root, in reference-bone lengths (`relative_depth`).
        K: camera matrix, px.
        scale_mm: length of the reference bone.
        root_depth_mm: z of the root; where unknown, from `root_depth_from_scale`.
        distortion: OpenCV's coefficients.

    Returns:
        Joints in mm; NaN where `unproject` gives NaN or the root's depth is NaN.

    Raises:
        ValueError: the scale is not above zero and finite; else as `project`.
    """
    scale, root_depth = np.asarray(scale_mm), np.asarray(root_depth_mm)
    _check_scale(scale)
    return unproject(uv_px, root_depth[..., None] + scale[..., None] * depth_bones, K, distortion)


def root_depth_from_scale(
    uv_px: Float[np.ndarray, "*batch 21 2"],
    depth_bones: Float[np.ndarray, "*batch 21"],
    K: Float[np.ndarray, "*camera 3 3"],
    scale_mm: float | Float[np.ndarray, "*scale"],
    distortion: Float[np.ndarray, "*lens num_coefficients"] | None = None,
) -> Float[np.ndarray, "*out"]:
    """The depth at which the reference bone has its length (Iqbal et al., ECCV 2018, 2.5D to 3D).

    With rays a, b through the bone's ends and relative depths d in mm, |(z + d_b) b - (z + d_a) a| = scale
    is a quadratic in the root depth z; the larger solution is the one with the bone in front of the camera.

    Args:
        uv_px: joints in px of the original picture.
        depth_bones: depth relative to the root, in reference-bone lengths.
        K: camera matrix, px.
        scale_mm: length of the reference bone.
        distortion: OpenCV's coefficients.

    Returns:
        z of the root in mm. NaN where no bone in front of the camera fits: the bone points along the ray of
        sight (its ends share a pixel), or its ends differ in depth by more than its length.

    Raises:
        ValueError: as `lift`.
    """
    scale = np.asarray(scale_mm)
    _check_scale(scale)
    ends = slice(MIDDLE_MCP, MIDDLE_MCP + 2)
    rays = _rays(uv_px[..., ends, :], K, distortion)
    depth = scale[..., None] * depth_bones[..., ends]
    # |z u + w|^2 + step^2 = scale^2
    u = rays[..., 1, :] - rays[..., 0, :]
    w = depth[..., 1, None] * rays[..., 1, :] - depth[..., 0, None] * rays[..., 0, :]
    a, half_b = (u * u).sum(-1), (u * w).sum(-1)
    c = (w * w).sum(-1) + (depth[..., 1] - depth[..., 0]) ** 2 - scale**2
    discriminant = half_b**2 - a * c
    solvable = (a > 0) & (discriminant >= 0)
    root = np.sqrt(np.where(solvable, discriminant, 0.0))
    root_depth_mm: np.ndarray = np.where(solvable, (root - half_b) / np.where(solvable, a, 1.0), np.nan)
    in_front = (root_depth_mm[..., None] + depth > 0).all(-1)
    return np.where(in_front, root_depth_mm, np.nan)


def root_depth_from_bones(
    uv_px: Float[np.ndarray, "batch 21 2"],
    depth_bones: Float[np.ndarray, "batch 21"],
    K: Float[np.ndarray, "batch 3 3"],
    lengths_mm: Float[np.ndarray, "batch 20"],
    distortion: Float[np.ndarray, "batch num_coefficients"] | None = None,
) -> Float[np.ndarray, " batch"]:
    """The depth at which all bones together have their lengths, in weak perspective.

    The answer where Iqbal's equation has none, as when a poor estimate tilts the reference bone by more than its
    own length: z^2 = sum(L^2 - dz^2) / sum(|a - b|^2) over the bones' rays a, b and differences of depth dz, the
    numerator kept above a tenth of sum(L^2).

    Args:
        uv_px: joints in px of the original picture.
        depth_bones: depth relative to the root, in reference-bone lengths.
        K: camera matrix, px.
        lengths_mm: the subject's bone lengths.
        distortion: OpenCV's coefficients.

    Returns:
        The root's depth, mm; infinite where all joints fall on one pixel.
    """
    rays = _rays(uv_px, K, distortion)
    children, parents = np.arange(1, 21), np.array(PARENTS[1:])
    across = np.square(rays[:, children] - rays[:, parents]).sum(axis=(1, 2))
    tilt_mm = (depth_bones[:, children] - depth_bones[:, parents]) * lengths_mm[:, REFERENCE_BONE, None]
    whole = np.square(lengths_mm).sum(-1)
    seen = np.maximum(whole - np.square(tilt_mm).sum(-1), 0.1 * whole)
    with np.errstate(divide="ignore"):
        depth: np.ndarray = np.sqrt(seen / across)
    return depth


def _rays(uv_px: np.ndarray, K: np.ndarray, distortion: np.ndarray | None) -> np.ndarray:
    _check_camera(K, distortion)
    y = (uv_px[..., 1] - K[..., 1, 2, None]) / K[..., 1, 1, None]
    x = (uv_px[..., 0] - K[..., 0, 2, None] - K[..., 0, 1, None] * y) / K[..., 0, 0, None]
    rays = np.stack([x, y], axis=-1)
    return rays if distortion is None else undistort(rays, distortion)


def _check_camera(K: Shaped[np.ndarray, "*camera 3 3"], distortion: np.ndarray | None) -> None:
    for name, value in (("fx", K[..., 0, 0]), ("fy", K[..., 1, 1])):
        wrong = ~(np.isfinite(value) & (value > 0))
        if wrong.any():
            raise ValueError(f"{name} is {value[wrong].flat[0]} px, but must be finite and above 0; check K")
    if not np.isfinite(K).all():
        raise ValueError(f"K holds {K[~np.isfinite(K)].flat[0]}, but must be finite; check cx and cy")
    if distortion is not None:
        if distortion.shape[-1] not in DISTORTION_SIZES:
            raise ValueError(
                f"distortion has {distortion.shape[-1]} coefficients, but OpenCV's model takes 4, 5 or 8 "
                "(k1 k2 p1 p2 [k3 [k4 k5 k6]]); leave it out for a lens without distortion"
            )
        if not np.isfinite(distortion).all():
            raise ValueError(f"distortion {distortion[~np.isfinite(distortion)].flat[0]} must be finite")


def _check_scale(scale_mm: np.ndarray) -> None:
    wrong = ~(np.isfinite(scale_mm) & (scale_mm > 0))
    if wrong.any():
        index = [int(i) for i in np.argwhere(wrong)[0]]
        raise ValueError(
            f"scale_mm{index} is {scale_mm[wrong].flat[0]}, but must be finite and above 0; "
            "it is the length of the middle finger's proximal bone, about 40 mm"
        )
