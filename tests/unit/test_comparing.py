"""tables/comparing.py: two campaigns are the same to the last bit, or it says where they are not."""

from pathlib import Path

import polars as pl
import pytest
from table_rows import ids, label_rows

from semihand.tables import Store
from semihand.tables.comparing import differences, first_difference

IDS = ids(9)


@pytest.fixture
def make(tmp_path: Path):
    def made(name, *parts):
        store = Store(tmp_path / name)
        store.create()
        for part in parts:
            store.append("labels", part, 1)
        return store

    return made


OTHERS = "labels: other rows by frame_id, round, labeller"


def test_order_and_number_of_files_make_no_difference(make):
    assert differences(make("one", label_rows(IDS)), make("other", label_rows(IDS[4:]), label_rows(IDS[:4]))) == []


def test_what_is_lost_doubled_or_changed_is_said_by_table(make):
    whole = make("whole", label_rows(IDS))
    assert differences(make("lost", label_rows(IDS[1:])), whole) == ["labels: 8 rows and 9"]
    doubled = make("doubled", label_rows(IDS), label_rows(IDS[:1]))
    assert differences(doubled, whole) == ["labels: 10 rows and 9"]
    other = make("other", label_rows(IDS[1:]), label_rows(ids(1, 20)))
    assert differences(other, whole) == [OTHERS]
    assert differences(make("by another", label_rows(IDS, labeller="parts")), whole) == [
        "labels: other rows by frame_id, round, labeller"
    ]
    assert differences(whole, whole, ["frames", "rounds"]) == []


def test_a_bit_is_a_difference_and_nan_is_itself():
    rows = pl.DataFrame({"frame_id": ["b", "a"], "x": [0.0, float("nan")]})
    assert first_difference(rows, rows.reverse()) == ""
    assert first_difference(rows, rows.with_columns(x=pl.Series([-0.0, float("nan")]))) == "column x"
    assert first_difference(rows, rows.rename({"x": "y"})) == "columns ['x', 'y']"
    assert first_difference(rows, rows.head(1)) == "2 rows and 1"
