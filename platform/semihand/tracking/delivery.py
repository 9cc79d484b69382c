"""The doors of MLflow: each takes one kind of entry, and taking the same entry again changes nothing."""

import base64
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from semihand.tracking.environment import StoreLocation
from semihand.tracking.registry import (
    champion_version,
    move_champion,
    register_version,
    version_of_run,
    versions_of,
)
from semihand.tracking.spool import Entry, RunKey

# MLflow's limits for one request.
_METRICS_PER_BATCH = 1000
_PARAMETERS_PER_BATCH = 100


@dataclass
class Connection:
    """An open store: its client, the campaign's experiment and model, and the runs found or made so far."""

    client: MlflowClient
    location: StoreLocation
    campaign: str
    experiment_id: str
    model_name: str
    run_ids: dict[RunKey, str]


def connect(campaign: str, model_name: str, location: StoreLocation, run_ids: dict[RunKey, str]) -> Connection:
    """Open the store and find, bring back or make the campaign's experiment."""
    client = MlflowClient(location.uri, location.uri)
    experiment = client.get_experiment_by_name(campaign)
    if experiment is None:
        experiment_id = client.create_experiment(campaign, artifact_location=location.artifact_location)
    else:
        experiment_id = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment_id)
    return Connection(client, location, campaign, experiment_id, model_name, run_ids)


def deliver(connection: Connection, entry: Entry) -> Any:
    """Hand an entry to its door; returns what the door returns."""
    return _DOORS[entry.kind](connection, entry.round, entry.values)


def run_id(connection: Connection, round: RunKey, start_ms: int | None = None) -> str:
    """The run of a round or of a name, found by its tags, made when there is none; it began then, or now."""
    if round not in connection.run_ids:
        tag, name = ("round", f"round {round}") if isinstance(round, int) else ("run", round)
        client, tags = connection.client, {"campaign": connection.campaign, tag: str(round)}
        of_round = f"tags.{tag} = '{round}'"
        runs = client.search_runs([connection.experiment_id], of_round, order_by=["start_time ASC"])
        known = [run for run in runs if run.data.tags.get("campaign") == connection.campaign]
        run = known[0] if known else client.create_run(connection.experiment_id, start_ms, tags, name)
        connection.run_ids[round] = run.info.run_id
    return connection.run_ids[round]


def champion(connection: Connection) -> int | None:
    """The version under the alias ``champion``, if there is one."""
    return champion_version(connection.client, connection.model_name)


def versions(connection: Connection, folder: Path) -> dict[int, bool]:
    """Every registered version of the campaign's model, and whether it is this folder's."""
    return versions_of(connection.client, connection.model_name, folder)


def _put_parameters(connection: Connection, round: RunKey, values: Mapping[str, str]) -> None:
    run = connection.client.get_run(run_id(connection, round))
    logged = run.data.params
    fresh = [Param(key, value) for key, value in values.items() if key not in logged]
    # MLflow refuses another value for a parameter, which would end a resumed run.
    changed = [
        RunTag(f"changed.{key}"[:250], value) for key, value in values.items() if logged.get(key, value) != value
    ]
    for batch in _batches(fresh, _PARAMETERS_PER_BATCH):
        connection.client.log_batch(run.info.run_id, params=batch)
    for batch in _batches(changed, _PARAMETERS_PER_BATCH):
        connection.client.log_batch(run.info.run_id, tags=batch)


def _put_tags(connection: Connection, round: RunKey, values: Mapping[str, str]) -> None:
    tags = [RunTag(key, value) for key, value in values.items()]
    for batch in _batches(tags, _PARAMETERS_PER_BATCH):
        connection.client.log_batch(run_id(connection, round), tags=batch)


def _put_metrics(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> None:
    run, step = run_id(connection, round), values["step"] or 0
    last = connection.client.get_run(run).data.metrics
    # A resumed round logs its metrics again, at another time: each once.
    metrics = [
        Metric(key, value, values["timestamp_ms"], step)
        for key, value in values["metrics"].items()
        if last.get(key) != value or (step, value) not in _points(connection, run, key)
    ]
    for batch in _batches(metrics, _METRICS_PER_BATCH):
        connection.client.log_batch(run, metrics=batch)


def _put_curve(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> None:
    run, name = run_id(connection, round), values["name"]
    # A resumed round logs its curve from the start again: each point once.
    logged = _points(connection, run, name)
    points = dict.fromkeys(zip(values["steps"], values["values"], strict=True))
    missing = [point for point in points if point not in logged]
    fresh = [Metric(name, value, values["timestamp_ms"], step) for step, value in missing]
    for batch in _batches(fresh, _METRICS_PER_BATCH):
        connection.client.log_batch(run, metrics=batch)


def _points(connection: Connection, run: str, name: str) -> set[tuple[int, float]]:
    return {(point.step, point.value) for point in connection.client.get_metric_history(run, name)}


def _put_inputs(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> None:
    inputs = []
    for table, (path, version) in values.items():
        source = DeltaDatasetSource(path=path, delta_table_version=version)
        fields = MetaDataset(source, name=table).to_dict()
        # MLflow leaves version 0 out of the source.
        place = json.dumps({**json.loads(fields["source"]), "delta_table_version": version})
        dataset = Dataset(fields["name"], fields["digest"], fields["source_type"], place)
        tags = [InputTag("mlflow.data.context", table), InputTag("version", str(version))]
        inputs.append(DatasetInput(dataset, tags))
    connection.client.log_inputs(run_id(connection, round), inputs)


def _put_artifact(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> None:
    run, path = run_id(connection, round), Path(values["path"])
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, path.name)
        local.write_bytes(base64.b64decode(values["base64"]))
        connection.client.log_artifact(run, str(local), path.parent.as_posix() if path.parent.name else None)
    if values["is_table"]:
        _show_as_table(connection, run, path.as_posix())


def _show_as_table(connection: Connection, run: str, path: str) -> None:
    """Tell the UI and `mlflow.load_table` that an artifact is a table, as MLflow's own log_table does."""
    tables = json.loads(connection.client.get_run(run).data.tags.get("mlflow.loggedArtifacts", "[]"))
    if all(table["path"] != path for table in tables):
        tables.append({"path": path, "type": "table"})
        connection.client.set_tag(run, "mlflow.loggedArtifacts", json.dumps(tables))


def _put_status(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> None:
    if values["status"] == "RUNNING":
        run = run_id(connection, round, values["timestamp_ms"])
        connection.client.update_run(run, status="RUNNING")
    else:
        connection.client.set_terminated(run_id(connection, round), values["status"], values["timestamp_ms"])


def _put_model(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> int:
    return register_version(
        connection.client,
        connection.location.uri,
        connection.model_name,
        run_id(connection, round),
        values,
    )


def _put_champion(connection: Connection, round: RunKey, values: Mapping[str, Any]) -> None:
    client, name, version = connection.client, connection.model_name, values["version"]
    if version is None:  # the model waited for the server, too: by now the round has a version, or it was refused
        version = version_of_run(client, name, run_id(connection, round))
    if version is not None:
        move_champion(client, name, version)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


_DOORS: dict[str, Callable[[Connection, Any, Mapping[str, Any]], Any]] = {
    "parameters": _put_parameters,
    "tags": _put_tags,
    "metrics": _put_metrics,
    "curve": _put_curve,
    "inputs": _put_inputs,
    "artifact": _put_artifact,
    "status": _put_status,
    "model": _put_model,
    "champion": _put_champion,
}
