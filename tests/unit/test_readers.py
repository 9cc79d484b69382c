"""What readers get: fixed shapes, any version, and no changed byte unnoticed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable
from table_rows import frame_rows, ids, label_rows, quarantine_rows

from semihand.tables import (
    FRAMES,
    LABELS,
    SCHEMAS,
    DamagedTable,
    Store,
    as_numpy,
    fixed_list_column,
    read_rows,
    scan,
)
from semihand.tables.witness import forget_logs

IDS = ids(8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "campaign")
    made.create()
    return made


def data_files(store: Store, name: str = "labels") -> list[Path]:
    return sorted(Path(store.path(name)).rglob("part-*.parquet"))


@pytest.mark.parametrize("filled", [False, True])
def test_joints_have_their_shape_in_the_type_with_and_without_rows(store, filled):
    if filled:
        store.append("labels", label_rows(IDS), 1)
    schema = scan(store, "labels").collect().schema
    assert schema["joints_mm"] == pl.Array(pl.Float32, (21, 3))
    assert schema["joint_covariance"] == pl.Array(pl.Float32, (21, 9))
    assert schema["bone_mm"] == pl.Array(pl.Float32, 20)
    assert schema["companion_frame_ids"] == pl.List(pl.String)
    assert schema["round"] == pl.Int32
    assert schema == scan(store, "labels").collect_schema()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_reads_in_its_schemas_column_order(store, name):
    assert scan(store, name).collect_schema().names() == SCHEMAS[name].names


def test_frames_with_and_without_truth_read_back(store):
    rows = frame_rows(4)
    store.append("frames", rows)
    back = scan(store, "frames").sort("frame_id").collect()
    expected = pl.from_arrow(rows).sort("frame_id")
    assert back.equals(expected)
    assert back["joints_mm"].null_count() == 4


def test_slices_of_a_table_are_written_as_the_rows_they_are(store):
    rows = frame_rows(7)
    uv_px = as_numpy(rows["joints_uv_px"])
    masked = fixed_list_column(uv_px, valid=np.array([True, True, False, True, True, False, True]))
    rows = rows.set_column(rows.column_names.index("joints_uv_px"), FRAMES.field("joints_uv_px"), masked)
    store.commit("frames", [store.write_shard("frames", rows.slice(at, 2)) for at in range(1, 7, 2)])
    back = scan(store, "frames").sort("frame_id").collect()["joints_uv_px"].to_list()
    expected = sorted(zip(rows["frame_id"].to_pylist(), rows["joints_uv_px"].to_pylist(), strict=True))
    left_out = rows["frame_id"][0].as_py()
    assert back == [joints for frame, joints in expected if frame != left_out]


def test_a_store_and_its_folder_read_the_same(store):
    store.append("labels", label_rows(IDS), 1)
    for campaign in (store.folder, Path(store.folder)):
        assert scan(campaign, "labels").collect().equals(scan(store, "labels").collect())


def test_an_older_version_is_read_as_it_was(store):
    first = store.append("labels", label_rows(IDS[:3]), 1)
    second = store.append("labels", label_rows(IDS[3:]), 1)
    store.replace_round("labels", label_rows(IDS[:1]), 1)
    heights = [scan(store, "labels", version).collect().height for version in (0, first, second, None)]
    assert heights == [0, 3, 8, 1]


@pytest.mark.parametrize("version", [-1, 2, 2**70])
def test_a_version_that_never_was_is_refused(store, version):
    store.append("labels", label_rows(IDS), 1)
    with pytest.raises(ValueError, match=f"no version {version}; the latest is 1"):
        scan(store, "labels", version)


def test_rows_that_were_read_can_be_written_again(store):
    store.append("labels", label_rows(IDS), 1)
    rows = read_rows(store, "labels", pl.col("frame_id").is_in(IDS[:3]))
    assert rows.schema.equals(LABELS)
    assert rows.sort_by("frame_id").equals(label_rows(sorted(IDS[:3])))
    store.replace_round("labels", scan(store, "labels").head(2).collect().to_arrow(), 1)
    assert scan(store, "labels").collect().height == 2


def test_a_frame_once_scanned_stays_at_its_version(store):
    store.append("labels", label_rows(IDS[:3]), 1)
    lazy = scan(store, "labels")
    store.append("labels", label_rows(IDS[3:]), 1)
    assert lazy.collect().height == 3


def test_plain_polars_reads_the_same_rows_as_lists(store):
    store.append("labels", label_rows(IDS), 1)
    plain = pl.scan_delta(store.path("labels")).sort("frame_id").collect()
    shaped = scan(store, "labels").sort("frame_id").collect()
    assert plain["joints_mm"].to_list() == shaped["joints_mm"].to_list()
    by_subject = pl.scan_delta(store.path("labels")).group_by("subject_id").agg(
        pl.col("predicted_error_mm").mean()
    )  # fmt: skip
    assert by_subject.collect().height == plain["subject_id"].n_unique()


def test_filters_on_any_column_keep_the_right_rows(store):
    for round in (1, 2):
        store.append("labels", label_rows(IDS, round), round)
    rows = pl.from_arrow(label_rows(IDS))
    found = scan(store, "labels").filter(pl.col("confidence") > 0.5, pl.col("round") == 2).collect()
    assert sorted(found["frame_id"]) == sorted(rows.filter(pl.col("confidence") > 0.5)["frame_id"])


@pytest.mark.parametrize("folder", ["with space", "größe", "a#b?c", "[x]*", "round=7", "seed=1&lr=0.1"])
def test_a_campaign_may_lie_below_any_ordinary_name(tmp_path, folder):
    store = Store(tmp_path / folder)
    store.create()
    store.append("labels", label_rows(IDS), 1)
    store.append("quarantine", quarantine_rows(ids(2, 40)), 1)
    store.seal(1, ["semihand"], [*IDS, *ids(2, 40)])
    assert scan(store, "labels", check=True).filter(round=1).collect().height == 8
    assert store.is_sealed(1)


def test_a_flipped_bit_is_found_and_its_file_named(store):
    for part in (IDS[:4], IDS[4:]):
        store.append("labels", label_rows(part), 1)
    scan(store, "labels", check=True)
    victim = data_files(store)[1]
    for offset in (4, 600, victim.stat().st_size // 2, -9):
        data = bytearray(victim.read_bytes())
        data[offset] ^= 1
        original, _ = victim.read_bytes(), victim.write_bytes(data)
        with pytest.raises(DamagedTable, match=victim.name):
            scan(store, "labels", check=True)
        victim.write_bytes(original)
    scan(store, "labels", check=True)


def test_a_missing_file_is_found_and_named(store):
    store.append("labels", label_rows(IDS), 1)
    victim = data_files(store)[0]
    victim.unlink()
    with pytest.raises(DamagedTable, match=f"{victim.name}: sha256 of a missing file"):
        scan(store, "labels", check=True)


@pytest.mark.parametrize("elsewhere", ["../frames/part.parquet", "file:///srv/part.parquet", "/srv/part.parquet"])
def test_a_log_that_names_a_file_outside_its_table_is_refused(store, elsewhere):
    store.append("labels", label_rows(IDS), 1)
    entry = sorted(Path(store.path("labels"), "_delta_log").glob("*.json"))[-1]
    [name] = [path.relative_to(store.path("labels")).as_posix() for path in data_files(store)]
    assert name in entry.read_text()
    entry.write_text(entry.read_text().replace(name, elsewhere))
    Path(store.folder, "witness", "labels.json").unlink()  # as of a table that another tool wrote
    forget_logs()
    with pytest.raises(DamagedTable, match=rf"names {elsewhere}, outside the table"):
        scan(store, "labels")


def test_vacuum_takes_no_shard_between_its_writing_and_its_commit(store):
    store.append("labels", label_rows(IDS[:4]), 1)
    shard = store.write_shard("labels", label_rows(IDS[4:]), 1)
    DeltaTable(store.path("labels")).vacuum(dry_run=False, full=True)
    store.commit("labels", [shard], 1)
    assert scan(store, "labels", check=True).collect().height == 8


def test_compaction_by_another_tool_keeps_the_rows_but_not_the_digests(store):
    for part in (IDS[:4], IDS[4:]):
        store.append("labels", label_rows(part), 1)
    before = scan(store, "labels").sort("frame_id").collect()
    DeltaTable(store.path("labels")).optimize.compact()
    assert scan(store, "labels").sort("frame_id").collect().equals(before)
    store.append("labels", label_rows(ids(2, 60)), 1)
    assert scan(store, "labels").collect().height == 10
    with pytest.raises(DamagedTable, match="semihand did not write it"):
        scan(store, "labels", check=True)


def test_rows_and_seals_survive_a_checkpoint_and_the_loss_of_older_log_entries(store):
    for part in (IDS[:4], IDS[4:]):
        store.append("labels", label_rows(part), 1)
    store.seal(1, ["semihand"], IDS)
    DeltaTable(store.path("labels")).create_checkpoint()
    for entry in range(3):
        (Path(store.path("labels")) / "_delta_log" / f"{entry:020d}.json").unlink()
    assert scan(store, "labels", check=True).collect()["frame_id"].n_unique() == 8
    assert store.is_sealed(1)


def test_what_is_not_there_is_named_with_the_way_out(tmp_path, store):
    with pytest.raises(FileNotFoundError, match=r"no table at .*nowhere/tables/labels; Store"):
        scan(tmp_path / "nowhere", "labels")
    with pytest.raises(ValueError, match="'lables' does not exist"):
        scan(store, "lables")
