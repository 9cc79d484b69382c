"""tables/compaction.py: fewer files, the same rows, and every version that somebody keeps."""

from pathlib import Path

import pytest
from table_rows import ids, label_rows

from semihand.tables import SealedRound, Store, compaction, scan
from semihand.tables.compaction import compact, vacuum
from semihand.tables.comparing import differences, first_difference
from semihand.tables.log import open_table
from semihand.tables.sweeping import stray_files
from semihand.tables.witness import DamagedTable, forget_logs

IDS = ids(9)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a campaign")
    made.create()
    for part in (IDS[5:], IDS[:3], IDS[3:5]):
        made.append("labels", label_rows(part), 1)
    made.append("labels", label_rows(IDS[:2], 2), 2)
    made.seal(1, ["semihand"], IDS)
    return made


def held(store: Store, version: int | None = None) -> int:
    return sum(map(len, open_table(store.path("labels"), version).data_files().values()))


def test_a_sealed_round_becomes_one_file_with_its_rows_in_order_and_stays_sealed(store, tmp_path):
    before, version = scan(store, "labels").collect(), store.version("labels")
    assert compact(store, "labels", 1) == 2
    assert compact(store, "labels", 1) == compact(store, "labels", 2) == 0
    after = scan(store, "labels", check=True).collect()
    assert first_difference(after, before, ["frame_id", "round"]) == ""
    assert scan(store, "labels", round=1).collect()["frame_id"].to_list() == sorted(IDS)
    assert held(store) == 2
    assert store.is_sealed(1)
    with pytest.raises(SealedRound):
        store.append("labels", label_rows(ids(1, 30)), 1)
    assert scan(store, "labels", version).collect().equals(before)
    forget_logs()
    assert len(scan(store, "labels").collect()) == 11


def test_a_table_without_rounds_is_compacted_as_a_whole(store):
    from semihand.tables import ROUNDS, rows_of

    rows = {"step": ["label"], "status": ["finished"], "started": [None], "finished": [None], "table_versions": ["{}"],
            "hashes": ["{}"], "thresholds": ["{}"], "model_sha256": [None], "model_uri": [None],
            "mlflow_run_id": [None], "metrics": ["{}"]}  # fmt: skip
    for number in (1, 2, 3):
        store.append("rounds", rows_of(ROUNDS, {"round": [number], **rows}), number)
    assert compact(store, "rounds", None) == 2
    assert scan(store, "rounds").collect()["round"].to_list() == [1, 2, 3]


def test_files_that_came_out_different_take_no_place(store, monkeypatch):
    write = Store.write_shard
    monkeypatch.setattr(Store, "write_shard", lambda self, name, rows, round: write(self, name, rows.slice(1), round))
    version = store.version("labels")
    with pytest.raises(DamagedTable, match=r"differ from the table: 8 rows and 9; nothing was changed"):
        compact(store, "labels", 1)
    monkeypatch.setattr(compaction, "_check_same", lambda *arguments: None)
    with pytest.raises(ValueError, match="only files may be others"):
        compact(store, "labels", 1)
    assert store.version("labels") == version


def test_a_vacuum_takes_what_no_kept_version_holds_and_says_so_before(store):
    version = store.version("labels")
    compact(store, "labels", 1)
    assert vacuum(store, "labels", [version], 0, remove=True) == []
    assert held(store, version) == 4
    named = vacuum(store, "labels", [], 0, remove=False)
    assert len(named) == 3
    assert len(scan(store, "labels", version, check=True).collect()) == 11
    assert vacuum(store, "labels", [], 24, remove=True) == []
    assert vacuum(store, "labels", [], 0, remove=True) == named
    assert not any((Path(store.path("labels")) / path).exists() for path in named)
    forget_logs()
    assert len(scan(store, "labels", check=True).collect()) == 11
    assert stray_files(store.folder, 0.0) == []
    assert differences(store, store) == []
