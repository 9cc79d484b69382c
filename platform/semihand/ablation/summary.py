"""What the finished rows amount to: means, spreads, the gap they close, what an addition gains."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from semihand.ablation.plans import Cell, Plan
from semihand.ablation.results import ResultFolder

FIRST, BEST, ALL = "source_only", "ceiling", "all_additions"
# The figures of the table: those of the student on unseen frames, then those of its last labels.
FIGURES = (
    *("epe_mm", "gap_closed", "uv_px", "auc_20_50", "pa_epe_mm"),
    *("raw_label_mm", "corrected_label_mm", "label_mm", "selected_label_mm", "acceptance", "expected_spearman"),
)


def summarise(
    results: ResultFolder, figures: pl.DataFrame, plans: Mapping[str, Plan], bases: Mapping[str, str]
) -> dict[str, Any]:
    """Every finished row by name: means over domains and seeds, the gap it closes, an addition's paired gain.

    Args:
        results: where the frames' errors are kept.
        figures: of `ResultFolder.read`.
        plans: the rows, in the table's order.
        bases: the row that each addition is compared with.

    Returns:
        `rows`, `domains` with their shifts, and how many results each commit of the code made (`commits`) and began
        with each pre-trained model (`starts`).
    """
    figures = _with_gap_closed(figures)
    rows = [_row(name, plan, figures.filter(row=name)) for name, plan in plans.items() if name in set(figures["row"])]
    for row in rows:
        if row["name"] in bases:
            row |= _gains(row["name"], bases[row["name"]], results, figures)
            row["in_all_additions"] = plans[ALL].takes_in(plans[row["name"]], plans[row["compared_with"]])
    domains = {domain: _domain(figures.filter(domain=domain)) for domain in figures["domain"].unique().sort()}
    return {
        "rows": rows,
        "domains": domains,
        "commits": _counts(figures["commit"]),
        "starts": _counts(figures["start"]),
    }


def _counts(names: pl.Series) -> dict[str, int]:
    return dict(names.fill_null("unknown").value_counts(sort=True).iter_rows())


def _with_gap_closed(figures: pl.DataFrame) -> pl.DataFrame:
    """(source only − row) / (source only − ceiling) of every run on whose domain and seed both have been run."""
    for name in (FIRST, BEST):
        ends = figures.filter(row=name).select("domain", "seed", pl.col("epe_mm").alias(name))
        figures = figures.join(ends, on=["domain", "seed"], how="left", maintain_order="left")
    closed = (pl.col(FIRST) - pl.col("epe_mm")) / (pl.col(FIRST) - pl.col(BEST))
    return figures.with_columns(gap_closed=pl.when(closed.is_finite()).then(closed))


def _row(name: str, plan: Plan, ours: pl.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "about": plan.about, "kind": plan.kind, "num_runs": len(ours)}
    for figure in (*FIGURES, "seconds"):
        if figure in ours.columns:
            row |= {figure: _mean(ours, figure), f"{figure}_spread": _spread(ours, figure)}
    row["epe_mm_by_domain"] = {
        domain: _mean(ours.filter(domain=domain), "epe_mm") for domain in ours["domain"].unique().sort()
    }
    row["runs"] = ours.drop("row", FIRST, BEST).sort("domain", "seed").to_dicts()
    return row


def _mean(rows: pl.DataFrame, column: str) -> float | None:
    values = rows[column].drop_nulls().to_numpy()
    return float(values.mean()) if len(values) else None


def _spread(rows: pl.DataFrame, column: str) -> float | None:
    """Standard deviation, over the seeds that have all of the row's domains, of the mean over domains."""
    by_seed = rows.drop_nulls(column).group_by("seed").agg(pl.col(column).mean(), pl.len().alias("num"))
    whole = by_seed.filter(num=rows["domain"].n_unique()).sort("seed")[column].to_numpy()
    return float(whole.std(ddof=1)) if len(whole) > 1 else None


def _gains(name: str, base: str, results: ResultFolder, figures: pl.DataFrame) -> dict[str, Any]:
    gains = {}
    for domain in figures.filter(row=name)["domain"].unique().sort():
        gain = paired_gain(results, figures, (name, base), domain)
        if gain is not None:
            noise = training_noise_mm(figures, domain)
            scatter = None if noise is None else noise * np.sqrt(2 / gain["num_seeds"])
            gains[domain] = gain | {"training_noise_mm": scatter}
    clear = [domain for domain, gain in gains.items() if gain["mean_mm"] > 2 * gain["standard_error_mm"]]
    return {"compared_with": base, "gain": gains, "on_by_default": len(clear) >= 2}


def paired_gain(
    results: ResultFolder, figures: pl.DataFrame, pair: tuple[str, str], domain: str
) -> dict[str, Any] | None:
    """How much lower a row's error is than its base's on the same frames, and the standard error of that mean.

    The error is over frames of students trained once per seed: that another training would differ is not in it,
    see `training_noise_mm`.

    Args:
        results: where the frames' errors are kept.
        figures: of `ResultFolder.read`.
        pair: the row and its base.
        domain: on which both were run; None is returned where they share no seed.
    """
    row, base = pair
    ours, theirs = (set(figures.filter(row=name, domain=domain)["seed"]) for name in pair)
    differences = []
    for seed in sorted(ours & theirs):
        before, after = (results.errors(Cell(name, domain, seed)) for name in (base, row))
        joined = before.join(after, on="frame_id", suffix="_row")
        differences.append((joined["error_mm"] - joined["error_mm_row"]).to_numpy())
    if not differences:
        return None
    gains = np.concatenate(differences)
    return {
        "mean_mm": float(gains.mean()),
        "standard_error_mm": float(gains.std(ddof=1) / np.sqrt(len(gains))),
        "num_frames": len(gains),
        "num_seeds": len(differences),
    }


def training_noise_mm(figures: pl.DataFrame, domain: str) -> float | None:
    """Standard deviation of a row's EPE from one training to the next, of the rows that were run on every seed.

    It is what seeds differ by within a row, less what they differ by in all rows alike: each seed has target frames
    of its own, which a gain, taken on the same seed, does not see. None with fewer than two such rows or seeds.
    """
    ours = figures.filter(domain=domain)
    seeds = ours["seed"].n_unique()
    by_row = ours.sort("row", "seed").group_by("row", maintain_order=True).agg("epe_mm")["epe_mm"].to_list()
    table = np.array([values for values in by_row if len(values) == seeds])
    if seeds < 2 or len(table) < 2:
        return None
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return float(np.sqrt((left**2).sum() / ((len(table) - 1) * (seeds - 1))))


def _domain(figures: pl.DataFrame) -> dict[str, float | None]:
    """How far apart source only and ceiling are: a shift that source augmentation closes is no test."""
    first, best = (_mean(figures.filter(row=name), "epe_mm") for name in (FIRST, BEST))
    return {
        FIRST: first,
        BEST: best,
        "ratio": first / best if first and best else None,
        "training_noise_mm": training_noise_mm(figures, figures["domain"][0]),
    }
