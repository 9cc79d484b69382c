"""Registered models: a model folder becomes a version that `mlflow.pyfunc.load_model` serves; no pickles."""

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from semihand.failpoints import reach
from semihand.tables import files

CHAMPION = "champion"
_SERVED_MODEL = Path(__file__).parent / "served_model.py"
_PACKAGE = Path(__file__).parents[1]
# What predicting imports; told, not inferred, because MLflow's inference loads the model in another process.
_REQUIREMENTS = (
    *("av", "deltalake", "jaxtyping", "kornia", "mlflow", "numpy", "pillow", "polars", "pyarrow"),
    *("pydantic", "safetensors", "scipy", "torch", "transformers"),
)

_OUTPUTS = Schema(
    [
        TensorSpec(np.dtype(np.float32), (-1, 21, 2), "joints_uv_px"),
        TensorSpec(np.dtype(np.float32), (-1, 21, 3), "joints_mm"),
    ]
)


def register_version(client: MlflowClient, store_uri: str, name: str, run_id: str, values: Mapping[str, Any]) -> int:
    """Register a model folder under a name, as a model of a run; the same folder of the same run only once.

    Args:
        values: ``folder`` (path), ``tags``, ``metrics`` and ``timestamp_ms``.

    Raises:
        ValueError: there is no such folder.
    """
    folder = Path(values["folder"])
    digest = folder_sha256(folder)
    known = version_of_run(client, name, run_id, digest)
    if known is not None:
        return known
    tags = {**values["tags"], "sha256": digest}
    model_id = _uploaded_model(client, name, run_id, folder, tags)
    _log_model_metrics(client, run_id, model_id, values)
    reach("record.uploaded")
    with _default_store(store_uri):
        _make_registered_model(client, name)
        made = client.create_model_version(name, f"models:/{model_id}", run_id, tags, model_id=model_id)
    return int(made.version)


def _uploaded_model(client: MlflowClient, name: str, run_id: str, folder: Path, tags: Mapping[str, str]) -> str:
    """The id of a run's model, its files uploaded; one that a start before this had begun is gone on with."""
    run = client.get_run(run_id)
    begun = client.search_logged_models([run.info.experiment_id], f"tags.sha256 = '{tags['sha256']}'")
    model = next((each for each in begun if each.source_run_id == run_id), None)
    model = model or client.create_logged_model(run.info.experiment_id, name, run_id, dict(tags))
    if model.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory() as scratch:
            _save_served_model(Path(scratch, "model"), folder, model, run_id)
            try:
                client.log_model_artifacts(model.model_id, str(Path(scratch, "model")))
            except OSError:  # half a copy would take the room that the next start needs
                _remove_artifacts(model.artifact_location)
                raise
        _sync_artifacts(model.artifact_location)
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    if all(output.model_id != model.model_id for output in run.outputs.model_outputs):
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return str(model.model_id)


def move_champion(client: MlflowClient, name: str, version: int) -> None:
    """Let the alias name this version."""
    client.set_registered_model_alias(name, CHAMPION, str(version))


def champion_version(client: MlflowClient, name: str) -> int | None:
    """The version that the alias names; None where no model or no alias is."""
    try:
        return int(client.get_model_version_by_alias(name, CHAMPION).version)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def versions_of(client: MlflowClient, name: str, folder: Path) -> dict[int, bool]:
    """Every version of a model, and whether it is this folder's."""
    digest = folder_sha256(folder)
    found = client.search_model_versions(f"name = '{name}'")
    return {int(version.version): version.tags.get("sha256") == digest for version in found}


def folder_sha256(folder: Path) -> str:
    """Digest of a model folder: names and contents of its files, but for those that somebody died over.

    Raises:
        ValueError: there is no such folder, or it is empty.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ValueError(f"model folder {str(folder)!r} holds no file; name a folder made by save_model")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def version_of_run(client: MlflowClient, name: str, run_id: str, digest: str | None = None) -> int | None:
    """The first version of a run's model, or of one of these contents; None where there is none."""
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    same = [int(version.version) for version in versions if digest in (None, version.tags.get("sha256"))]
    return min(same, default=None)


def _save_served_model(path: Path, folder: Path, model: Any, run_id: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        mlflow.pyfunc.save_model(
            str(path),
            python_model=str(_SERVED_MODEL),
            artifacts={"model": str(folder)},
            code_paths=[str(_PACKAGE)],
            # Outputs only: a signature of the inputs would keep out lists of pictures of different sizes.
            signature=ModelSignature(outputs=_OUTPUTS),
            pip_requirements=[f"{name}=={_public_version(name)}" for name in _REQUIREMENTS],
            mlflow_model=Model(
                artifact_path=model.artifact_location,
                model_uuid=model.model_id,
                run_id=run_id,
                model_id=model.model_id,
            ),
        )
    for cache in path.rglob("__pycache__"):
        for file in cache.iterdir():
            file.unlink()
        cache.rmdir()


def _public_version(distribution: str) -> str:
    """The installed version without its build, such as torch's ``+cpu``."""
    return installed_version(distribution).split("+")[0]


def _sync_artifacts(location: str) -> None:
    """Make a model's files outlive a power cut before a version or an alias names them; a server sees to its own."""
    folder = _local_folder(location)
    for path in () if folder is None else (*folder.rglob("*"), folder):
        files.sync(str(path))


def _remove_artifacts(location: str) -> None:
    folder = _local_folder(location)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _local_folder(location: str) -> Path | None:
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _log_model_metrics(client: MlflowClient, run_id: str, model_id: str, values: Mapping[str, Any]) -> None:
    """MLflow adds a model's metrics to its run's: at the time of one that is there already, it is the same one."""
    metrics = []
    for key, value in values["metrics"].items():
        logged = (point for point in client.get_metric_history(run_id, key) if (point.step, point.value) == (0, value))
        time_ms = min((point.timestamp for point in logged), default=values["timestamp_ms"])
        metrics.append(Metric(key, value, time_ms, 0, model_id=model_id))
    if metrics:
        client.log_batch(run_id, metrics=metrics)


def _make_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """MLflow resolves ``models:/`` sources against the process's default store, whatever the client's is."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before
