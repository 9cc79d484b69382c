"""What the rows came to, kept one by one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from semihand.ablation.plans import Cell
from semihand.ablation.provenance import provenance


class RowResult(NamedTuple):
    """What a row came to on a domain and a seed."""

    metrics: dict[str, float]
    errors: pl.DataFrame  # frame_id and error_mm of every evaluation frame
    model: Path
    start: Path  # the pre-trained model that it began with


class ResultFolder:
    """Results by row, domain and seed; one that is there is complete."""

    def __init__(self, campaign: Path) -> None:
        self.folder = campaign / "results"

    def is_done(self, cell: Cell, plan: str) -> bool:
        """Whether this row was run, by this plan."""
        path = self._path(cell)
        return path.is_file() and json.loads(path.read_text())["plan"] == json.loads(plan)

    def write(self, cell: Cell, plan: str, result: RowResult) -> None:
        """Keep a result; its JSON comes last and makes it valid."""
        path = self._path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        result.errors.write_parquet(path.with_suffix(".parquet"))
        about = cell._asdict() | provenance() | {"model": result.model.name, "start": result.start.name}
        write_json(path, about | {"plan": json.loads(plan), "metrics": result.metrics})

    def read(self, plans: Mapping[Cell, str]) -> pl.DataFrame:
        """What was run by these plans: row, domain, seed, commit, start and a column per figure.

        None is NaN or infinite. `start` is the name of the weights that the row began with.
        """
        found = {
            cell: json.loads(self._path(cell).read_text()) for cell, plan in plans.items() if self.is_done(cell, plan)
        }
        rows = [
            cell._asdict() | {name: about.get(name) for name in ("commit", "start")} | about["metrics"]
            for cell, about in found.items()
        ]
        if not rows:
            strings = dict.fromkeys(("row", "domain", "commit", "start"), pl.String)
            return pl.DataFrame(schema=strings | {"seed": pl.Int64, "epe_mm": pl.Float64})
        return pl.DataFrame(rows, infer_schema_length=None)

    def longest_s(self, plans: Mapping[Cell, str]) -> float:
        """What the longest row that was run by these plans took, seconds; 0 where none was."""
        found = self.read(plans)
        return 0.0 if found.is_empty() else float(found["seconds"].to_numpy().max())

    def errors(self, cell: Cell) -> pl.DataFrame:
        """The error of every evaluation frame."""
        return pl.read_parquet(self._path(cell).with_suffix(".parquet"))

    def _path(self, cell: Cell) -> Path:
        return self.folder / cell.domain / str(cell.seed) / f"{cell.row}.json"


def write_json(path: Path, value: object) -> None:
    """Write it whole or not at all.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not know.
    """
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(value, indent=2, allow_nan=False))
    unfinished.rename(path)
