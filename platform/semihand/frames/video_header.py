"""What the first frame of a video says of all: how large, how turned, in what colours."""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semihand.frames.decode import check_size
from semihand.frames.errors import BadFrame
from semihand.frames.limits import Limits
from semihand.frames.streams import decode_from, open_stream

_QUARTER_TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
_EIGHT_BITS = 8


class FirstFrame(NamedTuple):
    """What the first frame says of all: upright size, turns to it, and conversions."""

    width: int
    height: int
    quarter_turns: int
    conversions: tuple[str, ...]


def look_at_first(path: Path, limits: Limits) -> FirstFrame:
    """Decode as much of a video as its first frame needs.

    Raises:
        BadFrame: video_frame_missing, unsupported_format, too_large or too_small.
    """
    first = next(decode_from(path, None, limits), None)
    if first is None:
        raise BadFrame("video_frame_missing", f"{path} holds no frame that decodes")
    frame = first.frame
    check_size(frame.width, frame.height, limits)
    with open_stream(path, limits) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
    if aspect not in (None, 0, 1):
        raise BadFrame("unsupported_format", f"{path}: pixels of shape {aspect}, not square; re-encode it")
    turns = _quarter_turns(frame)
    if turns is None:
        detail = f"{path}: turned by {frame.rotation} degrees or flipped; re-encode it"
        raise BadFrame("unsupported_format", detail)
    size = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
    return FirstFrame(*size, turns, _conversions(frame, turns))


def _conversions(frame: Any, turns: int) -> tuple[str, ...]:
    found = ["turned"] if turns else []
    components = frame.format.components
    if any(component.bits > _EIGHT_BITS for component in components):
        found.append("deep")
    if len(components) == 1 and not frame.format.has_palette:
        found.append("grey")
    return tuple(sorted(found))


def _quarter_turns(frame: Any) -> int | None:
    """Counter-clockwise turns that the display matrix asks for; None where it asks for something else."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0
    a, b, _, c, d = (number / 65536 for number in struct.unpack("=5i", bytes(matrix)[:20]))
    near = (turns for turns, turn in enumerate(_QUARTER_TURNS) if np.allclose(turn, (a, b, c, d), atol=1e-3))
    return next(near, None)
