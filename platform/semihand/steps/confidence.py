"""Confidence: several components of a label fused into the error expected of it, monotone in every one of them."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from pydantic import BaseModel, TypeAdapter
from scipy.optimize import nnls
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from semihand.hand.skeleton import NUM_JOINTS
from semihand.steps.calibrate import LEAST_FRAMES, Calibration, ConfidenceKind, check_enough, fit_calibration
from semihand.steps.components import (
    DIRECTIONS,
    JOINT_SPREAD,
    LABEL_COLUMNS,
    Components,
    Predicted,
    components_of,
)
from semihand.steps.recordings import folds

_NUM_PIECES = 16  # of a component's curve
_RIDGE = 3.0  # shrinks the curves; 200 rows then do as well as 1,000 within 0.01 of rank correlation
_LEAST_ERROR_MM = 1e-3


class FusedConfidence(BaseModel, frozen=True, extra="forbid"):
    """The rows of a calibration set, and the fit to them, made anew wherever they are opened.

    The logarithm of the error is the mean of two monotone fits: a sum of one line per component (continuous, so
    that there are no ties) and small gradient-boosted trees (what the sum misses). Components as in C-GAC's and
    SemiHand's gates; constant beyond what the calibration set holds.
    """

    components: dict[str, list[float]]
    error_mm: list[float]
    held_out_mm: list[float]  # expected of every row by a fit to other recordings
    joint_spread: list[list[float]] | None
    joint_error_mm: list[list[float]]

    def predict(self, components: Components) -> Predicted:
        """The errors expected of labels with these components, row for row.

        A number that a row lacks (NaN) counts as the worst in the calibration set.

        Raises:
            ValueError: a component that the fit goes by is not among them.
        """
        missing = sorted(set(self.components) - set(components))
        if missing:
            raise ValueError(
                f"labels have no {', '.join(missing)}, which the confidence was fitted to; label them as the "
                "calibration set was labelled, or calibrate again"
            )
        error_mm = self._fit.error_mm(_signed(components, list(self.components)))
        if JOINT_SPREAD not in components or self._joint_fit is None:
            return Predicted(error_mm, None)
        return Predicted(error_mm, self._joint_fit.error_mm(components[JOINT_SPREAD], error_mm))

    @cached_property
    def _scale(self) -> float:
        return float(np.mean(self.error_mm) / np.mean(self.held_out_mm))

    @cached_property
    def _fit(self) -> "_FrameFit":
        given = {name: np.array(values) for name, values in self.components.items()}
        return _fit_frames(_signed(given, list(given)), np.array(self.error_mm), self._scale)

    @cached_property
    def _joint_fit(self) -> "_JointFit | None":
        if self.joint_spread is None:
            return None
        frame_mm = np.array(self.held_out_mm) * self._scale
        return _fit_joints(np.array(self.joint_spread), frame_mm, np.array(self.joint_error_mm))


def fit_confidence(
    errors: pl.DataFrame, kind: ConfidenceKind, least_frames: int = LEAST_FRAMES
) -> Calibration | FusedConfidence:
    """What the components of labels mean in millimetres.

    Args:
        errors: from `label_errors`, of held-out source frames or of checked frames alike.
        kind: "isotonic" goes by the stability alone, "fused" by every component that all rows have.
        least_frames: the fewest rows to fit to; a part of a set that is large enough may be smaller.

    Raises:
        ValueError: there are too few frames to fit to.
    """
    check_enough(len(errors), least_frames)
    if kind == "isotonic":
        return fit_calibration(errors)
    errors = errors.sort("frame_id")
    components = error_components(errors, complete=True)
    spread = components.pop(JOINT_SPREAD, None)
    known = {name: components[name] for name in DIRECTIONS if name in components}
    held_out_mm = cross_fitted(_signed(known, list(known)), errors["error_mm"].to_numpy(), folds(errors))
    return FusedConfidence(
        components={name: values.tolist() for name, values in known.items()},
        error_mm=errors["error_mm"].to_list(),
        held_out_mm=held_out_mm.tolist(),
        joint_spread=None if spread is None else spread.tolist(),
        joint_error_mm=errors["joint_error_mm"].to_numpy().astype(np.float64).tolist(),
    )


def read_confidence(text: str) -> Calibration | FusedConfidence:
    """The model that `model_dump_json` of either kind wrote."""
    kinds: TypeAdapter[Calibration | FusedConfidence] = TypeAdapter(Calibration | FusedConfidence)
    return kinds.validate_json(text)


def error_components(errors: pl.DataFrame, complete: bool = False) -> dict[str, np.ndarray]:
    """The components of `label_errors`' rows.

    Args:
        errors: from `label_errors`.
        complete: leave out components that any row lacks, as a fit does; else those that all rows lack.
    """
    most = 0 if complete else max(len(errors) - 1, 0)
    known = [name for name in LABEL_COLUMNS if name in errors.columns and errors[name].null_count() <= most]
    whole = [name for name in known if name != "joint_confidence" or not errors[name].null_count()]
    return components_of({name: errors[name].to_numpy() for name in whole})


def cross_fitted(
    signed: Float[np.ndarray, "rows components"], error_mm: Float[np.ndarray, " rows"], fold: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Every row's expected error by a fit to the other folds, mm."""
    predicted = np.empty(len(error_mm))
    for part in np.unique(fold):
        inside = fold == part
        predicted[inside] = _fit_frames(signed[~inside], error_mm[~inside], 1.0).error_mm(signed[inside])
    return predicted


class _Curve(NamedTuple):
    """A line between knots that never falls."""

    knots: Float[np.ndarray, " knots"]
    heights: Float[np.ndarray, " knots"]


class _FrameFit(NamedTuple):
    base: float
    curves: list[_Curve]
    trees: HistGradientBoostingRegressor
    worst: Float[np.ndarray, " components"]
    scale: float  # what the mean of a logarithm loses

    def error_mm(self, signed: Float[np.ndarray, "rows components"]) -> Float[np.ndarray, " rows"]:
        if not len(signed):
            return np.empty(0)
        known = np.where(np.isnan(signed), self.worst, signed)
        total = np.full(len(known), self.base)
        for curve, values in zip(self.curves, known.T, strict=True):
            total += np.interp(values, curve.knots, curve.heights)
        result: np.ndarray = np.exp((total + self.trees.predict(known)) / 2) * self.scale
        return result


class _JointFit(NamedTuple):
    trees: HistGradientBoostingRegressor
    scale: float

    def error_mm(
        self, spread: Float[np.ndarray, "rows 21"], frame_mm: Float[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows 21"]:
        if not len(spread):
            return np.empty((0, NUM_JOINTS))
        result: np.ndarray = np.exp(self.trees.predict(_joint_rows(spread, frame_mm))) * self.scale
        return result.reshape(-1, NUM_JOINTS)


def _signed(components: Components, names: Sequence[str]) -> Float[np.ndarray, "rows components"]:
    """The components side by side, turned so that higher is worse."""
    return np.stack([DIRECTIONS[name] * components[name].astype(np.float64) for name in names], axis=-1)


def _fit_frames(
    signed: Float[np.ndarray, "rows components"], error_mm: Float[np.ndarray, " rows"], scale: float
) -> _FrameFit:
    target = np.log(error_mm.clip(_LEAST_ERROR_MM))
    with threadpool_limits(1):  # sums in one order, whatever the machine
        base, curves = _fit_curves(signed, target)
        trees = _trees([1] * signed.shape[1]).fit(signed, target)
    return _FrameFit(base, curves, trees, signed.max(axis=0), scale)


def _fit_curves(
    signed: Float[np.ndarray, "rows components"], target: Float[np.ndarray, " rows"]
) -> tuple[float, list[_Curve]]:
    """An additive monotone fit: rises between quantiles of every component, by ridge least squares, none negative."""
    knots = [np.unique(np.quantile(values, np.linspace(0, 1, _NUM_PIECES + 1))) for values in signed.T]
    rises = np.concatenate([_rises(values, knot) for values, knot in zip(signed.T, knots, strict=True)], axis=1)
    centre, mean = rises.mean(axis=0), target.mean()
    ridge = np.sqrt(_RIDGE) * np.eye(rises.shape[1])
    weights = np.empty(0)
    if len(ridge):  # else every component is constant, and nnls of no columns ends the process
        weights, _ = nnls(np.concatenate([rises - centre, ridge]), np.append(target - mean, np.zeros(len(ridge))))
    ends = np.cumsum([len(knot) - 1 for knot in knots])[:-1]
    heights = [np.append(0.0, np.cumsum(part)) for part in np.split(weights, ends)]
    curves = [_Curve(knot, height) for knot, height in zip(knots, heights, strict=True)]
    return float(mean - (centre * weights).sum()), curves


def _rises(values: Float[np.ndarray, " rows"], knots: Float[np.ndarray, " knots"]) -> Float[np.ndarray, "rows pieces"]:
    """How far a value has come through every piece, 0..1."""
    passed: np.ndarray = ((values[:, None] - knots[:-1]) / np.diff(knots)).clip(0, 1)
    return passed


def _fit_joints(
    spread: Float[np.ndarray, "rows 21"], frame_mm: Float[np.ndarray, " rows"], error_mm: Float[np.ndarray, "rows 21"]
) -> _JointFit:
    """Joint error by the joint's spread and by its frame's expected error, rising with both; one level per joint."""
    rows, true_mm = _joint_rows(spread, frame_mm), error_mm.reshape(-1)
    with threadpool_limits(1):
        trees = _trees([1, 1, 0], categories=[2]).fit(rows, np.log(true_mm.clip(_LEAST_ERROR_MM)))
        fitted = np.exp(trees.predict(rows))
    return _JointFit(trees, float(true_mm.mean() / fitted.mean()))


def _joint_rows(
    spread: Float[np.ndarray, "rows 21"], frame_mm: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, "joints 3"]:
    joints = np.tile(np.arange(NUM_JOINTS), len(spread))
    return np.stack([spread.reshape(-1), np.repeat(frame_mm, NUM_JOINTS), joints], axis=-1)


def _trees(monotone: list[int], categories: list[int] | None = None) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        monotonic_cst=monotone, categorical_features=categories, max_leaf_nodes=4, min_samples_leaf=20,
        learning_rate=0.05, max_iter=150, l2_regularization=5.0, early_stopping=False, random_state=0,
    )  # fmt: skip
