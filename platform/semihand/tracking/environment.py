"""Where MLflow keeps its record, and the settings that keep it quick and quiet; set before it is imported."""

import logging
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from semihand.redaction import redact

# A dead server costs MLflow's defaults over four minutes a call; a round does not wait for its mirror, and sends it
# later what failed.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}
_SERVERS = frozenset({"http", "https", "databricks"})  # these place artifacts themselves
_DATABASES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})


@dataclass(frozen=True)
class StoreLocation:
    """Where a campaign is tracked.

    Attributes:
        uri: MLflow tracking and registry URI; may hold a password, so print :attr:`shown_uri`.
        artifact_location: URI for the experiment's artifacts; None leaves it to the server.
        database: the sqlite file of the campaign folder; None where the user named another store.
    """

    uri: str
    artifact_location: str | None
    database: Path | None

    @property
    def shown_uri(self) -> str:
        """The URI without user info."""
        return redact(self.uri)


def locate_store(folder: Path) -> StoreLocation:
    """``MLFLOW_TRACKING_URI`` where it is set, else sqlite in the campaign folder, by absolute path.

    Raises:
        ValueError: the variable names no kind of store that MLflow has, or the folder's path holds a
            character that sqlite URLs cannot carry.
    """
    folder = folder.resolve()
    artifacts = (folder / "mlartifacts").as_uri()
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if given:
        kind = urlsplit(given).scheme.split("+")[0] or given
        if kind not in _SERVERS | _DATABASES:
            raise ValueError(
                f"MLFLOW_TRACKING_URI is {redact(given)!r}; give a server (http://host:port) or a "
                "database (sqlite:////absolute/path.db), or unset it for one in the campaign folder"
            )
        return StoreLocation(given, None if kind in _SERVERS else artifacts, None)
    if set("?%") & set(str(folder)):
        raise ValueError(
            f"campaign folder is {str(folder)!r}: '?' and '%' cannot stand in the address of its MLflow "
            "database; rename the folder or set MLFLOW_TRACKING_URI"
        )
    return StoreLocation(f"sqlite:///{folder / 'mlflow.db'}", artifacts, folder / "mlflow.db")


def prepare_environment() -> None:
    """Give MLflow its settings where the user gave none: no telemetry, few retries, no pickles, few words."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # whatever the user gave: a job would have refused it
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


def check_database(path: Path) -> None:
    """Open the sqlite file once, since MLflow retries a file it cannot open for most of an hour.

    Raises:
        sqlite3.Error: the file cannot be opened or is not a database.
    """
    connection = sqlite3.connect(path, timeout=5)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    finally:
        connection.close()
