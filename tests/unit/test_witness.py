"""tables/witness.py: no bit of a log, of its checkpoints or of the note about it flips unseen."""

import json
import random
from pathlib import Path

import pytest
from deltalake import DeltaTable
from table_rows import ids, label_rows

from semihand.tables import DamagedTable, Store, readers, scan
from semihand.tables.log import open_table
from semihand.tables.witness import entry_uri, forget_logs, noted_version

IDS = ids(9)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a campaign")
    made.create()
    for part in (IDS[:3], IDS[3:5], IDS[5:]):
        made.append("labels", label_rows(part), 1)
    return made


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_of_a_log_is_seen_by_a_process_that_begins(store):
    rng = random.Random(7)
    for number in range(4):
        entry = Path(entry_uri(store.path("labels"), number))
        whole = entry.read_bytes()
        for bit in rng.sample(range(8 * len(whole)), 40):
            entry.write_bytes(flipped(whole, bit))
            forget_logs()
            with pytest.raises(DamagedTable):
                scan(store, "labels")
        entry.write_bytes(whole)
    forget_logs()
    assert len(scan(store, "labels").collect()) == 9


def test_every_flipped_bit_of_the_note_is_seen(store):
    note = Path(store.folder) / "witness" / "labels.json"
    whole = note.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        note.write_bytes(flipped(whole, bit))
        with pytest.raises(DamagedTable, match="if the log is known to be whole, delete that file"):
            scan(store, "labels")


def test_a_commit_of_which_nothing_was_noted_yet_counts_and_is_noted_with_the_next(store):
    note = Path(store.folder) / "witness" / "labels.json"
    before = note.read_bytes()
    store.append("labels", label_rows(ids(2, 20)), 1)
    note.write_bytes(before)  # its driver was killed in between
    forget_logs()
    assert noted_version(store.path("labels")) == 3
    assert len(scan(store, "labels").collect()) == 11
    store.append("labels", label_rows(ids(1, 30)), 1)
    assert noted_version(store.path("labels")) == 5


def test_a_log_whose_last_driver_died_before_the_note_is_noted_by_whoever_goes_on(store):
    note = Path(store.folder) / "witness" / "labels.json"
    before = note.read_bytes()
    store.append("labels", label_rows(ids(2, 20)), 1)
    for lost in (lambda: note.write_bytes(before), note.unlink):
        lost()
        Store(store.folder).create()
        assert noted_version(store.path("labels")) == 4


def test_a_checkpoint_of_the_log_that_says_something_else_is_refused(store):
    uri = store.path("labels")
    DeltaTable(uri).create_checkpoint()
    forget_logs()
    assert len(scan(store, "labels").collect()) == 9
    shard = open_table(uri).data_files()[1][0].rsplit("/", 1)[-1]
    [checkpoint] = Path(uri).glob("_delta_log/*.checkpoint.parquet")
    fewer = Store(Path(store.folder).parent / "fewer")  # of which a whole checkpoint is taken
    fewer.create()
    for part in (IDS[:3], IDS[3:5], IDS[5:]):
        fewer.append("labels", label_rows(part), 1)
    DeltaTable(fewer.path("labels")).create_checkpoint()
    [other] = Path(fewer.path("labels")).glob("_delta_log/*.checkpoint.parquet")
    assert shard not in str(other.read_bytes())
    checkpoint.write_bytes(other.read_bytes())
    size = json.loads((checkpoint.parent / "_last_checkpoint").read_text())
    assert size["version"] == 3
    forget_logs()
    with pytest.raises(DamagedTable):
        scan(store, "labels")


def test_a_shard_is_compared_with_its_digest_before_its_rows_are_read(store):
    uri = open_table(store.path("labels")).data_files()[1][0]
    whole = Path(uri).read_bytes()
    Path(uri).write_bytes(flipped(whole, 8 * len(whole) // 3))
    with pytest.raises(DamagedTable, match=Path(uri).name):
        scan(store, "labels", round=1)
    scan(store, "labels", round=2)  # of which it is none


def test_each_file_is_hashed_once_in_a_process(store, monkeypatch):
    hashed = []
    monkeypatch.setattr(readers, "check_digest", hashed.append)
    for _ in range(2):
        scan(store, "labels")
    assert len(hashed) == len(set(hashed)) == 3
    Path(hashed[0]).touch()
    scan(store, "labels")
    assert hashed[3:] == hashed[:1]
