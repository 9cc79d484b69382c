"""Light: one lamp, a sky, soft shadows and the darkness of hollows."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from semihand.frames.synthetic.domains import Domain
from semihand.frames.synthetic.meshes import HAND, SKIN, dot, unit
from semihand.frames.synthetic.people import Person
from semihand.frames.synthetic.rendering import Hits, Scene, occluded
from semihand.frames.synthetic.skin import skin_colour

_BLEED = np.array([1.0, 0.9, 0.85])  # light that skin scatters comes out warmer


@dataclass(frozen=True)
class Light:
    """A lamp far away and light from all around, camera frame.

    Attributes:
        direction: unit vector towards the lamp.
        colour: of the lamp, linear RGB.
        ambient: share of the light that comes from all around.
        softness: 0 casts hard shadows, 1 very soft ones.
        shine: strength of highlights.
    """

    direction: Float[np.ndarray, "3"]
    colour: Float[np.ndarray, "3"]
    ambient: float
    softness: float
    shine: float

    def turned(self, turn: Float[np.ndarray, "3 3"]) -> "Light":
        """The same light in other axes."""
        return replace(self, direction=turn @ self.direction)


def draw_light(rng: np.random.Generator, domain: Domain) -> Light:
    """A lamp somewhere on the camera's side."""
    direction = np.array([rng.normal(0, 0.8), rng.normal(-0.5, 0.6), -1.0])
    warmth = rng.normal(0, 0.08)
    return Light(
        direction / np.linalg.norm(direction),
        np.array([1 + warmth, 1.0, 1 - warmth]),
        rng.uniform(*domain.ambient),
        rng.uniform(*domain.light_softness),
        rng.uniform(0.03, 0.22),
    )


def shade(scene: Scene, hits: Hits, light: Light, person: Person) -> Float[np.ndarray, "3 N"]:
    """Linear RGB of the hits."""
    normals = unit(hits.interpolate(scene.normals))
    albedo = _albedo(scene, hits, person)
    start = hits.position_mm + 1.2 * normals
    facing = np.maximum(light.direction @ normals, 0.0)
    lit = facing * (1.0 - _shadow(scene, start, light, facing))
    half = unit(light.direction[:, None] - unit(hits.position_mm))
    gleam = light.shine * np.maximum(dot(normals, half), 0.0) ** 24 * (lit > 0)
    sky = light.ambient * (0.75 - 0.25 * normals[1]) * (1.0 - 0.75 * _hollowness(scene, start, normals))
    bleed, lamp = _BLEED[:, None], light.colour[:, None]
    return np.asarray(albedo * (sky * bleed + (1.15 - light.ambient) * lit * lamp) + gleam * lamp)


def _albedo(scene: Scene, hits: Hits, person: Person) -> Float[np.ndarray, "3 N"]:
    kinds = scene.mesh.kinds[hits.face]
    is_bare = (kinds == HAND) | (kinds == SKIN)
    bare, covered = np.flatnonzero(is_bare), np.flatnonzero(~is_bare)
    texture = hits[bare].interpolate(np.ascontiguousarray(scene.mesh.texture.T))
    colour = np.empty((3, len(kinds)))
    colour[:, bare] = skin_colour(texture, person.tone, person.nail, person.relief)
    colour[:, covered] = hits[covered].interpolate(np.ascontiguousarray(scene.mesh.colours.T))
    return colour


def _shadow(
    scene: Scene, start: Float[np.ndarray, "3 N"], light: Light, facing: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    shadow = np.zeros(len(facing))
    lit = np.flatnonzero(facing > 0)
    start = start.take(lit, axis=1)
    side = np.cross(light.direction, [0.0, 1.0, 0.1])
    other = np.cross(light.direction, side)
    for angle in (0.4, 2.5, 4.6):  # three lamps of a ring stand for an area
        offset = light.direction + 0.35 * light.softness * (np.cos(angle) * side + np.sin(angle) * other)
        direction = np.broadcast_to((offset / np.linalg.norm(offset))[:, None], start.shape)
        shadow[lit] += occluded(scene, start, direction, 600.0) / 3.0
    return shadow * (1.0 - 0.35 * light.softness)


def _hollowness(
    scene: Scene, start: Float[np.ndarray, "3 N"], normals: Float[np.ndarray, "3 N"]
) -> Float[np.ndarray, " N"]:
    """Share of the nearby sky that is blocked: between fingers and inside a fist."""
    blocked = np.zeros(start.shape[1])
    for offset in ((0.8, 0.3, 0.0), (-0.6, 0.6, 0.2), (-0.1, -0.8, 0.4), (0.1, 0.2, -0.8)):
        blocked += occluded(scene, start, unit(normals + np.array(offset)[:, None]), 28.0) / 4.0
    return blocked
