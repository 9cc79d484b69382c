"""What a form of export is: a folder that samples are added to, and a list of what it holds and what it cannot."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from semihand.exports.samples import Sample

SAMPLES = "samples.jsonl"


class Form(ABC):
    """A folder of samples in the form that some tools read.

    Beside what the form has room for lies `samples.jsonl`: for every sample where it stands and what it is (frame,
    subject, hand, round, model, confidence, expected error, weights), so that nothing of a label is lost.

    Attributes:
        name: of the form and of its folder.
        needs_fit: whether samples must come with a fitted hand model.
        left_out: how many samples the form has no room for, by reason.
        num: how many it holds.
    """

    name: ClassVar[str]
    needs_fit: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        """Begin a folder that does not exist yet."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.num = 0
        self.left_out: Counter[str] = Counter()
        self._list = (folder / SAMPLES).open("w")

    def add(self, sample: Sample) -> None:
        """Write a sample, or count why the form has no room for it."""
        reason = self.refused(sample)
        if reason is not None:
            self.left_out[reason] += 1
            return
        where = self.write(sample)
        about = {"sample": where, **sample.about, **sample.per_joint}
        self._list.write(json.dumps(about, allow_nan=False) + "\n")
        self.num += 1

    def close(self) -> None:
        """Write what needs to know of all samples."""
        self._list.close()
        self.finish()

    def refused(self, sample: Sample) -> str | None:
        """Why the form has no room for a sample; None where it has."""
        return None

    @abstractmethod
    def write(self, sample: Sample) -> str:
        """Write a sample; `num` is its number. Returns where it stands."""

    def finish(self) -> None:  # noqa: B027  most forms have nothing left to write
        """Write what is left once all samples are there."""


def no_place_in_a_pinhole(sample: Sample) -> str | None:
    """Why a form of joints in space before a pinhole camera has no room for a sample; None where it has."""
    if not sample.is_placed:
        return "its place in space is not known (was its camera measured? see docs/labels_out.md)"
    if sample.K is None:
        return "its camera is not known"
    return None if sample.distortion is None else "its lens is distorted, which the form cannot say"


def write_picture(path: Path, data: bytes) -> None:
    """Write a picture's bytes, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_json(path: Path, content: Any) -> None:
    """Write numbers as they are; NaN and infinity, which JSON has not, are our own slip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, allow_nan=False))
