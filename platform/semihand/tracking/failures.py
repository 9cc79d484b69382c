"""How MLflow fails: it does not answer, or it refuses what it was told."""

import sqlite3

from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

# Everything that MLflow, its transport and its database raise; whatever else is raised is our own slip.
FAILURES: tuple[type[Exception], ...] = (
    MlflowException,
    RequestException,
    SQLAlchemyError,
    sqlite3.Error,
    ConnectionError,
    TimeoutError,
)

# A waiting entry may also be out of date: the model folder it names may be gone.
ENTRY_FAILURES: tuple[type[Exception], ...] = (*FAILURES, ValueError)

_REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)


def is_refusal(error: Exception) -> bool:
    """Whether MLflow answered, and said that what it was told is wrong: telling it again would not help."""
    return isinstance(error, ValueError) or getattr(error, "error_code", "") in _REFUSALS
