"""Arrays in columns and back."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semihand.tables import LABELS, as_numpy, fixed_list_column, rows_of
from semihand.tables.arrays import without_nulls

arrays = st.sampled_from([np.float32, np.float64, np.int32, np.bool_]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
)


@given(arrays)
def test_an_array_comes_back_from_its_column_byte_for_byte(values):
    back = as_numpy(fixed_list_column(values))
    assert back.dtype == values.dtype
    assert back.shape == values.shape
    assert back.tobytes() == values.tobytes()


@given(arrays.filter(lambda values: values.ndim > 1), st.data())
def test_slices_chunks_and_plain_lists_hold_the_same_numbers(values, data):
    start = data.draw(st.integers(0, len(values)))
    column = fixed_list_column(values)
    chunked = pa.chunked_array([column.slice(start), column.slice(0, start)])
    expected = np.concatenate([values[start:], values[:start]])
    np.testing.assert_array_equal(as_numpy(chunked), expected)
    plain = pa.array(column.to_pylist(), column.type)
    for _ in range(2):
        np.testing.assert_array_equal(as_numpy(plain), values)
        plain = plain.cast(pa.list_(column.type.value_type))


@given(arrays.filter(lambda values: values.ndim > 1), st.data())
def test_a_slice_with_null_rows_holds_its_own_numbers(values, data):
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    start = data.draw(st.integers(0, len(values) - 1))
    part = fixed_list_column(values, valid).slice(start)
    filled = as_numpy(part, null_as=0.0)
    np.testing.assert_array_equal(filled[valid[start:]], values[start:][valid[start:]])
    assert not filled[~valid[start:]].any()
    assert len(without_nulls(part)) == valid[start:].sum()


def test_numbers_in_fixed_lists_are_not_copied():
    values = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    column = fixed_list_column(values)
    assert np.shares_memory(as_numpy(column), values)
    assert np.shares_memory(as_numpy(column.slice(1)), values[1:])


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4)])
def test_null_rows_are_refused_or_filled_but_never_read_as_numbers(shape):
    values = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    column = fixed_list_column(values, valid=np.array([True, False, True]))
    assert column.null_count == 1
    with pytest.raises(ValueError, match="row 1 is null"):
        as_numpy(column)
    filled = as_numpy(column, null_as=float("nan"))
    np.testing.assert_array_equal(filled[[0, 2]], values[[0, 2]])
    assert np.isnan(filled[1]).all()


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="lists of 1 to 2 entries"):
        as_numpy(pa.array([[1.0], [2.0, 3.0]]))


def test_no_rows_of_a_fixed_list_keep_their_shape():
    assert as_numpy(pa.array([], LABELS.field("joints_mm").type)).shape == (0, 21, 3)


def test_columns_that_are_not_given_become_null():
    rows = rows_of(
        LABELS.empty_table().select(["frame_id", "confidence", "joint_confidence"]).schema,
        {"frame_id": ["a", "b"], "confidence": np.array([0.5, 0.25], np.float32)},
    )
    assert rows["confidence"].to_pylist() == [0.5, 0.25]
    assert rows["joint_confidence"].null_count == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"frame_id": ["a"], "hand_mm": [1]}, "hand_mm"),
        ({"round": [1]}, "frame_id"),
        ({"frame_id": ["a"], "round": [1, 2]}, "different lengths"),
        ({"frame_id": ["a"], "round": ["one"]}, "round"),
        ({"frame_id": ["a"], "round": [1], "joint_weight": np.zeros((1, 20))}, "joint_weight"),
    ],
)
def test_columns_that_do_not_fit_are_named(columns, message):
    schema = pa.schema(
        [
            pa.field("frame_id", pa.string(), nullable=False),
            pa.field("round", pa.int32()),
            pa.field("joint_weight", pa.list_(pa.float32(), 21)),
        ]
    )
    with pytest.raises(ValueError, match=message):
        rows_of(schema, columns)
