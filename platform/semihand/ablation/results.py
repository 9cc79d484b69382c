"""What the rows came to: kept one by one, and as one table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from semihand.ablation.plans import Plan

_COLUMNS = {
    "epe_mm": "EPE mm",
    "uv_px": "2D px",
    "auc_20_50": "AUC 20-50",
    "pa_epe_mm": "PA mm",
    "raw_label_mm": "raw labels mm",
    "label_mm": "labels mm",
    "selected_label_mm": "selected mm",
    "acceptance": "accepted",
    "expected_spearman": "rank correlation of expected error",
}
_FIRST, _BEST = "source_only", "ceiling"


class ResultFolder:
    """Results by row, domain and seed; one that is there is complete."""

    def __init__(self, campaign: Path) -> None:
        self.folder = campaign / "results"

    def is_done(self, row: str, domain: str, seed: int, plan: str) -> bool:
        """Whether this row was run, by this plan."""
        path = self._path(row, domain, seed)
        return path.is_file() and json.loads(path.read_text())["plan"] == json.loads(plan)

    def write(
        self,
        row: str,
        domain: str,
        seed: int,
        plan: str,
        metrics: Mapping[str, float],
        errors: pl.DataFrame,
        model: Path,
    ) -> None:
        """Keep a result; its JSON comes last and makes it valid."""
        path = self._path(row, domain, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        errors.write_parquet(path.with_suffix(".parquet"))
        about = {"row": row, "domain": domain, "seed": seed, "model": model.name, "plan": json.loads(plan)}
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(about | {"metrics": dict(metrics)}, indent=2))
        unfinished.rename(path)

    def read(self) -> pl.DataFrame:
        """All figures: row, domain, seed and a column per figure."""
        found = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*/*/*.json"))]
        rows = [{key: one[key] for key in ("row", "domain", "seed")} | one["metrics"] for one in found]
        return pl.DataFrame(rows, infer_schema_length=None)

    def errors(self, row: str, domain: str, seed: int) -> pl.DataFrame:
        """The error of every evaluation frame."""
        return pl.read_parquet(self._path(row, domain, seed).with_suffix(".parquet"))

    def _path(self, row: str, domain: str, seed: int) -> Path:
        return self.folder / domain / str(seed) / f"{row}.json"


def summarise(results: ResultFolder, plans: Mapping[str, Plan], bases: Mapping[str, str]) -> dict[str, Any]:
    """Every finished row by name: means over domains and seeds, the gap it closes, an addition's paired gain.

    Args:
        results: what is finished.
        plans: the rows, in the table's order.
        bases: the row that each addition is compared with.
    """
    figures = results.read()
    return {
        "rows": [_row(name, plan, results, figures, bases.get(name)) for name, plan in plans.items()
                 if name in set(figures["row"])],
        "domains": {domain: _domain(figures.filter(domain=domain)) for domain in figures["domain"].unique().sort()},
    }  # fmt: skip


def _row(name: str, plan: Plan, results: ResultFolder, figures: pl.DataFrame, base: str | None) -> dict[str, Any]:
    ours = figures.filter(row=name)
    row: dict[str, Any] = {"name": name, "about": plan.about, "kind": plan.kind, "runs": len(ours)}
    row |= {key: _mean(ours, key) for key in (*_COLUMNS, "seconds") if key in ours.columns}
    row["epe_mm_by_domain"] = {
        domain: _mean(ours.filter(domain=domain), "epe_mm") for domain in ours["domain"].unique().sort()
    }
    by_seed = ours.group_by("seed").agg(pl.col("epe_mm").mean())["epe_mm"].to_numpy()
    row["epe_mm_spread"] = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    row["gap_closed"] = _gap_closed(ours, figures)
    if base is not None:
        row["compared_with"] = base
        row["gain"] = {domain: gain for domain in row["epe_mm_by_domain"]
                       if (gain := paired_gain(results, figures, name, base, domain))}  # fmt: skip
        row["on_by_default"] = (
            sum(gain["mean_mm"] > 2 * gain["standard_error_mm"] for gain in row["gain"].values()) >= 2
        )
    return row


def _mean(rows: pl.DataFrame, column: str) -> float | None:
    values = rows[column].drop_nulls().to_numpy()
    return float(values.mean()) if len(values) else None


def _gap_closed(ours: pl.DataFrame, figures: pl.DataFrame) -> float | None:
    """(source only − row) / (source only − ceiling), mean over the runs that have all three."""
    ends = {
        name: figures.filter(row=name).select("domain", "seed", pl.col("epe_mm").alias(name))
        for name in (_FIRST, _BEST)
    }
    joined = ours.join(ends[_FIRST], on=["domain", "seed"]).join(ends[_BEST], on=["domain", "seed"])
    gap = joined.select((pl.col(_FIRST) - pl.col("epe_mm")) / (pl.col(_FIRST) - pl.col(_BEST)))
    values = gap.to_series().to_numpy()
    return float(values.mean()) if len(values) else None


def paired_gain(
    results: ResultFolder, figures: pl.DataFrame, row: str, base: str, domain: str
) -> dict[str, float] | None:
    """How much lower the row's error is than its base's on the same frames, and the standard error of that mean."""
    ours, theirs = (set(figures.filter(row=name, domain=domain)["seed"]) for name in (row, base))
    pairs = []
    for seed in sorted(ours & theirs):
        joined = results.errors(base, domain, seed).join(
            results.errors(row, domain, seed), on="frame_id", suffix="_row"
        )
        pairs.append((joined["error_mm"] - joined["error_mm_row"]).to_numpy())
    if not pairs:
        return None
    gains = np.concatenate(pairs)
    return {
        "mean_mm": float(gains.mean()),
        "standard_error_mm": float(gains.std(ddof=1) / np.sqrt(len(gains))),
        "frames": float(len(gains)),
    }


def _domain(figures: pl.DataFrame) -> dict[str, float | None]:
    """How far apart source only and ceiling are: a shift that source augmentation closes is no test."""
    first, best = (_mean(figures.filter(row=name), "epe_mm") for name in (_FIRST, _BEST))
    return {_FIRST: first, _BEST: best, "ratio": first / best if first and best else None}


def markdown(summary: Mapping[str, Any]) -> str:
    """The table of the rows, the shifts of the domains, and which additions are on."""
    names = [name for name in _COLUMNS if any(row.get(name) is not None for row in summary["rows"])]
    lines = [
        "| row | " + " | ".join(_COLUMNS[name] for name in names) + " | gap closed | runs |",
        "|---" * (len(names) + 3) + "|",
    ]
    for row in summary["rows"]:
        cells = [_cell(name, row.get(name)) for name in names]
        if row["epe_mm_spread"] is not None:
            cells[names.index("epe_mm")] += f" ± {row['epe_mm_spread']:.2f}"
        closed = "" if row["gap_closed"] is None else f"{100 * row['gap_closed']:.0f} %"
        lines.append(f"| {row['name']}: {row['about']} | " + " | ".join(cells) + f" | {closed} | {row['runs']} |")
    lines += ["", "| domain | source only mm | ceiling mm | ratio |", "|---|---|---|---|"]
    for domain, ends in summary["domains"].items():
        cells = [_cell("epe_mm", ends[key]) for key in (_FIRST, _BEST, "ratio")]
        lines.append(f"| {domain} | " + " | ".join(cells) + " |")
    additions = [row for row in summary["rows"] if row.get("gain")]
    if additions:
        lines += [
            "",
            "| addition | compared with | gain mm by domain (± standard error) | on by default |",
            "|---|---|---|---|",
        ]
    for row in additions:
        gains = ", ".join(f"{domain} {gain['mean_mm']:+.2f} ± {gain['standard_error_mm']:.2f}"
                          for domain, gain in row["gain"].items())  # fmt: skip
        lines.append(
            f"| {row['name']} | {row['compared_with']} | {gains} | {'yes' if row['on_by_default'] else 'no'} |"
        )
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return (
        f"{100 * value:.0f} %" if name == "acceptance" else f"{value:.3f}" if name.startswith("auc") else f"{value:.2f}"
    )
