"""How well a model's expected label errors order the true ones, on target frames of recordings it was not told about.

python tests/bench/confidence_on_targets.py campaigns/ablation/models/0123456789abcdef target_view
python tests/bench/confidence_on_targets.py MODEL target_view target_shape --previous MODEL --second MODEL

Prints Spearman's rank correlation and the area under the risk-coverage curve of the fused confidence and of each of its
components: calibrated on 200 checked frames of the target, and on 400 strongly augmented source frames, no target
label at all. With the models of the round before and of a second teacher, as a round has them, how far a label moved
and how far the teachers are apart are components, too.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import torch

from semihand.ablation.config import AblationConfig
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import generate_frames
from semihand.frames.truth import open_truth
from semihand.methods.semihand.weights import read_card
from semihand.steps.calibrate import label_errors
from semihand.steps.components import EXPECTED
from semihand.steps.confidence import error_components, fit_confidence
from semihand.steps.confidence_report import confidence_report
from semihand.steps.harden import HardenConfig, harden_frames
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import split_labelled
from semihand.steps.previous import PreviousLabels
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.tables import as_numpy
from semihand.tables.rows import filter_rows

SEED, PER_RECORDING = 9000, 4
NUM_CHECKED, NUM_TESTED, NUM_SOURCE = 200, 600, 400


def frames_of(domain: str, seed: int, num: int, kind: str = "sequences") -> pa.Table:
    """Frames with truth whose hands lie inside the picture; of every third frame of short recordings."""
    config = SyntheticConfig.model_validate(
        {"domain": domain, "seed": seed, "kind": kind, "num_frames": 3 * num, "supervision": "mano"}
        | ({"sequence_length": 3 * PER_RECORDING} if kind == "sequences" else {})
    )
    step = 3 if kind == "sequences" else 1
    frames = generate_frames(config, range(0, step * num, step))
    uv = as_numpy(frames["joints_uv_px"])
    inside = ((uv >= 0) & (uv <= config.size_px - 1)).all(axis=(1, 2))
    return filter_rows(frames, inside)


class Models(NamedTuple):
    """Model folders: the one whose labels are looked at, and those that they are compared with."""

    model: Path
    previous: Path | None
    second: Path | None
    label: LabelConfig


def errors_of(models: Models, frames: pa.Table) -> pl.DataFrame:
    """The true errors of the labels, beside what the labels say of themselves."""
    lengths = Lengths({UNNAMED: np.array(read_card(models.model).template_mm)})
    before = None
    if models.previous is not None:
        labels, _ = split_labelled(FrameLabeller(models.label, models.previous, lengths, None, 1)(frames))
        before = PreviousLabels(labels)
    labeller = FrameLabeller(
        models.label, models.model, lengths, None, 2, second_teacher=models.second, previous=before
    )
    return label_errors(split_labelled(labeller(frames))[0], open_truth(frames))


def main(models: Models, domains: list[str]) -> None:
    """Print a table per domain."""
    torch.set_num_threads(1)
    hardened = harden_frames(open_truth(frames_of("source", SEED, NUM_SOURCE, "single")), HardenConfig())
    of_source = errors_of(models, hardened)
    for domain in domains:
        of_target = errors_of(models, frames_of(domain, SEED + 1, NUM_CHECKED))
        tested = errors_of(models, frames_of(domain, SEED + 2, NUM_TESTED))
        print(f"{domain}: {len(tested)} labels, mean error {tested['error_mm'].mean():.1f} mm")
        for name, known in (("checked target", of_target), ("source alone", of_source)):
            fused = fit_confidence(known, "fused")
            expected = pl.Series(EXPECTED, fused.predict(error_components(tested)).error_mm)
            report = confidence_report(tested.with_columns(expected))
            print(f"  calibrated on {len(known)} frames, {name}: reliability gap {report['reliability_gap_mm']:.1f} mm")
            for component in sorted(key.removeprefix("spearman_") for key in report if key.startswith("spearman_")):
                print(
                    f"    {component:28s} Spearman {report[f'spearman_{component}']:5.2f}, "
                    f"AURC {report[f'aurc_mm_{component}']:5.2f} mm"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("domains", nargs="+")
    parser.add_argument("--previous", type=Path, help="model of the round before")
    parser.add_argument("--second", type=Path, help="model of a second teacher")
    parser.add_argument("--row", default="all_additions", help="the row of the ablation that labels are made as in")
    asked = parser.parse_args()
    label = AblationConfig().all_plans()[asked.row].label
    main(Models(asked.model, asked.previous, asked.second, label), asked.domains)
