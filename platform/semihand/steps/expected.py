"""Expected: the error that every calibration label is expected to have, by fits that have not seen it."""

import numpy as np
import polars as pl
from jaxtyping import Float

from semihand.steps.calibrate import Calibration, ConfidenceKind
from semihand.steps.components import EXPECTED, JOINT_SPREAD, LABEL_COLUMNS
from semihand.steps.confidence import FusedConfidence, error_components, fit_confidence
from semihand.steps.guarantee import GuaranteeConfig, split_recordings
from semihand.steps.recordings import folds


def fit_expected(
    errors: pl.DataFrame, kind: ConfidenceKind, guarantee: GuaranteeConfig | None
) -> tuple[Calibration | FusedConfidence, pl.DataFrame]:
    """The model that labels are told their expected error by, and what it is of the labels it was fitted to.

    Args:
        errors: from `label_errors`.
        kind: the fit.
        guarantee: leaves recordings out of the fit, to prove with.

    Returns:
        The model; the errors by frame_id with predicted_error_mm, of a recording in the fit by a fit to others.

    Raises:
        ValueError: there are too few frames to fit to.
    """
    fitted = errors if guarantee is None else split_recordings(errors, guarantee)[0]
    model = fit_confidence(fitted, kind)
    expected = fitted.with_columns(pl.Series(EXPECTED, held_out_errors_mm(fitted, kind)))
    if guarantee is not None:
        checked = split_recordings(errors, guarantee)[1]
        expected = expected.vstack(checked.with_columns(pl.Series(EXPECTED, _predicted_mm(model, checked))))
    return model, expected.sort("frame_id")


def rows_to_judge(errors: pl.DataFrame, guarantee: GuaranteeConfig | None) -> pl.DataFrame:
    """What `fit_expected` gave, as far as it tells how the model does: with a guarantee, rows that it has not seen."""
    return errors if guarantee is None else split_recordings(errors, guarantee)[1]


def held_out_errors_mm(errors: pl.DataFrame, kind: ConfidenceKind) -> Float[np.ndarray, " rows"]:
    """The error expected of every row by a fit to the other recordings, mm."""
    whole = errors.drop([name for name in LABEL_COLUMNS if name in errors.columns and errors[name].null_count()])
    part_of, predicted = folds(errors), np.empty(len(errors))
    for part in np.unique(part_of):
        inside = np.flatnonzero(part_of == part)
        model = fit_confidence(whole[np.flatnonzero(part_of != part)], kind, least_frames=1)
        predicted[inside] = _predicted_mm(model, whole[inside])
    return predicted


def _predicted_mm(model: Calibration | FusedConfidence, errors: pl.DataFrame) -> Float[np.ndarray, " rows"]:
    components = error_components(errors)
    components.pop(JOINT_SPREAD, None)
    return model.predict(components).error_mm
