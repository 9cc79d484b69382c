"""tables/witness.py: no bit of a log, of its checkpoints or of the note about it flips unseen."""

import json
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from table_rows import ids, label_rows

from semihand.tables import DamagedTable, Store, readers, scan
from semihand.tables.commits import round_app, seal_app
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


def left_by(store):
    """The only checkpoint of the labels' log, written by a tool that notes nothing."""
    uri = store.path("labels")
    DeltaTable(uri).create_checkpoint()
    [checkpoint] = Path(uri).glob("_delta_log/*.checkpoint.parquet")
    return checkpoint


def test_every_flipped_bit_of_a_checkpoint_that_was_noted_is_seen_and_without_it_nothing_is_missing(store):
    note, rng = Path(store.folder) / "witness" / "labels.json", random.Random(8)
    before = note.read_bytes()
    store.append("labels", label_rows(ids(2, 20)), 1)
    checkpoint = left_by(store)
    note.write_bytes(before)  # as if that commit had left the checkpoint, as each hundredth does
    store.create()
    whole = checkpoint.read_bytes()
    for bit in rng.sample(range(8 * len(whole)), 60):
        checkpoint.write_bytes(flipped(whole, bit))
        forget_logs()
        with pytest.raises(DamagedTable, match=checkpoint.name):
            scan(store, "labels")
    checkpoint.unlink()
    (checkpoint.parent / "_last_checkpoint").unlink()
    store.append("labels", label_rows(ids(1, 30)), 1)
    forget_logs()
    assert len(scan(store, "labels").collect()) == 12


def believed(store):
    """All that is made of a log."""
    table = open_table(store.path("labels"))
    apps = (round_app(1), round_app(2), seal_app(1), seal_app(2))
    columns = [(field.name, str(field.type), field.nullable) for field in table.schema().fields]
    return table.data_files(), list(map(table.transaction_version, apps)), table.metadata().partition_columns, columns


def test_a_flipped_bit_of_a_checkpoint_of_which_nothing_was_noted_is_refused_or_changes_nothing(store):
    store.append("labels", label_rows(ids(4, 40), round=2), 2)
    store.seal(1, ["semihand"], IDS)
    checkpoint, rng = left_by(store), random.Random(9)
    whole, truth, refused = checkpoint.read_bytes(), believed(store), 0
    named = [8 * match.end() - 7 for match in re.finditer(b"semihand-(seal|round)-1", whole)]
    assert named
    for bit in named + rng.sample(range(8 * len(whole)), 300):
        checkpoint.write_bytes(flipped(whole, bit))
        forget_logs()
        try:
            assert believed(store) == truth
        except DamagedTable:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("column", ["partitionValues", "path", "size", "schemaString"])
def test_a_checkpoint_of_which_nothing_was_noted_is_compared_in_all_that_is_used(store, column):
    store.append("labels", label_rows(ids(4, 40), round=2), 2)
    checkpoint = left_by(store)
    rows = pq.read_table(checkpoint).to_pylist()
    part = "metaData" if column == "schemaString" else "add"
    row = next(row[part] for row in rows if row[part] is not None)
    row[column] = {
        "partitionValues": [("round", "2" if dict(row.get("partitionValues", ())).get("round") == "1" else "1")],
        "path": "round=1/part-" + "0" * 64 + ".parquet",
        "size": 7,
        "schemaString": str(row.get("schemaString")).replace('"nullable":true', '"nullable":false', 1),
    }[column]
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(checkpoint)), checkpoint)
    (checkpoint.parent / "_last_checkpoint").unlink()
    forget_logs()
    with pytest.raises(DamagedTable, match="says something else than the log; delete it"):
        scan(store, "labels")
    with pytest.raises(DamagedTable, match="delete it"):
        store.append("labels", label_rows(ids(1, 60), round=2), 2)


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
