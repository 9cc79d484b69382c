"""Synthetic frames: a hand made by code, posed, lit and photographed."""

from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import generate_frames

__all__ = ["SyntheticConfig", "generate_frames"]
