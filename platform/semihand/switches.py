"""Switches in the environment that would have a library run what it reads; no job starts while one is on."""

import os

from semihand.frames.errors import InputError

_OFF = frozenset({"", "0", "false", "no", "off", "n", "f"})
#: by name: what the library does then
_SWITCHES = {
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "torch.load runs what a weights file says",
    "RAY_DATA_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA": "Ray unpickles the metadata of Parquet columns",
    "RAY_DATA_AUTOLOAD_PICKLE_OBJECT_SCALAR": "Ray unpickles the cells of Parquet columns",
    "RAY_DATA_AUTOLOAD_PYEXTENSIONTYPE": "Arrow unpickles the types of Parquet columns",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "MLflow unpickles models",
}


def refuse_switches() -> None:
    """Refuse to work where a library would run what a file says.

    Raises:
        InputError: names the variable, its value, and what it does.
    """
    for name, means in _SWITCHES.items():
        value = os.environ.get(name, "")
        if value.strip().lower() not in _OFF:
            raise InputError(f"{name} is {value!r}: {means}. Unset it; nothing here needs it.")
