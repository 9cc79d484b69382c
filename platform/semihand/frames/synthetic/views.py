"""Where the camera stands: the hand's orientation and place in the camera frame, and the crop around it."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic.domains import Domain
from semihand.frames.synthetic.rendering import Camera

#: MANO's axes in the camera frame when the palm faces the camera and the fingers point up
PALM_TO_CAMERA = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_MOST_AWAY = 0.6  # fingers pointing away further than this would hide the hand behind its own arm


@dataclass(frozen=True)
class View:
    """How a hand stands to the camera.

    Attributes:
        orientation: rotates MANO's axes into the camera frame.
        distance_mm: depth of the middle finger's MCP.
        aside: its tangent angles off the optical axis, x and y.
        fill: longer side of the hand's box over the picture's.
        offset: of the box's centre from the picture's, over the picture's side.
        turn: from the world's axes to the camera's; the world has its origin in the middle finger's MCP.
    """

    orientation: Float[np.ndarray, "3 3"]
    distance_mm: float
    aside: Float[np.ndarray, "2"]
    fill: float
    offset: Float[np.ndarray, "2"]
    turn: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))

    @property
    def place_mm(self) -> Float[np.ndarray, "3"]:
        """The middle finger's MCP, and so the world's origin, in the camera frame."""
        return self.distance_mm * np.array([*self.aside, 1.0])


def draw_view(rng: np.random.Generator, domain: Domain) -> View:
    """A view of this domain; always takes the same number of draws."""
    upright, back = rng.random() < domain.upright_share, rng.random() < domain.back_probability
    tilt, roll, azimuth = rng.uniform(*domain.tilt_deg), rng.uniform(*domain.roll_deg), rng.uniform(0, 2 * np.pi)
    if upright:
        tilt, roll = tilt * 35.0 / 90.0, roll * 40.0 / 180.0
    base = np.diag([-1.0, 1.0, -1.0]) @ PALM_TO_CAMERA if back else PALM_TO_CAMERA
    axis = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    away = (Rotation.from_rotvec(np.deg2rad(tilt) * axis).as_matrix() @ base)[2, 0] < -_MOST_AWAY
    tilted = Rotation.from_rotvec(np.deg2rad(-tilt if away else tilt) * axis).as_matrix() @ base
    turned = Rotation.from_euler("z", roll, degrees=True).as_matrix() @ tilted
    return View(
        turned,
        float(np.exp(rng.uniform(*np.log(domain.distance_mm)))),
        np.tan(np.deg2rad(rng.uniform(-12, 12, 2))),
        rng.uniform(*domain.fill),
        rng.uniform(-1, 1, 2) * domain.off_centre,
    )


def nearby_view(rng: np.random.Generator, view: View) -> View:
    """A view some frames later in the same recording."""
    turn = Rotation.from_rotvec(rng.normal(0, 0.28, 3)).as_matrix()
    return View(
        turn @ view.orientation,
        float(view.distance_mm * np.exp(rng.normal(0, 0.08))),
        view.aside + rng.normal(0, 0.05, 2),
        float(np.clip(view.fill * np.exp(rng.normal(0, 0.04)), 0.5, 0.88)),
        view.offset + rng.normal(0, 0.015, 2),
    )


def between(first: View, second: View, share: float) -> View:
    """The view on the way from one to another, share 0..1."""
    turn = Rotation.from_matrix(second.orientation @ first.orientation.T).as_rotvec()
    return View(
        Rotation.from_rotvec(share * turn).as_matrix() @ first.orientation,
        (1 - share) * first.distance_mm + share * second.distance_mm,
        (1 - share) * first.aside + share * second.aside,
        (1 - share) * first.fill + share * second.fill,
        (1 - share) * first.offset + share * second.offset,
    )


def around(view: View, number: int, num_views: int, jitter: Float[np.ndarray, "3"]) -> View:
    """Camera `number` of a rig on an arc about the hand: the hand seen in the same instant from elsewhere."""
    turn_deg = 0.0 if num_views == 1 else -60.0 + 120.0 * number / (num_views - 1)
    turn = Rotation.from_euler("yxz", np.array([turn_deg, 0, 0]) + jitter, degrees=True).as_matrix()
    return replace(view, orientation=turn @ view.orientation, turn=turn)


def crop_camera(view: View, vertices_mm: Float[np.ndarray, "V 3"], size_px: int) -> Camera:
    """The camera whose square picture is the crop that this view asks for, around a hand already in place."""
    slopes = vertices_mm[:, :2] / vertices_mm[:, 2:]
    low, high = slopes.min(axis=0), slopes.max(axis=0)
    focal_px = view.fill * size_px / float((high - low).max())
    centre = (size_px - 1) / 2 + view.offset * size_px - focal_px * (low + high) / 2
    return Camera(focal_px, (float(centre[0]), float(centre[1])), size_px)
