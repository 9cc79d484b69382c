"""The ledger: which steps of which round are done, and what they left; the truth that resume goes by."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from semihand.failpoints import reach
from semihand.tables import ROUNDS, Store, rows_of, scan
from semihand.waiting import watched
from semihand.workforce import in_words


@dataclass(frozen=True)
class Done:
    """What a finished step left behind."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)  # of the tables it read or wrote
    hashes: Mapping[str, str] = field(default_factory=dict)
    model_sha256: str | None = None
    model_uri: str | None = None
    mlflow_run_id: str | None = None


class Ledger:
    """The ROUNDS table, one row per step and event; read once, and again after what is added here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[tuple[int, str], Done] | None = None

    def finished(self, round_number: int, step: str) -> Done | None:
        """What a step left, or None when it has not finished yet."""
        return self._finished().get((round_number, step))

    def all_finished(self) -> dict[tuple[int, str], Done]:
        """What every finished step left, by round and step."""
        return dict(self._finished())

    def _write(self, round_number: int, step: str, started: datetime, done: Done) -> None:
        self._read = None
        self._store.append("rounds", rows_of(ROUNDS, _columns(round_number, step, started, done)), round_number)

    def _finished(self) -> dict[tuple[int, str], Done]:
        if self._read is None:
            rows = scan(self._store, "rounds").filter(pl.col("status") == "finished").sort("round", "finished")
            self._read = {(row["round"], row["step"]): _done(row) for row in rows.collect().iter_rows(named=True)}
        return self._read

    def champion(self) -> Path | None:
        """The model that was promoted last, None before the first."""
        done = self.all_finished()
        accepted = [
            number for (number, step), each in done.items() if step == "promote" and each.metrics.get("promoted")
        ]
        return Path(str(done[max(accepted), "train"].model_uri)) if accepted else None

    def once(self, round_number: int, step: str, do: Callable[[], Done]) -> Done:
        """Do a step unless the ledger says that it is done, and write down what it left."""
        found = self.finished(round_number, step)
        if found is not None:
            return found
        started = datetime.now(UTC)
        with watched(f"step {step} of round {round_number}", in_words):
            done = do()
        reach(f"step.{step}.done")
        self._write(round_number, step, started, done)
        reach(f"step.{step}.recorded")
        return done


def _columns(round_number: int, step: str, started: datetime, done: Done) -> dict[str, list[object]]:
    row: dict[str, object] = {
        "round": round_number,
        "step": step,
        "status": "finished",
        "started": started,
        "finished": datetime.now(UTC),
        "table_versions": json.dumps(dict(done.versions), sort_keys=True),
        "hashes": json.dumps(dict(done.hashes), sort_keys=True),
        "thresholds": json.dumps(dict(done.thresholds)),
        "metrics": json.dumps(dict(done.metrics)),
        "model_sha256": done.model_sha256,
        "model_uri": done.model_uri,
        "mlflow_run_id": done.mlflow_run_id,
    }
    return {name: [value] for name, value in row.items()}


def _done(row: dict[str, object]) -> Done:
    def read(name: str) -> dict[str, object]:
        return json.loads(str(row[name] or "{}"))  # type: ignore[no-any-return]

    return Done(
        metrics=read("metrics"),  # type: ignore[arg-type]
        thresholds=read("thresholds"),  # type: ignore[arg-type]
        versions=read("table_versions"),  # type: ignore[arg-type]
        hashes=read("hashes"),  # type: ignore[arg-type]
        model_sha256=None if row["model_sha256"] is None else str(row["model_sha256"]),
        model_uri=None if row["model_uri"] is None else str(row["model_uri"]),
        mlflow_run_id=None if row["mlflow_run_id"] is None else str(row["mlflow_run_id"]),
    )
