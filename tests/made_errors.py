"""Labels whose error is known, made up: every component tells a part of it."""

import hashlib

import numpy as np
import polars as pl


def made_errors(num: int, seed: int, per_sequence: int = 1) -> pl.DataFrame:
    """Rows as `label_errors` gives them; two hidden difficulties, seen by different components, make the error.

    Args:
        num: rows.
        seed: of everything but the ids.
        per_sequence: rows of one recording, which share half of their difficulty.
    """
    rng = np.random.default_rng(seed)
    sequence = np.arange(num) // per_sequence
    shared, own = rng.gamma(1.0, 1.0, (2, sequence.max() + 1)), rng.gamma(1.0, 1.0, (2, num))
    blurred, hidden = shared[:, sequence] + own
    error_mm = (4 + 2 * blurred + 2 * hidden) * rng.lognormal(0, 0.25, num)
    spread = (0.3 * (1 + blurred) * rng.lognormal(0, 0.4, num))[:, None] * rng.lognormal(0, 0.5, (num, 21))
    joint_error_mm = error_mm[:, None] * (0.4 + spread / spread.mean(axis=1, keepdims=True)) / 1.4
    joint_error_mm *= rng.lognormal(0, 0.3, (num, 21))
    columns = {
        "stability": blurred**2 * rng.lognormal(0, 0.6, num),
        "feasibility_mm": (blurred + hidden) * rng.lognormal(0, 0.5, num),
        "mask_agreement": (0.95 - 0.05 * hidden + rng.normal(0, 0.03, num)).clip(0, 1),
        "teacher_divergence_mm": (hidden + 0.3 * blurred) * rng.lognormal(0, 0.5, num),
    }
    return pl.DataFrame(
        {
            "frame_id": [hashlib.sha256(f"frame {row}".encode()).hexdigest()[:32] for row in range(num)],
            "subject_id": [f"s{each % 7}" for each in sequence],
            **{name: values.astype(np.float32) for name, values in columns.items()},
            "moved_since_last_round_mm": pl.Series([None] * num, dtype=pl.Float32),
            "joint_confidence": pl.Series((1 / (1 + spread**2)).astype(np.float32), dtype=pl.Array(pl.Float32, 21)),
            "error_mm": error_mm,
            "joint_error_mm": pl.Series(joint_error_mm.astype(np.float32), dtype=pl.Array(pl.Float32, 21)),
            "sequence_id": [f"recording-{each}" for each in sequence],
        }
    )
