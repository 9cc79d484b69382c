"""Crops: square boxes and the affine maps between an original picture and a crop of it.

Pixels are counted from their centres: pixel (column c, row r) has its centre at (c, r), so a picture of
width W spans [-0.5, W - 0.5]. A box (x, y, w, h) covers whole pixels, x to x + w - 1, and spans [x - 0.5, x
+ w - 0.5].
"""

import numpy as np
from jaxtyping import Float


def square_box(box_px: Float[np.ndarray, "*batch 4"], margin: float) -> Float[np.ndarray, "*batch 4"]:
    """The square about a box's middle whose side is the longer side of the box times `margin`.

    Args:
        box_px: x, y, width, height in px of the original picture.
        margin: factor on the longer side; 1 leaves no border.

    Raises:
        ValueError: the margin is not above zero and finite, or a box is not finite or has no area.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(f"margin is {margin}, but must be finite and above 0; 1.0 means no border")
    _check_box(box_px)
    side_px = box_px[..., 2:].max(axis=-1, keepdims=True) * margin
    corner_px = box_px[..., :2] + (box_px[..., 2:] - side_px) / 2
    square: np.ndarray = np.concatenate([corner_px, side_px, side_px], axis=-1)
    return square


def crop_affine(
    box_px: Float[np.ndarray, "*batch 4"], size_px: int, mirror: bool = False
) -> Float[np.ndarray, "*batch 2 3"]:
    """The affine map from the original picture's pixels to a crop's pixels.

    The edges of the box fall on the edges of the crop, -0.5 and size_px - 0.5.

    Args:
        box_px: x, y, width, height in px of the original picture; normally from `square_box`.
        size_px: side of the crop.
        mirror: exchange left and right inside the crop, the way left hands become right ones.

    Raises:
        ValueError: the size is below 1, or a box is not finite or has no area.
    """
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}, but must be at least 1; crops are usually 64, 128 or 256 px")
    _check_box(box_px)
    scale = size_px / box_px[..., 2:]
    affine: np.ndarray = np.zeros((*box_px.shape[:-1], 2, 3), box_px.dtype)
    affine[..., 0, 0] = scale[..., 0]
    affine[..., 1, 1] = scale[..., 1]
    affine[..., 2] = (0.5 - box_px[..., :2]) * scale - 0.5
    if mirror:
        affine[..., 0, :] *= -1
        affine[..., 0, 2] += size_px - 1
    return affine


def apply_affine(
    affine: Float[np.ndarray, "*batch 2 3"], points_px: Float[np.ndarray, "*points num_points 2"]
) -> Float[np.ndarray, "*out num_points 2"]:
    """Carry points through an affine map, each batch entry through its own; leading axes broadcast."""
    moved: np.ndarray = points_px @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2]
    return moved


def invert_affine(affine: Float[np.ndarray, "*batch 2 3"]) -> Float[np.ndarray, "*batch 2 3"]:
    """The map back: original pixels from crop pixels.

    Raises:
        ValueError: a map is not finite or flattens the plane, so there is no way back.
    """
    determinant = affine[..., 0, 0] * affine[..., 1, 1] - affine[..., 0, 1] * affine[..., 1, 0]
    wrong = ~np.isfinite(affine).all(axis=(-1, -2)) | (determinant == 0)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"affine{list(index)} is {affine[index].tolist()}, which has no inverse; "
            "its determinant must be finite and not 0"
        )
    inverse: np.ndarray = np.empty_like(affine)
    inverse[..., :2] = np.linalg.inv(affine[..., :2])
    inverse[..., 2] = -(inverse[..., :2] @ affine[..., 2:])[..., 0]
    return inverse


def compose(
    outer: Float[np.ndarray, "*batch 2 3"], inner: Float[np.ndarray, "*batch 2 3"]
) -> Float[np.ndarray, "*batch 2 3"]:
    """One map that does `inner` first and `outer` after it."""
    combined: np.ndarray = outer[..., :2] @ inner
    combined[..., 2] += outer[..., 2]
    return combined


def _check_box(box_px: np.ndarray) -> None:
    wrong = ~(np.isfinite(box_px).all(axis=-1) & (box_px[..., 2:] > 0).all(axis=-1))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"box_px{list(index)} is {box_px[index].tolist()}, but x, y, width, height must be finite and "
            "width and height above 0; give a real box or quarantine the frame"
        )
