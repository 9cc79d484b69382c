"""Rigs: calibrated cameras that look at one hand, from our own file or from stereo calibrations of others."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, FiniteFloat, ValidationError

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.files import read_file
from semihand.frames.sets.columns import camera, pose_of_camera
from semihand.frames.sets.files import entry_array, read_lines
from semihand.frames.sets.folders import names_in
from semihand.frames.sets.reader import Row
from semihand.frames.strict_json import parse_json
from semihand.hand.camera import project
from semihand.hand.lens import DISTORTION_SIZES

DAT_FOLDER = "camera_parameters"
_Three = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
_Four = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
_MAX_BYTES = 2**20  # of a file that describes a handful of cameras


class View(NamedTuple):
    """One camera: u = K distort(R X + t), X of the world in mm."""

    K: Float[np.ndarray, "3 3"]
    distortion: Float[np.ndarray, " coefficients"] | None
    R: Float[np.ndarray, "3 3"]
    t_mm: Float[np.ndarray, "3"]

    def columns(self) -> Row:
        """The camera's columns of FRAMES.

        Raises:
            BadFrame: bad_camera, the numbers are no camera's.
        """
        fx, fy, cx, cy = (self.K[place] for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
        if not np.array_equal(self.K, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]):
            raise BadFrame("bad_camera", f"intrinsics are {self.K.tolist()}, not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
        if self.distortion is not None and len(self.distortion) not in DISTORTION_SIZES:
            raise BadFrame("bad_camera", f"{len(self.distortion)} distortion coefficients, not 4, 5 or 8")
        return camera(self.K) | pose_of_camera(self.R, self.t_mm) | {"distortion": self.distortion}

    def of_world(self, points_mm: Float[np.ndarray, "21 3"]) -> tuple[np.ndarray, np.ndarray]:
        """Points of the world in the camera frame, and in the picture; NaN there for what is not in front."""
        seen_mm = points_mm @ self.R.T + self.t_mm
        return seen_mm, project(seen_mm, self.K, self.distortion)


def read_rig(folder: Path, square_mm: float | None) -> dict[str, View]:
    """The cameras of a folder by their names.

    Args:
        folder: with `cameras.toml`, `cameras.json` or a folder `camera_parameters`.
        square_mm: side of the checkerboard's squares, in which `camera_parameters` measures.

    Raises:
        InputError: there is none of these, it cannot be read, it holds what no camera has, or square_mm is missing.
    """
    path = next(
        (folder / name for name in (DAT_FOLDER, "cameras.toml", "cameras.json") if (folder / name).exists()), None
    )
    if path is None:
        raise InputError(f"{folder}: neither cameras.toml, cameras.json nor {DAT_FOLDER}/; describe its cameras")
    views = _read_dat(path, square_mm) if path.name == DAT_FOLDER else _read_own(path)
    for name, view in views.items():
        try:
            view.columns()
        except BadFrame as problem:
            raise InputError(f"{path}: camera {name}: {problem.detail}") from problem
    return views


class _Camera(BaseModel, frozen=True, extra="forbid"):
    intrinsics: tuple[_Three, _Three, _Three]
    distortion: tuple[FiniteFloat, ...] = ()
    world_to_camera: tuple[_Four, _Four, _Four]


class _Cameras(BaseModel, frozen=True, extra="forbid"):
    cameras: dict[str, _Camera]


def _read_own(path: Path) -> dict[str, View]:
    try:
        text = read_file(path, _MAX_BYTES).decode()
        found = _Cameras.model_validate(tomllib.loads(text) if path.suffix == ".toml" else parse_json(text)).cameras
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (BadFrame, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {str(error)[:200]}") from error
    if wrong := [name for name in found if not re.fullmatch(r"\w[\w.-]*", name)]:
        raise InputError(f"{path}: camera {wrong[0]!r} names no folder or video; use letters, digits, dots and dashes")
    views = {}
    for name, given in found.items():
        pose = np.array(given.world_to_camera)
        distortion = np.array(given.distortion) if given.distortion else None
        views[name] = View(np.array(given.intrinsics), distortion, pose[:, :3], pose[:, 3])
    return views


def _read_dat(folder: Path, square_mm: float | None) -> dict[str, View]:
    """`c0.dat`, `rot_trans_c0.dat` and so on; of several poses in a file the first counts."""
    if square_mm is None:
        raise InputError(f"{folder} measures in squares of its checkerboard; say how large they are with square_mm=")
    views = {}
    for name in names_in(folder, r"c\d\.dat"):
        lens, pose = (read_lines(folder / each) for each in (name, f"rot_trans_{name}"))
        try:
            K = _block(lens, "intrinsic:", (3, 3))
            distortion = _block(lens, "distortion:", (1, 5))[0]
            R, t = _block(pose, "R:", (3, 3)), _block(pose, "T:", (3, 1))[:, 0]
        except BadFrame as problem:
            raise InputError(f"{folder}, {name}: {problem.detail}") from problem
        views[f"cam{name[1]}"] = View(K, distortion, R, square_mm * t)
    return views


def _block(lines: list[str], title: str, shape: tuple[int, int]) -> Float[np.ndarray, "rows columns"]:
    start = lines.index(title) + 1 if title in lines else len(lines)
    return entry_array([line.split() for line in lines[start : start + shape[0]]], shape, title)
