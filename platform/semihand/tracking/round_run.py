"""One round in MLflow: what it was told, what it read, what it measured, what it drew, what it made."""

import base64
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from semihand.redaction import redact, redact_all
from semihand.tracking.outbox import Outbox, RegisteredModel
from semihand.tracking.parameters import clean_name, finite_metrics, flatten_parameters
from semihand.tracking.spool import Entry, RunKey


class RoundRun:
    """The MLflow run of one round or of a name. Every method may be called again: nothing is logged twice."""

    def __init__(self, outbox: Outbox, round: RunKey) -> None:
        self._outbox = outbox
        self.round = round

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None while MLflow does not answer."""
        return self._outbox.run_id(self.round)

    def log_params(self, config: Mapping[str, object]) -> None:
        """Log settings, nested ones as ``section.field``, secrets redacted.

        A parameter logged before with another value keeps it; the new one becomes the tag ``changed.<name>``.
        """
        self._send("parameters", flatten_parameters(config))

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; a tag set again is replaced."""
        texts = {key: str(value) for key, value in tags.items()}
        self._send("tags", {clean_name(key): text[:5000] for key, text in redact_all(texts).items()})

    def log_inputs(self, tables: Mapping[str, tuple[str | Path, int]]) -> None:
        """Log which version of which Delta table the round read; the table's name is the input's context.

        Args:
            tables: name of the table to its folder or URL and its version.
        """
        inputs = {
            name: [redact(str(path)) if "://" in str(path) else str(Path(path).resolve()), int(version)]
            for name, (path, version) in tables.items()
        }
        self._send("inputs", inputs)

    def log_metrics(self, metrics: Mapping[str, object], step: int | None = None) -> None:
        """Log finite numbers; those that are not become the tag ``not_finite.<name>``.

        Raises:
            ValueError: a metric is not a number.
        """
        finite, not_finite = finite_metrics(metrics)
        if finite:
            self._send("metrics", {"metrics": finite, "step": step, "timestamp_ms": _now_ms()})
        if not_finite:
            self.log_tags({f"not_finite.{name}": text for name, text in not_finite.items()})

    def log_curve(self, name: str, steps: Sequence[int], values: Sequence[float]) -> None:
        """Log a series in batches, each point once; points that are not finite are counted in a tag.

        Raises:
            ValueError: there are not as many steps as values.
        """
        if len(steps) != len(values):
            raise ValueError(f"curve {name!r} has {len(steps)} steps but {len(values)} values; give as many")
        name = clean_name(name)
        finite = [index for index, value in enumerate(values) if math.isfinite(value)]
        if finite:
            columns = {
                "steps": [int(steps[index]) for index in finite],
                "values": [float(values[index]) for index in finite],
            }
            self._send("curve", {"name": name, **columns, "timestamp_ms": _now_ms()})
        if len(finite) < len(values):
            self.log_tags({f"not_finite.{name}": f"{len(values) - len(finite)} of {len(values)} points"})

    def log_table(self, name: str, table: pl.DataFrame) -> None:
        """Log a small table as ``tables/<name>.json``, which the UI and `mlflow.load_table` read."""
        rows = [[_json_value(value) for value in row] for row in table.iter_rows()]
        text = json.dumps({"columns": table.columns, "data": rows}, default=str, allow_nan=False)
        self._send_artifact(f"tables/{_file_name(name)}.json", text.encode(), is_table=True)

    def log_figure(self, name: str, figure: Figure | bytes) -> None:
        """Log a figure, or its PNG, as ``figures/<name>.png``."""
        if isinstance(figure, Figure):
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
            figure = buffer.getvalue()
        self._send_artifact(f"figures/{_file_name(name)}.png", figure)

    def log_text(self, name: str, text: str) -> None:
        """Log a text as the artifact ``<name>``, which holds its ending."""
        self._send_artifact(_file_name(name), text.encode())

    def log_page(self, name: str, html: str) -> None:
        """Log a self-contained page as ``<name>.html``."""
        self._send_artifact(f"{_file_name(name)}.html", html.encode())

    def register_model(self, model_folder: Path, metrics: Mapping[str, object] | None = None) -> RegisteredModel:
        """Register a model folder (safetensors and JSON) as the next version of the campaign's model.

        The same folder registered again by the same round gives the same version.

        Raises:
            ValueError: the folder holds no file.
        """
        name, folder = self._outbox.model_name, Path(model_folder).resolve()
        if not folder.is_dir() or not any(folder.iterdir()):
            raise ValueError(f"model folder {str(folder)!r} holds no file; name a folder made by save_model")
        finite, _ = finite_metrics(metrics or {})
        values = {
            "folder": str(folder),
            "tags": {"campaign": self._outbox.campaign, "round": str(self.round)},
            "metrics": finite,
            "timestamp_ms": _now_ms(),
        }
        version = self._send("model", values)
        if version is None:
            return RegisteredModel(name, None, folder.as_uri())
        return RegisteredModel(name, int(str(version)), f"models:/{name}/{version}")

    def promote(self, version: int | None) -> None:
        """Move the alias ``champion`` to a version; None is the round's, registered while MLflow was away."""
        self._send("champion", {"version": version})

    def set_status(self, status: str) -> None:
        """RUNNING, FINISHED, FAILED or KILLED."""
        self._send("status", {"status": status, "timestamp_ms": _now_ms()})

    def _send_artifact(self, path: str, data: bytes, is_table: bool = False) -> None:
        text = base64.b64encode(data).decode()
        self._send("artifact", {"path": path, "base64": text, "is_table": is_table})

    def _send(self, kind: str, values: Mapping[str, object]) -> object:
        answer: object = self._outbox.send(Entry(kind, self.round, dict(values)))
        return answer


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _file_name(name: str) -> str:
    """A relative artifact path; spaces and what a file system may refuse become underscores."""
    plain = clean_name(name).replace(":", "_").replace(" ", "_")
    parts = [part for part in plain.split("/") if part.strip(".")]
    if not parts:
        raise ValueError(f"artifact name is {name!r}; name it with at least one letter or digit")
    return "/".join(parts)


def _json_value(value: object) -> object:
    """A table's cell in JSON: numbers that are not finite become null, bytes their size."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value
