"""How often a guarantee is given on real labels of a model, and how often it is broken.

python tests/bench/guarantee_on_targets.py campaigns/ablation/models/0123456789abcdef target_view --error_mm 15 30

Labels of 400 short target recordings, all hands inside the picture. 200 times 60 of them are drawn as the checked ones:
the expected error is fitted to some, the limit proven on the rest (`semihand.steps.guarantee`), and the promise tested
on the 340 others: "with 95 % confidence at most a tenth of the recordings have over a tenth of their selected labels
off by more than so many mm".
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch
from confidence_on_targets import SEED, Models, errors_of, frames_of

from semihand.ablation.config import AblationConfig
from semihand.steps.components import EXPECTED
from semihand.steps.confidence import error_components, fit_confidence
from semihand.steps.guarantee import GuaranteeConfig, bad_recordings, prove_limit, split_recordings

NUM_DRAWS, NUM_DRAWN, NUM_RECORDINGS, PER_RECORDING = 200, 60, 400, 4


def promises(errors: pl.DataFrame, config: GuaranteeConfig) -> tuple[int, int, int]:
    """Of the draws, how many were promised a limit, take a fifth of the other labels by it, and are broken."""
    names = errors["sequence_id"].unique().sort()
    given = useful = broken = 0
    for seed in range(NUM_DRAWS):
        drawn = names.gather(np.random.default_rng(seed).permutation(len(names))[:NUM_DRAWN].tolist()).implode()
        fitted, checked = split_recordings(errors.filter(pl.col("sequence_id").is_in(drawn)), config)
        model = fit_confidence(fitted, "fused")
        fitted, checked, others = (
            rows.with_columns(pl.Series(EXPECTED, model.predict(error_components(rows)).error_mm))
            for rows in (fitted, checked, errors.filter(~pl.col("sequence_id").is_in(drawn)))
        )
        try:
            limit = prove_limit(fitted, checked, config).max_predicted_error_mm
        except ValueError:
            continue
        given += 1
        useful += (others[EXPECTED] <= limit).mean() >= 0.2
        broken += bad_recordings(others, limit, config)["bad"].mean() > config.alpha
    return given, useful, broken


def main(models: Models, domain: str, limits_mm: list[float]) -> None:
    """Print a line for every error that counts as off."""
    torch.set_num_threads(1)
    errors = errors_of(models, frames_of(domain, SEED + 3, NUM_RECORDINGS * PER_RECORDING))
    print(f"{domain}: {len(errors)} labels, mean error {errors['error_mm'].mean():.1f} mm")
    for error_mm in limits_mm:
        off = (errors["error_mm"] > error_mm).mean()
        given, useful, broken = promises(errors, GuaranteeConfig(error_mm=error_mm))
        print(
            f"  off by more than {error_mm:g} mm: {off:.0%} of all labels; of {NUM_DRAWS} draws {given} were promised "
            f"a limit, {useful} of them with a fifth of the labels or more, {broken} broken"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("domain")
    parser.add_argument("--error_mm", type=float, nargs="+", default=[15.0, 30.0])
    parser.add_argument("--row", default="all_additions", help="the row of the ablation that labels are made as in")
    asked = parser.parse_args()
    label = AblationConfig().all_plans()[asked.row].label
    main(Models(asked.model, None, None, label), asked.domain, asked.error_mm)
