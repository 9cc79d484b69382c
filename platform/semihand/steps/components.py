"""Components of a label's confidence: what it says of itself, before anything says what that means in mm."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

# Spreads are taken back from the joints' confidences, in px of a 64 px crop: LABELS' own are in px of the picture,
# and a calibration set may have larger pictures than the pool.
SPREAD, JOINT_SPREAD = "spread", "joint_spread"
EXPECTED = "predicted_error_mm"  # what the components say of a label, once they are fitted
# +1 where a higher number means a worse label, -1 where it means a better one.
DIRECTIONS: dict[str, int] = {
    "stability": 1,
    "feasibility_mm": 1,
    "mask_agreement": -1,
    "silhouette_overlap": -1,
    "teacher_divergence_mm": 1,
    "moved_since_last_round_mm": 1,
    SPREAD: 1,
}
LABEL_COLUMNS = (*(name for name in DIRECTIONS if name != SPREAD), "joint_confidence")

Components = Mapping[str, np.ndarray]


class Predicted(NamedTuple):
    """The errors expected of labels, mm."""

    error_mm: Float[np.ndarray, " batch"]
    joint_error_mm: Float[np.ndarray, "batch 21"] | None


@runtime_checkable
class ErrorModel(Protocol):
    """What a calibration set taught: components in, millimetres out, row for row."""

    def predict(self, components: Components) -> Predicted:
        """The errors expected of labels with these components, as `components_of` gives them."""


def components_of(columns: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    """The components among the columns of labels.

    Numbers are rounded to float32, so that labels just made and labels read back from LABELS say the same.

    Args:
        columns: LABELS columns as arrays, a row each; None or left out where they are not known, NaN or masked
            where a row lacks the number.

    Returns:
        The known ones of `DIRECTIONS`, and the spread of every joint.
    """
    found = {name: values for name, values in columns.items() if name in DIRECTIONS and values is not None}
    confidence = columns.get("joint_confidence")
    if confidence is not None:
        certain = confidence.astype(np.float32).astype(np.float64).clip(1e-9, 1)
        found[JOINT_SPREAD] = np.sqrt(1 / certain - 1)
        found[SPREAD] = found[JOINT_SPREAD].mean(axis=-1)
    return {name: np.ma.filled(values.astype(np.float32).astype(np.float64), np.nan) for name, values in found.items()}
