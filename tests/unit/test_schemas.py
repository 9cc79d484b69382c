"""What the schemas promise, and how rows that break it are refused."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_rows import frame_rows, ids, label_rows, quarantine_rows

from semihand.tables import FRAMES, LABELS, PICTURE_COLUMNS, SCHEMAS, TRUTH_COLUMNS, fixed_list_column
from semihand.tables.schemas import deterministic_columns
from semihand.tables.validation import check_round, checked_rows

ALL_FIELDS = [(name, field) for name, schema in SCHEMAS.items() for field in schema]


def with_column(rows: pa.Table, name: str, values: object) -> pa.Table:
    index = rows.column_names.index(name)
    return rows.set_column(index, name, values if isinstance(values, pa.Array) else pa.array(values))


@pytest.mark.parametrize(("table", "field"), ALL_FIELDS, ids=lambda value: getattr(value, "name", value))
def test_every_column_says_what_it_means_and_whether_it_is_deterministic(table, field):
    assert len(field.metadata[b"description"]) > 5
    assert field.metadata[b"deterministic"] in (b"true", b"false")


@pytest.mark.parametrize(("table", "field"), ALL_FIELDS, ids=lambda value: getattr(value, "name", value))
def test_a_name_that_ends_in_a_unit_has_that_unit(table, field):
    for unit in ("mm", "px", "s"):
        if field.name.endswith(f"_{unit}"):
            assert field.metadata[b"unit"] == unit.encode()


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_keys_and_partitions_are_required_columns(schema):
    for about in (b"key", b"partition"):
        for name in filter(None, schema.metadata[about].decode().split(",")):
            assert not schema.field(name).nullable


def test_truth_and_pictures_are_columns_of_frames_and_may_be_absent():
    for name in (*TRUTH_COLUMNS, *PICTURE_COLUMNS):
        assert FRAMES.field(name).nullable


def test_labels_of_the_same_frames_promise_the_same_joints_bytes():
    assert {"frame_id", "joints_uv_px", "joints_mm", "corrected_mm", "label_mm", "confidence"} <= set(
        deterministic_columns(LABELS)
    )


@given(st.integers(0, 4), st.booleans())
def test_good_rows_pass_unchanged_whatever_the_order_and_list_layout(num, shuffled):
    rows = label_rows(ids(num))
    loose = rows.set_column(
        rows.column_names.index("joints_mm"), "joints_mm",
        rows["joints_mm"].cast(pa.large_list(pa.list_(pa.float32()))),
    )  # fmt: skip
    loose = loose.set_column(0, "frame_id", loose["frame_id"].cast(pa.large_string()))
    loose = loose.select(sorted(loose.column_names)) if shuffled else loose
    checked = checked_rows(loose, LABELS)
    assert checked.schema.equals(LABELS)
    assert checked.equals(rows)


def test_truth_may_be_nan_exactly_where_it_is_not_valid():
    rows = frame_rows(3)
    uv_px = np.random.default_rng(3).uniform(0, 64, (3, 21, 2)).astype(np.float32)
    uv_px[1, 4] = np.nan
    valid = np.ones((3, 21), bool)
    valid[1, 4] = False
    rows = with_column(rows, "joints_uv_px", fixed_list_column(uv_px))
    flagged = with_column(rows, "joints_valid", fixed_list_column(valid))
    assert checked_rows(flagged, FRAMES).num_rows == 3
    partly = with_column(rows, "joints_valid", fixed_list_column(valid, np.array([True, True, False])))
    assert checked_rows(partly, FRAMES).num_rows == 3
    with pytest.raises(ValueError, match=r"frames\.joints_uv_px, row 1: nan"):
        checked_rows(rows, FRAMES)
    elsewhere = with_column(rows, "joints_valid", fixed_list_column(np.roll(valid, 1, axis=1)))
    with pytest.raises(ValueError, match=r"frames\.joints_uv_px, row 1: nan"):
        checked_rows(elsewhere, FRAMES)


@pytest.mark.parametrize("start", range(4))
def test_a_slice_is_checked_for_what_it_holds(start):
    values = np.random.default_rng(5).normal(size=(5, 21, 9)).astype(np.float32)
    values[3, 20, 8] = np.nan
    covariance = fixed_list_column(values, valid=np.array([True, False, True, True, False]))
    rows = with_column(label_rows(ids(5)), "joint_covariance", covariance)
    with pytest.raises(ValueError, match=f"joint_covariance, row {3 - start}: nan"):
        checked_rows(rows.slice(start), LABELS)
    assert checked_rows(rows.slice(start, 3 - start), LABELS).num_rows == 3 - start


def infinite_in_row_2(shape: tuple[int, ...]) -> pa.Array:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    values[2].flat[-1] = np.inf
    return fixed_list_column(values, np.arange(shape[0]) != 1)


JOINTS = [[[float(row), 1.0, 2.0]] * 21 for row in range(4)]
BROKEN = {
    "unknown column": (lambda rows: rows.append_column("mood", pa.array(["good"] * 4)), "unknown .'mood'."),
    "missing column": (lambda rows: rows.drop_columns(["confidence"]), "missing .'confidence'."),
    "doubles for floats": (lambda rows: with_column(rows, "confidence", [0.5] * 4), "confidence: type do"),
    "numbers for words": (lambda rows: with_column(rows, "model", [1, 2, 3, 4]), r"model: type int64"),
    "20 joints": (
        lambda rows: with_column(
            rows, "joints_mm",
            pa.array([*JOINTS[:2], JOINTS[2][:20], JOINTS[3]], pa.list_(pa.list_(pa.float32()))),
        ),
        r"joints_mm, row 2: a list of 20; 21",
    ),
    "a joint of 2 numbers": (
        lambda rows: with_column(
            rows, "joint_covariance",
            pa.array([None, None, None, [[1.0] * 9] * 20 + [[1.0] * 8]], pa.list_(pa.list_(pa.float32()))),
        ),
        r"joint_covariance, row 3: a list of 8; 9",
    ),
    "a null joint": (
        lambda rows: with_column(
            rows, "label_mm",
            pa.array([*JOINTS[:3], [*JOINTS[3][:20], None]], pa.list_(pa.list_(pa.float32(), 3), 21)),
        ),
        r"label_mm, row 3: null inside a list",
    ),
    "a null where required": (
        lambda rows: with_column(rows, "model", ["m", None, "m", "m"]), r"model, row 1: null",
    ),
    "all null where required": (lambda rows: with_column(rows, "model", [None] * 4), r"model, row 0: null"),
    "an infinite residual": (
        lambda rows: with_column(rows, "bone_residual_mm", infinite_in_row_2((4, 20))),
        r"bone_residual_mm, row 2: inf",
    ),
    "an infinite covariance": (
        lambda rows: with_column(rows, "joint_covariance", infinite_in_row_2((4, 21, 9))),
        r"joint_covariance, row 2: inf",
    ),
    "a confidence that is not a number": (
        lambda rows: with_column(rows, "confidence", pa.array([0, 1, 0, float("nan")], pa.float32())),
        r"confidence, row 3: nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("break_rows", "message"), BROKEN.values(), ids=BROKEN)
def test_rows_that_break_the_promise_are_refused_by_column_and_row(break_rows, message):
    with pytest.raises(ValueError, match=r"labels.*" + message):
        checked_rows(break_rows(label_rows(ids(4))), LABELS)


def test_a_distortion_of_any_length_passes_but_not_a_nan_in_it():
    rows = frame_rows(3)
    assert checked_rows(rows, FRAMES)["distortion"].to_pylist()[1] == [0.1] * 5
    rows = with_column(rows, "distortion", pa.array([None, [0.1, 0.2], [1.0, float("nan")]]))
    with pytest.raises(ValueError, match="distortion, row 2: nan"):
        checked_rows(rows, FRAMES)


def test_a_word_outside_its_closed_list_is_refused():
    rows = with_column(quarantine_rows(ids(3)), "reason", ["truncated", "ugly", "truncated"])
    with pytest.raises(ValueError, match=r"quarantine\.reason, row 1: 'ugly'"):
        checked_rows(rows, SCHEMAS["quarantine"])


def test_a_row_of_another_round_is_refused():
    rows = pa.concat_tables([label_rows(ids(2), round=1), label_rows(ids(1, 2), round=2)])
    with pytest.raises(ValueError, match=r"round, row 2: 2 in a shard of round 1"):
        check_round(rows, 1)
