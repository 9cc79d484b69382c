"""Curves: which share of joints or frames stays below a threshold, and the areas benchmarks report."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Errors = Float[np.ndarray, "*batch num_joints"]
Thresholds = Float[np.ndarray, " num_thresholds"]


@dataclass(frozen=True)
class AucConvention:
    """Thresholds of an AUC: `num` from `lo` to `hi` mm, evenly spaced, of which `keep` are used."""

    lo: float
    hi: float
    num: int
    keep: slice | None
    note: str


AUC_CONVENTIONS: dict[str, AucConvention] = {
    "stb": AucConvention(
        0.0, 50.0, 20, slice(8, 20), '"20-50": 21.05 to 50 mm; SemiHand: root middle MCP, scale known'
    ),
    "stb_0_50": AucConvention(0.0, 50.0, 20, None, "hand3d: root 0, scale known"),
    "rhd": AucConvention(0.0, 50.0, 20, None, "hand3d: root 0, scale known"),
    "rhd_20_50": AucConvention(0.0, 50.0, 20, slice(8, 20), '"20-50": 21.05 to 50 mm; root middle MCP, scale known'),
    "do": AucConvention(0.0, 100.0, 20, None, "Dexter+Object: centre and spread of the tips known"),
    "freihand": AucConvention(0.0, 50.0, 100, None, "after procrustes_aligned(allow_reflection=True)"),
    "ho3d": AucConvention(0.0, 50.0, 100, None, "FreiHAND's script: root wrist, or after procrustes_aligned"),
    "default": AucConvention(0.0, 50.0, 20, None, "root middle MCP, scale known"),
}


def pck(errors: Errors, thresholds: Thresholds) -> Thresholds:
    """Share of joints with an error up to each threshold, per joint over frames, then the mean over joints.

    Root, scale and alignment: those of `errors`; NaN errors are left out. For PCK@0.05 of a picture or box,
    give errors divided by its side and thresholds as fractions.

    Raises:
        ValueError: no error is finite.
    """
    shares = [
        np.searchsorted(np.sort(column), thresholds, side="right") / column.size for column in errors_by_joint(errors)
    ]
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean


def auc(errors: Errors, lo: float, hi: float, n: int, keep: slice | None = None) -> float:
    """Area under `pck` by the trapezoid rule over n evenly spaced thresholds, divided by their range: 0 to 1.

    Args:
        errors: as in `pck`, in the unit of lo and hi.
        lo: first threshold.
        hi: last threshold.
        n: number of thresholds from lo to hi, both included.
        keep: which of them to use; STB's "20-50" keeps 8 to 19 of 20.

    Raises:
        ValueError: fewer than two thresholds are kept, hi is not above lo, or no error is finite.
    """
    thresholds = np.linspace(lo, hi, n)[keep or slice(None)]
    if thresholds.size < 2 or not hi > lo:
        raise ValueError(f"thresholds {lo} to {hi}, n={n}, keep={keep} leave {thresholds.size}; need 2 and hi > lo")
    return float(np.trapezoid(pck(errors, thresholds), thresholds) / (thresholds[-1] - thresholds[0]))


def auc_by_convention(errors_mm: Errors, convention: str) -> float:
    """`auc` with the thresholds of a benchmark; root, scale and alignment as the convention's note says.

    Raises:
        ValueError: the convention is unknown.
    """
    if convention not in AUC_CONVENTIONS:
        raise ValueError(f"AUC convention {convention!r} is unknown; known are {', '.join(sorted(AUC_CONVENTIONS))}")
    how = AUC_CONVENTIONS[convention]
    return auc(errors_mm, how.lo, how.hi, how.num, how.keep)


def max_error_fraction(errors: Errors, thresholds: Thresholds) -> Thresholds:
    """Share of frames whose worst joint is below each threshold (NYU protocol). Absolute, no alignment.

    Raises:
        ValueError: a frame has no finite error.
    """
    worst = np.max(np.where(np.isnan(errors), -np.inf, errors), axis=-1)
    if not np.isfinite(worst).all():
        raise ValueError(f"{(~np.isfinite(worst)).sum()} frames have no finite joint error; leave them out knowingly")
    share: np.ndarray = np.searchsorted(np.sort(worst, axis=None), thresholds, side="left") / worst.size
    return share


def valid_errors(errors: Errors) -> Float[np.ndarray, " num_valid"]:
    """The errors that are not NaN, flat.

    Raises:
        ValueError: there is none.
    """
    finite: np.ndarray = errors[~np.isnan(errors)]
    if not finite.size:
        raise ValueError(f"errors of shape {errors.shape} hold no valid joint; check valid and the supervision column")
    return finite


def errors_by_joint(errors: Errors) -> list[np.ndarray]:
    """The valid errors of every joint that has any, over all frames.

    Raises:
        ValueError: no joint has any.
    """
    valid_errors(errors)
    columns = (column[~np.isnan(column)] for column in errors.reshape(-1, errors.shape[-1]).T)
    return [column for column in columns if column.size]
