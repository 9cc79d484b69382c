"""Labels as parameters of a hand model, with how far the model's joints are from them, by label and by subject.

`mano.parquet`: frame_id, round, labeller, subject_id, hand, and as in LABELS mano_pose, mano_shape,
mano_translation_mm, with residual_mm (mean distance of the fit's joints from label_mm), joints_mm of the fit, and
in_camera_frame: where it is false nobody knows the hand's place in space, and translation and joints are off by one.
`subjects.parquet`: a row per subject and hand: num_labels, mano_shape, mean, median and greatest residual_mm.
Where no licensed model was given the parameters are of the hand made by code, which then lies beside them as
`hand_model_right.npz` and `_left.npz` in MANO's layout: they mean nothing in any other model.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from semihand.exports.forms import Form
from semihand.exports.samples import Sample
from semihand.hand.mano import HandModel, Side, write_hand_model

_SUBJECT = ["subject_id", "hand"]


class Fits(Form):
    """Tables of fitted parameters."""

    name = "mano"
    needs_fit = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows: list[dict[str, object]] = []

    def write(self, sample: Sample) -> str:
        assert sample.fit is not None
        about = {name: sample.about[name] for name in ("frame_id", "round", "labeller", *_SUBJECT)}
        fit = {f"mano_{name}": getattr(sample.fit, name).tolist() for name in ("pose", "shape", "translation_mm")}
        more = {"residual_mm": float(sample.fit.residual_mm), "joints_mm": sample.fit.joints_mm.tolist(),
                "in_camera_frame": sample.is_placed}  # fmt: skip
        self._rows.append(about | fit | more)
        return f"mano.parquet#{self.num}"

    def finish(self) -> None:
        shapes: dict[str, int | tuple[int, ...]] = {
            "mano_pose": 48,
            "mano_shape": 10,
            "mano_translation_mm": 3,
            "joints_mm": (21, 3),
        }
        kinds = {name: pl.Array(pl.Float64, shape) for name, shape in shapes.items()}
        texts = {"frame_id": pl.String, "round": pl.Int32, "labeller": pl.String, "subject_id": pl.String,
                 "hand": pl.String}  # fmt: skip
        order = [
            "frame_id",
            "round",
            "labeller",
            *_SUBJECT,
            *list(shapes)[:3],
            "residual_mm",
            "joints_mm",
            "in_camera_frame",
        ]
        plain = {"residual_mm": pl.Float64, "in_camera_frame": pl.Boolean}
        schema = {name: (texts | kinds | plain)[name] for name in order}
        table = pl.DataFrame(self._rows, schema=schema)
        table.write_parquet(self.folder / "mano.parquet")
        by_subject(table).write_parquet(self.folder / "subjects.parquet")


def by_subject(fits: pl.DataFrame) -> pl.DataFrame:
    """How many labels of each subject's hands were fitted, and how well; the worst mean first."""
    off = pl.col("residual_mm")
    return (
        fits.group_by(*_SUBJECT)
        .agg(
            pl.len().alias("num_labels"), pl.col("mano_shape").first(), off.mean().alias("mean_residual_mm"),
            off.median().alias("median_residual_mm"), off.max().alias("max_residual_mm"),
        )
        .sort("mean_residual_mm", "subject_id", "hand", descending=[True, False, False])
    )  # fmt: skip


def write_models(folder: Path, models: Mapping[Side, HandModel]) -> None:
    """The models whose parameters were fitted, by side."""
    for side, model in models.items():
        write_hand_model(model, folder / f"hand_model_{side}.npz")
