"""The palm: a rigid shape of six joints, measured from noisy poses through the distances between them."""

import numpy as np
from jaxtyping import Float

from semihand.hand.projection import PALM

Palm = Float[np.ndarray, "6 3"]
Square = Float[np.ndarray, "*batch 6 6"]


def square_distances(joints_mm: Float[np.ndarray, "*batch 21 3"]) -> Square:
    """Squared distances between the palm's joints, mm², in the order of `PALM`; any frame, either side."""
    return crossed_square_distances(joints_mm, joints_mm)


def crossed_square_distances(a_mm: Float[np.ndarray, "*batch 21 3"], b_mm: Float[np.ndarray, "*batch 21 3"]) -> Square:
    """`square_distances` between two measurements, free of the noise as `crossed_square_lengths` are."""
    square_mm2: np.ndarray = (_arms(a_mm) * _arms(b_mm)).sum(-1)
    return square_mm2


def embed_palm(square_mm2: Float[np.ndarray, "6 6"], like_mm: Palm) -> Palm:
    """The palm that has these distances, from the wrist, turned onto another palm whose chirality it takes.

    Classical multidimensional scaling (Torgerson, 1952): the three leading eigenvectors of −½ J D J. Distances know
    neither pose nor side, so the result is turned, and mirrored where that is closer, by orthogonal Procrustes.

    Args:
        square_mm2: squared distances in the order of `PALM`.
        like_mm: a right hand's palm; one in a plane says nothing of the side.
    """
    centring = np.eye(len(PALM)) - 1 / len(PALM)
    values, vectors = np.linalg.eigh(-0.5 * centring @ square_mm2 @ centring)
    shape = vectors[:, -3:] * np.sqrt(values[-3:].clip(min=0))
    u, _, vt = np.linalg.svd(shape.T @ (like_mm - like_mm.mean(0)))
    turned = shape @ (u @ vt)
    palm_mm: np.ndarray = turned - turned[:1]
    return palm_mm


def mean_palm(joints_mm: Float[np.ndarray, "frames 21 3"]) -> Palm:
    """The palm of true poses of right hands: their mean distances, turned as the first of them is."""
    square_mm2 = np.square(np.sqrt(square_distances(joints_mm)).mean(0))
    first_mm = joints_mm[0, PALM]
    return embed_palm(square_mm2, first_mm - first_mm[:1])


def _arms(joints_mm: np.ndarray) -> np.ndarray:
    """From every joint of the palm to every other."""
    palm_mm = joints_mm[..., PALM, :]
    arms_mm: np.ndarray = palm_mm[..., :, None, :] - palm_mm[..., None, :, :]
    return arms_mm
