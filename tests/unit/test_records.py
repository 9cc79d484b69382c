"""tables/records.py: what is read is what was written, to the bit, or an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semihand.tables.records import RecordError, read_record, write_record

VALUES = {"step": 40, "rate": 0.1, "model": "9f3a", "curves": [{"step": 4.0, "total": 1e-3}], "nothing": None}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values=st.dictionaries(st.text(), PLAIN, max_size=4))
def test_what_is_read_is_what_was_written(values, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "record.json")
    write_record(path, values)
    assert read_record(path) == values


def test_any_flipped_bit_and_any_cut_is_seen(tmp_path):
    path = tmp_path / "record.json"
    write_record(str(path), VALUES)
    data = path.read_bytes()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(RecordError, match=r"record\.json"):
            read_record(str(path))
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(RecordError):
            read_record(str(path))


def test_no_record_is_none_and_numbers_that_are_none_are_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "record.json"
    assert read_record(str(path)) is None
    write_record(str(path), VALUES)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(str(path), {"loss": float("nan")})
    assert read_record(str(path)) == VALUES
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]
