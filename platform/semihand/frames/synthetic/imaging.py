"""From a posed hand to the pictures of one frame: colour, hand mask, depth and parts."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16

from semihand.frames.synthetic.lighting import Light, shade
from semihand.frames.synthetic.meshes import HAND
from semihand.frames.synthetic.people import Person
from semihand.frames.synthetic.rendering import Camera, Hits, Scene, centre_hits, sharpened

DEPTH_UNITS_PER_MM = 10


@dataclass(frozen=True)
class Pictures:
    """One frame's pictures, all of one size.

    Attributes:
        colour: what the camera took.
        mask: where the hand is seen; a forearm or a thing before the hand is not the hand.
        depth: tenths of a millimetre along z of whatever is seen, 0 for the background.
        parts: 1 palm, 2-4 thumb, then four to a finger from index to little; 0 where no hand is seen.
    """

    colour: UInt8[np.ndarray, "S S 3"]
    mask: Bool[np.ndarray, "S S"]
    depth: UInt16[np.ndarray, "S S"]
    parts: UInt8[np.ndarray, "S S"]


def take_pictures(
    scene: Scene, camera: Camera, light: Light, person: Person, background: Float[np.ndarray, "S S 3"]
) -> tuple[Float[np.ndarray, "S S 3"], Pictures]:
    """The scene before the background (sRGB 0..1, no camera faults), and its truth with an empty colour picture."""
    size = camera.size_px
    centres = centre_hits(scene, camera)
    samples = sharpened(scene, camera, centres)
    colour = _composited(samples, shade(scene, samples, light, person), background)
    depth, parts = np.zeros(size * size), np.zeros(size * size, np.uint8)
    mask = np.zeros(size * size, bool)
    depth[centres.pixel] = centres.position_mm[2] * DEPTH_UNITS_PER_MM
    parts[centres.pixel] = scene.mesh.parts[centres.face]
    mask[centres.pixel] = scene.mesh.kinds[centres.face] == HAND
    square = (size, size)
    truth = Pictures(
        np.zeros((*square, 3), np.uint8),
        mask.reshape(square),
        np.clip(depth + 0.5, 0, 65535).astype(np.uint16).reshape(square),
        parts.reshape(square),
    )
    return colour, truth


def encode_png(picture: UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"] | UInt16[np.ndarray, "H W"]) -> bytes:
    """A PNG of 8-bit colour or grey or of 16-bit grey; Pillow takes three times as long for pictures this small."""
    height, width = picture.shape[:2]
    colour_type, depth = (2 if picture.ndim == 3 else 0), 8 * picture.itemsize
    lines = picture.astype(picture.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.full((height, lines.shape[1] + 1), 2, np.uint8)  # filter 2: difference to the line above
    filtered[0, 1:] = lines[0]
    filtered[1:, 1:] = lines[1:] - lines[:-1]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in chunks)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _composited(
    samples: Hits, radiance: Float[np.ndarray, "3 N"], background: Float[np.ndarray, "S S 3"]
) -> Float[np.ndarray, "S S 3"]:
    size = len(background)
    encoded = np.clip(radiance, 0.0, 1.0) ** (1 / 2.2)
    cover = np.bincount(samples.pixel, samples.share, size * size)
    front = np.stack([np.bincount(samples.pixel, channel, size * size) for channel in samples.share * encoded], axis=1)
    return np.asarray(front.reshape(size, size, 3) + (1.0 - np.minimum(cover, 1.0)).reshape(size, size, 1) * background)
