"""The published contracts: every schema as JSON, for readers without Python.

`python -m semihand.tables.contracts [FOLDER]` writes them, by default to `schemas/`; a test holds them equal.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from semihand.tables.schemas import SCHEMAS


def contract(schema: pa.Schema) -> dict[str, Any]:
    """A schema of `semihand.tables` as plain values.

    Returns:
        table, version, description, key and partition columns, and per column its name, type, shape
        (a null entry is a list of any length), unit, description, whether it may be null and whether it is
        deterministic; closed lists of words as `values`.
    """
    about = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    lists = {key: about[key].split(",") if about[key] else [] for key in ("key", "partition")}
    return about | lists | {"columns": [_column(field) for field in schema]}


def write_contracts(folder: Path) -> list[Path]:
    """Write `<table>.v<version>.json` for every table; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in SCHEMAS.items():
        about = contract(schema)
        paths.append(folder / f"{name}.v{about['version']}.json")
        paths[-1].write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return paths


def _column(field: pa.Field) -> dict[str, Any]:
    """One column as plain values."""
    shape: list[int | None] = []
    kind = field.type
    while pa.types.is_nested(kind):
        shape.append(kind.list_size if pa.types.is_fixed_size_list(kind) else None)
        kind = kind.value_type
    words = {key.decode(): value.decode() for key, value in field.metadata.items()}
    described: dict[str, Any] = {"name": field.name, "type": str(kind), "shape": shape}
    described |= {
        "nullable": field.nullable,
        "unit": words.get("unit"),
        "deterministic": words["deterministic"] == "true",
    }
    described |= {"values": words["values"].split(",")} if "values" in words else {}
    described |= {"finite_where": words["finite_where"]} if "finite_where" in words else {}
    return described | {"description": words["description"]}


if __name__ == "__main__":
    for path in write_contracts(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas")):
        print(path)
