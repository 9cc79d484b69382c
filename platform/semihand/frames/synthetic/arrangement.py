"""What is put about the hand: a forearm in or out of a sleeve, a thing held, a thing in the way."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic.anatomy import TO_MANO
from semihand.frames.synthetic.domains import Domain
from semihand.frames.synthetic.meshes import CLOTH, SKIN, THING, Mesh, ball, box, plain_mesh, tube
from semihand.frames.synthetic.people import Person

_ARM_MM = np.array([-10.0, 0.0, 12.0, 40.0, 90.0, 150.0, 230.0, 320.0])
_ARM_HALF_MM = np.array(
    [[22.0, 12.0], [26.0, 15.5], [26.5, 16.5], [26.5, 18.0], [30.0, 24.0], [37.0, 33.0], [43.0, 40.0], [46.0, 44.0]]
)


@dataclass(frozen=True)
class Arrangement:
    """Chance decisions about what stands around one hand; fixed over a sequence.

    Attributes:
        forearm: whether there is one.
        wrist_deg: how the wrist is bent: towards the palm, towards the thumb.
        sleeve_from_mm: where the sleeve begins on the forearm; None for a bare arm.
        held: shape of a thing in the palm, or None.
        blocker: shape of a thing before the hand, or None.
        sizes: three numbers 0..1 that size them.
        place: four numbers 0..1 that place them.
        colours: linear RGB of the held thing and the blocker.
        upper_arm_mm: how far a stretched arm goes on behind the forearm.
    """

    forearm: bool
    wrist_deg: tuple[float, float]
    sleeve_from_mm: float | None
    held: str | None
    blocker: str | None
    sizes: Float[np.ndarray, "3"]
    place: Float[np.ndarray, "4"]
    colours: Float[np.ndarray, "2 3"]
    upper_arm_mm: float = 0.0


def draw_arrangement(rng: np.random.Generator, domain: Domain) -> Arrangement:
    """Decide what stands around a hand of this domain; always takes the same number of draws."""
    chance, kinds = rng.random(4), rng.choice(["ball", "bar", "box"], size=2)
    bend = rng.normal(0, (22.0, 10.0)).clip((-55, -22), (55, 22))
    sleeve_from, sizes, place = rng.uniform(14, 130), rng.random(3), rng.random(4)
    colours = rng.uniform(0.03, 0.9, (2, 3)) ** 1.6
    forearm = bool(chance[0] < domain.forearm_probability)
    return Arrangement(
        forearm=forearm,
        wrist_deg=(float(bend[0]), float(bend[1])),
        sleeve_from_mm=sleeve_from if forearm and chance[1] < domain.sleeve_probability else None,
        held=str(kinds[0]) if chance[2] < domain.held_probability else None,
        blocker=str(kinds[1]) if chance[3] < domain.occluder_probability else None,
        sizes=sizes,
        place=place,
        colours=colours,
    )


def things_about(
    arrangement: Arrangement,
    person: Person,
    joints_mm: Float[np.ndarray, "21 3"],
    orientation: Float[np.ndarray, "3 3"],
) -> list[Mesh]:
    """The meshes around a posed hand.

    Args:
        arrangement: what there is.
        person: whose arm it is.
        joints_mm: the posed joints, camera frame.
        orientation: rotates the model's axes into the camera frame.
    """
    to_camera = orientation @ TO_MANO  # columns: radial, distal, dorsal in the camera frame
    meshes = _arm(arrangement, person, joints_mm, to_camera) if arrangement.forearm else []
    if arrangement.held is not None:
        meshes.append(_held(arrangement, joints_mm, to_camera))
    if arrangement.blocker is not None:
        meshes.append(_blocker(arrangement, joints_mm))
    return meshes


def _arm(
    arrangement: Arrangement, person: Person, joints_mm: Float[np.ndarray, "21 3"], to_camera: Float[np.ndarray, "3 3"]
) -> list[Mesh]:
    girth = np.linalg.norm(joints_mm[5] - joints_mm[17]) / 60.0
    palm_bend, thumb_bend = np.deg2rad(arrangement.wrist_deg)
    # about the radial axis the arm falls behind the palm, about the dorsal axis it turns to the thumb's side
    bend = Rotation.from_rotvec([palm_bend, 0, 0]) * Rotation.from_rotvec([0, 0, thumb_bend])
    along = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # tube's z to proximal, its y to dorsal
    turn = to_camera @ bend.as_matrix() @ along
    arm_mm, half_mm = _with_upper_arm(arrangement.upper_arm_mm)
    vertices, faces = tube(arm_mm, half_mm * girth, 20)
    texture = np.tile(np.array([0.0, -20.0, 10.0]), (len(vertices), 1)) + 0.3 * vertices
    arm = plain_mesh(vertices @ turn.T + joints_mm[0], _mirrored(faces), np.ones(3), SKIN)
    meshes = [replace(arm, texture=texture)]
    if arrangement.sleeve_from_mm is not None:
        rings = np.linspace(3, 240 + arrangement.upper_arm_mm, 9)
        heights = np.concatenate([[arrangement.sleeve_from_mm], arrangement.sleeve_from_mm + rings])
        halves = np.stack([np.interp(heights, arm_mm, half_mm[:, k]) for k in range(2)], axis=1) * girth
        folds = 4.0 + 7.0 * arrangement.sizes[2] + 2.0 * np.sin(heights * 0.13 + 6 * arrangement.place[3])
        vertices, faces = tube(heights, halves + folds[:, None], 20)
        stripes = 1.0 - 0.35 * (arrangement.place[2] > 0.6) * (np.sin(heights * 0.25) > 0)
        shade = np.concatenate([np.repeat(stripes, 20), [1.0, 1.0]])[:, None]
        meshes.append(plain_mesh(vertices @ turn.T + joints_mm[0], _mirrored(faces), person.sleeve * shade, CLOTH))
    return meshes


def _with_upper_arm(length_mm: float) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, "R 2"]]:
    """Rings of the arm from the wrist on, and their half axes."""
    if length_mm == 0:
        return _ARM_MM, _ARM_HALF_MM
    return np.append(_ARM_MM, _ARM_MM[-1] + length_mm), np.append(_ARM_HALF_MM, _ARM_HALF_MM[-1:] * 1.15, axis=0)


def _held(arrangement: Arrangement, joints_mm: Float[np.ndarray, "21 3"], to_camera: Float[np.ndarray, "3 3"]) -> Mesh:
    """A thing in the palm, as large as the closing fingers leave room for."""
    palm = joints_mm[[0, 5, 17, 9, 9]].mean(axis=0)
    radius = 12.0 + 20.0 * arrangement.sizes[0]
    centre = palm - (radius + 9.0) * to_camera[:, 2] + 14.0 * to_camera[:, 1]
    vertices, faces = _shape(str(arrangement.held), radius, 45.0 + 70.0 * arrangement.sizes[1])
    tilt = Rotation.from_euler("yz", [90.0, 30.0 * (arrangement.place[0] - 0.5)], degrees=True).as_matrix()
    placed = vertices @ (to_camera @ tilt).T + centre
    return plain_mesh(placed, _mirrored(faces), arrangement.colours[0], THING)


def _blocker(arrangement: Arrangement, joints_mm: Float[np.ndarray, "21 3"]) -> Mesh:
    """A thing between camera and hand that covers a part of it, from one side."""
    low, high = joints_mm.min(axis=0), joints_mm.max(axis=0)
    centre, reach = (low + high) / 2, float(np.linalg.norm(high[:2] - low[:2])) / 2
    angle = 2 * np.pi * arrangement.place[0]
    radius = reach * (0.18 + 0.2 * arrangement.sizes[0])
    aside = (0.45 + 0.45 * arrangement.place[1]) * reach
    position = np.array([centre[0] + aside * np.cos(angle), centre[1] + aside * np.sin(angle), low[2] - 25.0 - radius])
    vertices, faces = _shape(str(arrangement.blocker), radius, reach)
    turn = Rotation.from_euler(
        "xyz", [80 * arrangement.place[2], 60 * arrangement.place[3], 0.0], degrees=True
    ).as_matrix()
    spin = Rotation.from_rotvec([0, 0, angle]).as_matrix()
    return plain_mesh(vertices @ (spin @ turn).T + position, faces, arrangement.colours[1], THING)


def _shape(kind: str, radius_mm: float, half_length_mm: float) -> tuple[np.ndarray, np.ndarray]:
    if kind == "ball":
        return ball(radius_mm)
    if kind == "bar":
        heights = np.array([-half_length_mm, half_length_mm])
        return tube(heights, np.full((2, 2), 0.7 * radius_mm), 16)
    return box(np.array([0.7 * radius_mm, 0.9 * radius_mm, 0.6 * half_length_mm]))


def _mirrored(faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F 3"]:
    """Triangles that face outwards again: the anatomical frame of a right hand is a left-handed one."""
    return faces[:, ::-1]
