"""tables/sweeping.py: what killed processes left is found, and nothing that any version of a table holds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from table_rows import ids, label_rows, labelled

from semihand.tables import DamagedTable, Store, scan
from semihand.tables.sweeping import stray_files, sweep

IDS = ids(9)
HOUR_S = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a campaign")
    made.create()
    made.append("labels", label_rows(IDS[:3]), 1)
    return made


def aged(path: Path, hours: float) -> Path:
    then = time.time() - hours * HOUR_S
    os.utime(path, (then, then))
    return path


def test_shards_of_no_commit_and_unfinished_files_are_strays_once_they_are_old(store):
    folder = Path(store.folder)
    lost = Path(store.path("labels")) / store.write_shard("labels", label_rows(IDS[3:]), 1).path
    unfinished = folder / "rounds" / "1" / ".0123.unfinished"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"half")
    of_a_set = Store(folder / "source")
    of_a_set.create(["labels"])
    also_lost = Path(of_a_set.path("labels")) / of_a_set.write_shard("labels", label_rows(IDS, 2), 2).path
    strays = {aged(path, 3) for path in (lost, unfinished, also_lost)}
    young = Path(store.path("labels")) / store.write_shard("labels", label_rows(IDS[3:]), 1).path
    found = stray_files(folder, 2 * HOUR_S)
    assert {Path(stray.uri) for stray in found} == strays
    assert {stray.size for stray in found if stray.uri.endswith("unfinished")} == {4}
    assert all(2.9 * HOUR_S < stray.age_s < 3.1 * HOUR_S for stray in found)
    sweep(found)
    sweep(found)
    assert not any(path.exists() for path in strays)
    assert young.exists()
    assert labelled(store) == sorted(IDS[:3])


DYING = """
import resource, signal, sys
from deltalake import DeltaTable
table = DeltaTable(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))  # the system kills it for the eleventh byte of the entry
table.alter.set_table_description("to be written down")
"""


def test_what_a_death_inside_deltalake_leaves_is_a_stray_once_it_is_old_and_nobody_minds_it(store):
    log = Path(store.path("labels")) / "_delta_log"
    whole = {path.name for path in log.iterdir()}
    died = subprocess.run([sys.executable, "-c", DYING, store.path("labels")], check=False)
    assert died.returncode == -signal.SIGXFSZ
    [left] = [path for path in log.iterdir() if path.name not in whole]
    assert left.stat().st_size <= 10
    os.link(log / f"{1:020d}.json", log / f"{1:020d}.json#1")  # of one who died between its two names
    assert stray_files(store.folder, HOUR_S) == []
    assert {Path(stray.uri) for stray in stray_files(store.folder, 0.0)} == {left, log / f"{1:020d}.json#1"}
    assert [Path(stray.uri) for stray in stray_files(aged(left, 2).parents[3], HOUR_S)] == [left]
    assert labelled(store) == sorted(IDS[:3])
    sweep(stray_files(store.folder, 0.0))
    assert {path.name for path in log.iterdir()} == whole
    store.append("labels", label_rows(IDS[3:]), 1)
    assert labelled(store) == sorted(IDS)


def test_what_another_version_holds_is_no_stray(store):
    store.append("subjects", subject_rows(1), 1)
    version = store.version("subjects")
    store.replace_round("subjects", subject_rows(2), 1)
    assert stray_files(store.folder, 0.0) == []
    assert scan(store, "subjects", version).collect()["num_frames"].to_list() == [1]


def subject_rows(num_frames: int):
    from semihand.tables import SUBJECTS, rows_of

    return rows_of(SUBJECTS, {
        "subject_id": ["ada"], "round": [1], "bone_mm": [[30.0] * 20], "palm_mm": [None], "num_frames": [num_frames],
    })  # fmt: skip


def test_a_log_that_cannot_be_read_makes_nobody_sweep(store):
    lost = Path(store.path("labels")) / store.write_shard("labels", label_rows(IDS[3:]), 1).path
    (Path(store.path("labels")) / "_delta_log" / f"{1:020d}.json").write_bytes(b"")
    with pytest.raises(DamagedTable, match="torn"):
        stray_files(store.folder, 0.0)
    assert lost.exists()
