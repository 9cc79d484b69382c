"""Rows of tables whose columns are nested lists, slices included."""

import numpy as np
import pyarrow as pa
import pytest

from semihand.tables.rows import filter_rows, take_rows, without_values


@pytest.fixture
def poses() -> pa.Table:
    values = pa.array(np.arange(10 * 21 * 3, dtype=np.float32))
    nested = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(values, 3), 21)
    with_null = pa.array([None if row == 5 else [row, row + 0.5] for row in range(10)], pa.list_(pa.float64(), 2))
    return pa.table({"pose": nested, "pair": with_null, "name": [f"row {row}" for row in range(10)]})


def test_rows_of_a_slice_are_the_slices_own(poses: pa.Table) -> None:
    wanted = [poses.to_pylist()[row] for row in (6, 4, 5)]
    assert take_rows(poses.slice(4), [2, 0, 1]).to_pylist() == wanted


def test_rows_of_several_chunks_are_found(poses: pa.Table) -> None:
    chunked = pa.concat_tables([poses.slice(0, 3), poses.slice(3)])
    assert take_rows(chunked, [9, 2, 3]).to_pylist() == [poses.to_pylist()[row] for row in (9, 2, 3)]


def test_filtering_a_slice_keeps_flagged_rows(poses: pa.Table) -> None:
    keep = np.array([False, True, False, True, False, False])
    assert filter_rows(poses.slice(4), keep).to_pylist() == [poses.to_pylist()[row] for row in (5, 7)]


def test_hidden_values_are_null_and_the_rest_stay(poses: pa.Table) -> None:
    hidden = without_values(poses.slice(4)["pose"], np.array([False, True, False, False, False, True])).to_pylist()
    whole = poses["pose"].to_pylist()
    assert hidden == [whole[4], None, whole[6], whole[7], whole[8], None]


def test_no_rows_give_an_empty_table_of_the_same_columns(poses: pa.Table) -> None:
    assert take_rows(poses, []).schema == poses.schema
