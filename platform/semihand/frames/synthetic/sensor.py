"""The camera's faults: blur, motion, exposure, colour cast, sharpening and noise."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter1d

from semihand.frames.synthetic.domains import SensorRanges

_PX_OF = 64.0  # the picture side that pixels in a domain are meant for
_SHARPENING_PX = 1.2


@dataclass(frozen=True)
class Faults:
    """One camera in one recording; pixels are of a 64-px picture, the rest in shares of full scale."""

    blur_px: float
    motion_px: float
    motion_angle: float
    gain: Float[np.ndarray, "3"]
    contrast: float
    sharpening: float
    noise: float


def draw_faults(rng: np.random.Generator, sensor: SensorRanges) -> Faults:
    """Faults within a domain's ranges."""
    return Faults(
        blur_px=rng.uniform(*sensor.blur_px),
        motion_px=rng.uniform(*sensor.motion_px),
        motion_angle=rng.uniform(0, np.pi),
        gain=rng.uniform(*sensor.gain) * (1.0 + rng.uniform(-sensor.tint, sensor.tint, 3)),
        contrast=rng.uniform(*sensor.contrast),
        sharpening=rng.uniform(*sensor.sharpening),
        noise=rng.uniform(*sensor.noise),
    )


def expose(rng: np.random.Generator, picture: Float[np.ndarray, "S S 3"], faults: Faults) -> UInt8[np.ndarray, "S S 3"]:
    """The picture (sRGB 0..1) as this camera takes it; `rng` gives the grain."""
    scale = len(picture) / _PX_OF
    picture = _moved(picture, faults.motion_px * scale, faults.motion_angle)
    if faults.blur_px * scale > 0.2:
        picture = _blurred(picture, faults.blur_px * scale)
    if faults.sharpening > 0:
        picture = picture + faults.sharpening * (picture - _blurred(picture, _SHARPENING_PX * scale))
    picture = (picture * faults.gain - 0.5) * faults.contrast + 0.5
    grain = rng.standard_normal(picture.shape) * faults.noise * (0.5 + np.sqrt(np.clip(picture, 0, 1)))
    return np.asarray(np.clip(picture + grain, 0.0, 1.0) * 255.0 + 0.5, np.uint8)


def _blurred(picture: Float[np.ndarray, "S S 3"], sigma_px: float) -> Float[np.ndarray, "S S 3"]:
    along = gaussian_filter1d(picture, sigma_px, axis=0, truncate=3.0)
    return np.asarray(gaussian_filter1d(along, sigma_px, axis=1, truncate=3.0))


def _moved(picture: Float[np.ndarray, "S S 3"], length_px: float, angle: float) -> Float[np.ndarray, "S S 3"]:
    """The mean of the picture over a short straight path, in whole pixels."""
    if length_px < 1.0:
        return picture
    steps = np.linspace(-0.5, 0.5, int(np.ceil(length_px)) + 1) * length_px
    size = len(picture)
    total = np.zeros_like(picture)
    for step in steps:
        rows = np.clip(np.arange(size) + round(float(step * np.sin(angle))), 0, size - 1)
        columns = np.clip(np.arange(size) + round(float(step * np.cos(angle))), 0, size - 1)
        total += picture[rows][:, columns]
    return np.asarray(total / len(steps))
