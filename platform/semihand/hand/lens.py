"""The lens: OpenCV's distortion of normalised image points, and its inverse."""

import numpy as np

# OpenCV's order: k1 k2 p1 p2, k3, k4 k5 k6.
DISTORTION_SIZES = (4, 5, 8)
_NEWTON_STEPS = 30
# In normalised coordinates; at a focal length of 2000 px a fifty-thousandth of a pixel.
_NEWTON_TOLERANCE = 1e-8


def distort(points: np.ndarray, distortion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's distortion (Brown's, with rational radial factor) of normalised points, and its Jacobian.

    Args:
        points: (..., num_points, 2), x / z and y / z.
        distortion: (..., 4, 5 or 8) coefficients.

    Returns:
        The distorted points, and (..., num_points, 2, 2) derivatives.
    """
    padding = [(0, 0)] * (distortion.ndim - 1) + [(0, 8 - distortion.shape[-1])]
    k1, k2, p1, p2, k3, k4, k5, k6 = np.moveaxis(np.pad(distortion, padding), -1, 0)[..., None]
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    above, below = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    # Derivative of the radial factor by r2.
    slope = (k1 + r2 * (2 * k2 + r2 * 3 * k3) - radial * (k4 + r2 * (2 * k5 + r2 * 3 * k6))) / below
    distorted = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )
    across = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    along_x = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    along_y = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    jacobian = np.stack([np.stack([along_x, across], -1), np.stack([across, along_y], -1)], -2)
    return distorted, jacobian


def undistort(distorted: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """The normalised points that distort onto the given ones, by Newton's method; float64.

    NaN where there is none: the lens model folds over beyond some radius, and no point lies outside the fold.
    """
    points = np.broadcast_to(distorted, np.broadcast_shapes(distorted.shape, (*distortion.shape[:-1], 1, 1)))
    points = points.astype(np.float64)
    with np.errstate(all="ignore"):  # a diverging point ends as NaN below
        for _ in range(_NEWTON_STEPS):
            reached, jacobian = distort(points, distortion)
            residual = reached - distorted
            if not (np.abs(residual) > _NEWTON_TOLERANCE * 1e-4).any():
                break
            determinant = np.linalg.det(jacobian)[..., None]
            step = np.stack(
                [
                    jacobian[..., 1, 1] * residual[..., 0] - jacobian[..., 0, 1] * residual[..., 1],
                    jacobian[..., 0, 0] * residual[..., 1] - jacobian[..., 1, 0] * residual[..., 0],
                ],
                axis=-1,
            )
            points = points - step / determinant
        reached, jacobian = distort(points, distortion)
        # A Jacobian that turns the plane over belongs to the far side of the lens model's fold.
        fits = (np.abs(reached - distorted) < _NEWTON_TOLERANCE).all(-1) & (np.linalg.det(jacobian) > 0)
    return np.where(fits[..., None], points, np.nan)
