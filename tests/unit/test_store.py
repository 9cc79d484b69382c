"""What is committed exists once, and what is not committed does not exist."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from table_rows import ids, label_rows, labelled

from semihand.tables import ROUNDS, SCHEMAS, Shard, Store, as_numpy, scan

IDS = ids(9)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a campaign")
    made.create()
    return made


def files_of(store: Store, name: str) -> list[Path]:
    found = Path(store.path(name)).rglob("*")
    return [path for path in found if path.is_file() and "_delta_log" not in path.parts]


def test_a_store_holds_a_path_only_and_travels_to_workers(store):
    copy = pickle.loads(pickle.dumps(store))
    assert vars(copy) == {"folder": store.folder}
    assert copy.path("labels") == f"{store.folder}/tables/labels"


def test_a_relative_folder_is_the_same_campaign_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("campaigns/été 1")
    store.create()
    store.append("labels", label_rows(IDS[:2]), 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert labelled(store) == sorted(IDS[:2])
    assert Path(store.folder) == tmp_path / "campaigns/été 1"


@pytest.mark.parametrize("folder", ["", "50%2F50"])
def test_a_folder_that_cannot_be_a_campaign_is_refused(folder):
    with pytest.raises(ValueError, match="campaign folder"):
        Store(folder)


def test_an_object_store_uri_stays_a_uri():
    assert Store("s3://bucket/campaign/").path("labels") == "s3://bucket/campaign/tables/labels"


def test_a_table_that_does_not_exist_is_named(store):
    with pytest.raises(ValueError, match="'lables' does not exist; there are frames, labels"):
        store.path("lables")


def test_creating_again_and_by_many_at_once_makes_every_table_once(tmp_path):
    store = Store(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.create(), range(4)))
    assert {name: store.version(name) for name in SCHEMAS} == dict.fromkeys(SCHEMAS, 0)


def test_tables_keep_their_history_longer_than_any_round(store):
    for name in SCHEMAS:
        configuration = DeltaTable(store.path(name)).metadata().configuration
        assert configuration["delta.logRetentionDuration"] == "interval 3650 days"
        assert configuration["delta.deletedFileRetentionDuration"] == "interval 3650 days"


def test_a_table_of_other_columns_is_not_taken_for_ours(tmp_path):
    store = Store(tmp_path)
    DeltaTable.create(store.path("labels"), pa.schema([("frame_id", pa.string())]))
    with pytest.raises(ValueError, match=r"other columns.*joints_mm.*start a new campaign"):
        store.create()


def test_joints_come_back_byte_for_byte(store):
    rows = label_rows(IDS)
    store.append("labels", rows, 1)
    back = scan(store, "labels").collect().to_arrow()
    order = [back["frame_id"].to_pylist().index(each) for each in IDS]
    for name in ("joints_uv_px", "joints_mm", "corrected_mm", "label_mm", "confidence"):
        assert as_numpy(back[name].take(order)).tobytes() == as_numpy(rows[name]).tobytes()
    assert back["companion_frame_ids"].take(order).to_pylist() == rows["companion_frame_ids"].to_pylist()


def test_a_worker_that_dies_before_the_commit_leaves_nothing_to_see(store):
    lost = store.write_shard("labels", label_rows(IDS[:3]), 1)
    again = store.write_shard("labels", label_rows(IDS[:3]), 1)
    assert lost.path != again.path
    assert labelled(store) == []
    store.commit("labels", [again], 1)
    assert labelled(store) == sorted(IDS[:3])
    assert store.done_ids(1, "semihand") == set(IDS[:3])


def test_a_late_attempt_never_touches_a_committed_file(store):
    store.append("labels", label_rows(IDS[:3]), 1)
    before = {path: path.read_bytes() for path in files_of(store, "labels")}
    store.write_shard("labels", label_rows(IDS[:3]), 1)
    assert all(path.read_bytes() == data for path, data in before.items())
    scan(store, "labels", check=True)


def test_a_full_disk_leaves_no_file_and_the_old_rows(store, monkeypatch):
    store.append("labels", label_rows(IDS[:3]), 1)
    before = files_of(store, "labels")

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        store.write_shard("labels", label_rows(IDS[3:]), 1)
    assert files_of(store, "labels") == before
    assert labelled(store) == sorted(IDS[:3])


def test_shards_are_flushed_before_they_get_their_name(store, monkeypatch):
    events = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "rename", lambda *names: (events.append("rename"), rename(*names))[1])
    store.write_shard("labels", label_rows(IDS[:3]), 1)
    assert events == ["fsync", "rename", "fsync"]


def test_adding_the_same_shards_again_changes_nothing(store):
    shards = [store.write_shard("labels", label_rows(part), 1) for part in (IDS[:3], IDS[3:5])]
    version = store.commit("labels", shards, 1)
    assert store.commit("labels", shards, 1) == version == store.version("labels")
    third = store.write_shard("labels", label_rows(IDS[5:]), 1)
    store.commit("labels", [*shards, third, third], 1)
    assert labelled(store) == sorted(IDS)


def test_a_shard_travels_as_a_row_of_plain_values(store):
    shard = store.write_shard("labels", label_rows(IDS[:3]), 1)
    rows = pa.Table.from_pylist([shard.as_row()]).to_pylist()
    assert Shard.from_row(rows[0]) == shard
    assert (shard.num_rows, shard.round, shard.table) == (3, 1, "labels")


def test_rows_that_break_the_schema_never_reach_a_file(store):
    rows = label_rows(IDS[:3]).drop_columns(["confidence"])
    with pytest.raises(ValueError, match=r"missing .'confidence'."):
        store.write_shard("labels", rows, 1)
    assert files_of(store, "labels") == []


def test_no_rows_are_no_file_and_no_version(store):
    shard = store.write_shard("labels", label_rows([]), 1)
    assert store.commit("labels", [shard], 1) == 0
    assert files_of(store, "labels") == []


def test_a_shard_of_another_round_or_table_is_refused(store):
    shard = store.write_shard("labels", label_rows(IDS[:3]), 1)
    with pytest.raises(ValueError, match="commit to labels, round 2: a shard of labels, round 1"):
        store.commit("labels", [shard], 2)
    with pytest.raises(ValueError, match="commit to quarantine, round 1: a shard of labels"):
        store.commit("quarantine", [shard], 1)


def test_a_shard_whose_file_is_gone_is_refused(store):
    shard = store.write_shard("labels", label_rows(IDS[:3]), 1)
    (Path(store.path("labels")) / shard.path).unlink()
    with pytest.raises(FileNotFoundError, match="None are there; run the round again"):
        store.commit("labels", [shard], 1)
    assert store.version("labels") == 0


def test_words_given_to_a_commit_stay_with_it(store):
    version = store.commit("labels", [store.write_shard("labels", label_rows(IDS), 1)], 1, {"why": "a test"})
    entry = Path(store.path("labels")) / "_delta_log" / f"{version:020d}.json"
    assert '"why":"a test"' in entry.read_text()


def test_a_round_is_replaced_as_a_whole_and_the_others_stay(store):
    for round in (1, 2):
        store.append("labels", label_rows(IDS[:4], round), round)
    version = store.version("labels")
    store.replace_round("labels", label_rows(IDS[4:], 2), 2)
    assert labelled(store, round=1) == sorted(IDS[:4])
    assert labelled(store, round=2) == sorted(IDS[4:])
    assert scan(store, "labels", version=version).collect().height == 8
    store.replace_round("labels", label_rows([], 2), 2)
    assert labelled(store) == sorted(IDS[:4])


def test_a_table_without_rounds_cannot_have_one_replaced(store):
    with pytest.raises(ValueError, match="rounds is not partitioned"):
        store.replace_round("rounds", ROUNDS.empty_table(), 1)
