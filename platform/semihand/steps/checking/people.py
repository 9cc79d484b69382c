"""People: do the bones of one subject have one length."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from semihand.hand.bones import bone_lengths
from semihand.hand.skeleton import MIDDLE_MCP
from semihand.steps.checking.findings import Finding, Teller
from semihand.words import counted

_LEAST_FRAMES = 5
# Fits of a hand model spread by 1 to 3 %, frame-wise trackers by 5; hands of two people under one name by over 10.
_MOST_SPREAD = 0.1


class People(NamedTuple):
    """Bone lengths by subject: subject_id, frames, palm_mm, spread (standard deviation over mean, mean of bones)."""

    table: list[dict[str, Any]]
    findings: list[Finding]


def find_people(teller: Teller, joints_mm: Float[np.ndarray, "rows 21 3"]) -> People:
    """Bone-length spread per subject, widest first, of whole poses.

    Args:
        teller: with the set's rows.
        joints_mm: joints in our order and millimetres.
    """
    lengths_mm = bone_lengths(joints_mm)
    subjects = np.array([subject or "" for subject in teller.table["subject_id"].to_pylist()], dtype=object)
    whole = np.isfinite(lengths_mm).all(-1) & (subjects != "")
    columns = {f"bone_{bone}": lengths_mm[whole, bone] for bone in range(lengths_mm.shape[1])}
    rows = pl.DataFrame({"subject_id": subjects[whole].astype(str), **columns})
    bones = pl.col("^bone_.*$")
    means = rows.group_by("subject_id").agg(pl.len().alias("frames"), bones.mean()).sort("subject_id")
    spreads = rows.group_by("subject_id").agg(bones.std(ddof=0)).sort("subject_id")
    mean_mm, deviation_mm = (each.select(bones).to_numpy() for each in (means, spreads))
    spread = (deviation_mm / np.maximum(mean_mm, 1e-9)).mean(1) if len(means) else np.empty(0)
    table = means.select("subject_id", "frames").with_columns(
        palm_mm=pl.Series(mean_mm[:, MIDDLE_MCP - 1]), spread=pl.Series(spread)
    )
    wide = table.filter((pl.col("spread") > _MOST_SPREAD) & (pl.col("frames") >= _LEAST_FRAMES))
    return People(table.sort("spread", "subject_id", descending=[True, False]).to_dicts(), _wide(teller, wide, whole))


def _wide(teller: Teller, wide: pl.DataFrame, whole: np.ndarray) -> list[Finding]:
    if wide.is_empty():
        return []
    names: set[str] = set(wide["subject_id"].to_list())
    of_them = whole & np.array([name in names for name in teller.table["subject_id"].to_pylist()], bool)
    shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
    words = (f"bones of {counted(len(names), 'subject')} ({shown}) spread by up to {max(wide['spread'].to_list()):.0%}",
             "look whether several people stand under one subject_id, or the joints are noisy")  # fmt: skip
    return teller.tell("warning", "bone_spread", of_them, words, int(whole.sum()))
