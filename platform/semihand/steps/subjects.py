"""Measure the subjects: bone lengths from the previous round's accepted labels."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Float
from pydantic import BaseModel, Field

from semihand.hand.skeleton import NUM_BONES, REFERENCE_BONE
from semihand.tables import SUBJECTS, fixed_list_column

UNNAMED = ""  # the subject of frames that name none


class SubjectConfig(BaseModel, frozen=True, extra="forbid"):
    """How far a subject's labels are believed."""

    prior_frames: Annotated[int, Field(ge=0)] = 30  # the template weighs as much as this many labels


def measure_subjects(
    labels: pl.DataFrame, template_mm: Float[np.ndarray, " 20"], round_number: int, config: SubjectConfig
) -> pa.Table:
    """SUBJECTS of a round from labels accepted in the one before.

    A length is the median over the labels, drawn towards the template where there are few. The reference bone
    keeps the template's length: one camera cannot tell a large hand from a near one.

    Args:
        labels: subject_id and bone_mm (20) of accepted labels; may be empty.
        template_mm: the hand model's own lengths.
        round_number: the round that will use them.
        config: the weight of the template.
    """
    subjects, lengths, counts = [UNNAMED], [template_mm], [0]
    for (subject,), rows in sorted(labels.group_by("subject_id"), key=lambda item: str(item[0])):
        bones = np.stack(rows["bone_mm"].to_list()).reshape(-1, NUM_BONES)
        measured = np.median(bones * (template_mm[REFERENCE_BONE] / bones[:, REFERENCE_BONE, None]), axis=0)
        share = len(bones) / (len(bones) + config.prior_frames)
        if subject is None:
            lengths[0], counts[0] = share * measured + (1 - share) * template_mm, len(bones)
            continue
        subjects.append(str(subject))
        lengths.append(share * measured + (1 - share) * template_mm)
        counts.append(len(bones))
    columns = [
        pa.array(subjects, pa.string()),
        pa.array([round_number] * len(subjects), pa.int32()),
        fixed_list_column(np.stack(lengths).astype(np.float32)),
        pa.array(counts, pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=SUBJECTS)


class Lengths:
    """Bone lengths by subject; a subject that was never measured has the template's."""

    def __init__(self, by_subject: Mapping[str, Float[np.ndarray, " 20"]]) -> None:
        self._by_subject = dict(by_subject)

    @classmethod
    def of(cls, subjects: pa.Table) -> "Lengths":
        """From a SUBJECTS table."""
        return cls(
            {
                row["subject_id"]: np.asarray(row["bone_mm"], dtype=np.float64)
                for row in subjects.select(["subject_id", "bone_mm"]).to_pylist()
            }
        )

    def rows(self, subject_ids: list[str | None]) -> Float[np.ndarray, "batch 20"]:
        """The lengths for every row."""
        unnamed = self._by_subject[UNNAMED]
        found = [self._by_subject.get(subject or UNNAMED, unnamed) for subject in subject_ids]
        return np.array(found).reshape(-1, NUM_BONES)
