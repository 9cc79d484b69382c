"""Measure the subjects: bone lengths and palms from the previous round's accepted labels."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Float
from pydantic import BaseModel, Field

from semihand.frames.truth import whole_poses
from semihand.hand.bones import bone_lengths, unbiased_lengths
from semihand.hand.palm import embed_palm, mean_palm
from semihand.hand.skeleton import NUM_BONES, REFERENCE_BONE
from semihand.tables import SUBJECTS, as_numpy, rows_of

UNNAMED = ""  # the subject of frames that name none
LABEL_COLUMNS = ("subject_id", "bone_mm", "bone_square_mm2", "palm_square_mm2")  # what subjects are measured from

Lengths20 = Float[np.ndarray, " 20"]
Palm = Float[np.ndarray, "6 3"]


class SubjectConfig(BaseModel, frozen=True, extra="forbid"):
    """How far a subject's labels are believed."""

    prior_frames: int = Field(
        default=30, ge=0, description="labels that the template hand weighs as much as; higher trusts labels less"
    )
    # Noise lengthens bones by 1 to 2 mm at 5 mm a coordinate; in the product of two sets of views it cancels.
    estimator: Literal["median", "unbiased"] = Field(
        default="median",
        description="median withstands wild labels; unbiased takes noise out, but believes all labels alike",
    )


class Template(NamedTuple):
    """The hand that a subject is taken for before there are labels; the palm is a right hand's, from the wrist."""

    lengths_mm: Lengths20
    palm_mm: Palm | None = None


def template_of_frames(frames: pa.Table) -> tuple[Lengths20, Palm]:
    """The mean bone lengths of hands whose truth is open, and the palm of their mean distances, as a right hand's.

    Raises:
        ValueError: no hand has all its joints in space.
    """
    num_given, frames = frames.num_rows, whole_poses(frames)
    if not frames.num_rows:
        raise ValueError(
            f"none of {num_given} source frames has all 21 joints in joints_mm, so there is no hand to take bone "
            "lengths from; give whole hands, or a teacher"
        )
    joints_mm = as_numpy(frames["joints_mm"]).astype(np.float64)
    lengths: np.ndarray = bone_lengths(joints_mm).mean(axis=0)
    joints_mm[np.array(frames["hand"].to_pylist()) == "left", :, 0] *= -1
    return lengths, mean_palm(joints_mm)


def measure_subjects(
    labels: pl.DataFrame, template: Lengths20 | Template, round_number: int, config: SubjectConfig
) -> pa.Table:
    """SUBJECTS of a round from labels accepted in the one before.

    A length is the median over the labels, or the unbiased root of the mean square (`unbiased_lengths`), drawn
    towards the template where there are few; so is the palm, measured where the template has one. The reference bone
    keeps the template's length: one camera cannot tell a large hand from a near one.

    Args:
        labels: the `LABEL_COLUMNS` of accepted labels, in an order of their own, since sums depend on it; may be
            empty.
        template: the hand model's own lengths, or with them its palm.
        round_number: the round that will use them.
        config: the weight of the template, and the estimator.
    """
    template = template if isinstance(template, Template) else Template(template)
    hands = {UNNAMED: (template, 0)}
    for (subject,), rows in sorted(labels.group_by("subject_id", maintain_order=True), key=lambda item: str(item[0])):
        hands[UNNAMED if subject is None else str(subject)] = _drawn(_measured(rows, template, config), template,
                                                                     len(rows), config), len(rows)  # fmt: skip
    columns = {
        "subject_id": list(hands),
        "round": [round_number] * len(hands),
        "bone_mm": np.stack([hand.lengths_mm for hand, _ in hands.values()]).astype(np.float32),
        "num_frames": [num for _, num in hands.values()],
    }
    palms = [hand.palm_mm for hand, _ in hands.values() if hand.palm_mm is not None]
    if palms:
        columns["palm_mm"] = np.stack(palms).astype(np.float32)
    return rows_of(SUBJECTS, columns)


def _measured(rows: pl.DataFrame, template: Template, config: SubjectConfig) -> Template:
    """One subject's hand, its reference bone as long as the template's."""
    reference_mm = template.lengths_mm[REFERENCE_BONE]
    bones = np.stack(rows["bone_mm"].to_list()).reshape(-1, NUM_BONES)
    bones = bones[bones[:, REFERENCE_BONE] > 0]  # else the label has no size to bring to the template's
    if not len(bones):
        return template
    lengths = np.median(bones * (reference_mm / bones[:, REFERENCE_BONE, None]), axis=0)
    if config.estimator == "median" and template.palm_mm is None:
        return Template(lengths)
    unbiased = unbiased_lengths(_numbers(rows["bone_square_mm2"]))
    if not unbiased[REFERENCE_BONE] > 0:
        return template  # all is lost in noise
    factor = reference_mm / unbiased[REFERENCE_BONE]
    if config.estimator == "unbiased":
        lengths = np.where(unbiased > 0, unbiased * factor, template.lengths_mm)
    if template.palm_mm is None:
        return Template(lengths)
    square = _numbers(rows["palm_square_mm2"]).mean(0).clip(min=0) * factor**2
    return Template(lengths, embed_palm(square, template.palm_mm))


def _numbers(column: pl.Series) -> np.ndarray:
    numbers: np.ndarray = as_numpy(column.to_arrow()).astype(np.float64)
    return numbers


def _drawn(measured: Template, template: Template, num_frames: int, config: SubjectConfig) -> Template:
    """Between measurement and template, by how many labels there are."""
    share = num_frames / (num_frames + config.prior_frames)
    lengths = share * measured.lengths_mm + (1 - share) * template.lengths_mm
    if measured.palm_mm is None or template.palm_mm is None:
        return Template(lengths)
    return Template(lengths, share * measured.palm_mm + (1 - share) * template.palm_mm)


class Lengths:
    """Bone lengths and palms by subject.

    A subject that was never measured has those of the frames that name nobody, which are the template's where every
    frame names its subject.
    """

    def __init__(self, by_subject: Mapping[str, Lengths20], palms: Mapping[str, Palm] | None = None) -> None:
        self._by_subject = dict(by_subject)
        self._palms = dict(palms or {})

    @classmethod
    def of(cls, subjects: pa.Table) -> "Lengths":
        """From a SUBJECTS table."""
        rows = subjects.select(["subject_id", "bone_mm", "palm_mm"]).to_pylist()
        return cls(
            {row["subject_id"]: np.asarray(row["bone_mm"], dtype=np.float64) for row in rows},
            {row["subject_id"]: np.asarray(row["palm_mm"], dtype=np.float64) for row in rows if row["palm_mm"]},
        )

    def rows(self, subject_ids: list[str | None]) -> Float[np.ndarray, "batch 20"]:
        """The lengths for every row."""
        unnamed = self._by_subject[UNNAMED]
        found = [self._by_subject.get(subject or UNNAMED, unnamed) for subject in subject_ids]
        return np.array(found).reshape(-1, NUM_BONES)

    def palms(self, subject_ids: list[str | None]) -> Float[np.ndarray, "batch 6 3"] | None:
        """The palms for every row; None where none was measured."""
        if UNNAMED not in self._palms:
            return None
        unnamed = self._palms[UNNAMED]
        return np.array([self._palms.get(subject or UNNAMED, unnamed) for subject in subject_ids]).reshape(-1, 6, 3)
