"""The published contracts are the schemas."""

import json
from pathlib import Path

import pytest

from semihand.tables import SCHEMAS
from semihand.tables.contracts import contract, write_contracts

PUBLISHED = Path(__file__).parents[2] / "schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_contract_is_the_schema(name):
    published = json.loads((PUBLISHED / f"{name}.v1.json").read_text(encoding="utf-8"))
    assert published == contract(SCHEMAS[name]), "run: python -m semihand.tables.contracts"


def test_nothing_else_is_published_and_writing_again_changes_no_byte(tmp_path):
    written = write_contracts(tmp_path)
    assert {path.name for path in PUBLISHED.iterdir()} == {path.name for path in written}
    for path in written:
        assert path.read_bytes() == (PUBLISHED / path.name).read_bytes()


def test_a_contract_tells_shape_unit_and_closed_list():
    columns = {each["name"]: each for each in contract(SCHEMAS["frames"])["columns"]}
    joints = {key: columns["joints_mm"][key] for key in ("type", "shape", "unit", "nullable", "finite_where")}
    assert joints == {
        "type": "float", "shape": [21, 3], "unit": "mm", "nullable": True, "finite_where": "joints_valid",
    }  # fmt: skip
    assert columns["distortion"]["shape"] == [None]
    assert columns["hand"]["values"] == ["left", "right"]
