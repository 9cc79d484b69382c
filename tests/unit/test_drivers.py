"""Two drivers at once, killed drivers, lost answers and torn logs: nothing lost, nothing doubled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake.exceptions import CommitFailedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_rows import ids, label_rows, labelled

from semihand.tables import ROUNDS, ConcurrentDriver, DamagedTable, Store, commits, rows_of, scan
from semihand.tables.repair import find_torn_end, take_away

IDS = ids(9)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a campaign")
    made.create()
    return made


def in_another_process(store: Store, lines: str) -> subprocess.CompletedProcess[str]:
    start = f"from semihand.tables import *\nfrom table_rows import *\nstore = Store({store.folder!r})\n"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", start + lines], env={**os.environ, "PYTHONPATH": paths}, text=True,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def log_entry(store: Store, name: str, version: int) -> Path:
    return Path(store.path(name)) / "_delta_log" / f"{version:020d}.json"


def test_a_second_driver_of_the_same_round_stops_the_first(store):
    store.append("labels", label_rows(IDS[:3]), 1)
    other = in_another_process(store, "store.append('labels', label_rows(ids(2, 3)), 1)")
    assert other.returncode == 0, other.stderr  # to a fresh process this is a resumed round
    with pytest.raises(ConcurrentDriver, match="another driver writes round 1"):
        store.append("labels", label_rows(IDS[5:]), 1)
    assert labelled(store) == sorted(IDS[:5])


def test_two_drivers_may_write_different_rounds_and_the_ledger(store):
    def ledger(step: str) -> pa.Table:
        return rows_of(ROUNDS, {"round": [1], "step": [step], "status": ["started"]})

    for name, rows in (("labels", label_rows(IDS[:3])), ("rounds", ledger("label"))):
        store.append(name, rows, 1)
    other = in_another_process(
        store,
        "store.append('labels', label_rows(ids(3), 2), 2)\n"
        "store.append('rounds', rows_of(ROUNDS, {'round': [1], 'step': ['train'], 'status': ['failed']}), 1)",
    )
    assert other.returncode == 0, other.stderr
    store.append("labels", label_rows(IDS[3:]), 1)
    store.append("rounds", ledger("seal"), 1)
    assert labelled(store, round=1) == sorted(IDS)
    assert sorted(scan(store, "rounds").collect()["step"]) == ["label", "seal", "train"]


def test_of_two_drivers_that_commit_at_the_same_moment_one_gets_the_error(store, monkeypatch):
    first, second = (store.write_shard("labels", label_rows(part), 1) for part in (IDS[:3], IDS[3:]))
    commit = commits._commit

    def overtaken(*arguments: object) -> None:
        monkeypatch.setattr(commits, "_commit", commit)
        monkeypatch.setattr(commits, "_LEFT_AT", {})  # the memory of the other process
        store.commit("labels", [second], 1)
        monkeypatch.undo()
        commit(*arguments)

    monkeypatch.setattr(commits, "_commit", overtaken)
    with pytest.raises(ConcurrentDriver, match="stop one of the two"):
        store.commit("labels", [first], 1)
    assert labelled(store) == sorted(IDS[3:])


def test_a_campaign_made_again_in_the_same_folder_is_another_campaign(store):
    store.append("labels", label_rows(IDS[:3]), 1)
    shutil.rmtree(store.folder)
    store.create()
    store.append("labels", label_rows(IDS[3:]), 1)
    assert labelled(store) == sorted(IDS[3:])


def test_a_commit_whose_answer_is_lost_is_not_made_twice(store, monkeypatch):
    shard = store.write_shard("labels", label_rows(IDS[:3]), 1)
    commit = commits._commit

    def commit_without_answer(*arguments: object) -> None:
        commit(*arguments)
        monkeypatch.setattr(commits, "_commit", commit)
        raise CommitFailedError("the connection broke")

    monkeypatch.setattr(commits, "_commit", commit_without_answer)
    assert store.commit("labels", [shard], 1) == 1
    assert labelled(store) == sorted(IDS[:3])
    store.append("labels", label_rows(IDS[3:]), 1)
    assert labelled(store) == sorted(IDS)


KILLED_AT = {
    "before the shard has its name": ("os.rename = die", 0),
    "before the commit": ("commits._commit = die", 0),
    "after the commit": ("commits._sync_log = die", 4),
}


@pytest.mark.parametrize("moment", KILLED_AT)
def test_a_killed_driver_leaves_all_or_nothing_and_the_next_one_goes_on(store, moment):
    failpoint, num_survived = KILLED_AT[moment]
    dead = in_another_process(
        store,
        "import os\nfrom semihand.tables import commits\n"
        "def die(*arguments):\n    os.kill(os.getpid(), 9)\n"
        f"{failpoint}\nstore.append('labels', label_rows(ids(4)), 1)",
    )
    assert dead.returncode == -9, dead.stderr
    assert store.done_ids(1, "semihand") == set(IDS[:num_survived])
    todo = sorted(set(IDS) - store.done_ids(1, "semihand"))
    store.append("labels", label_rows(todo), 1)
    assert store.seal(1, ["semihand"], IDS).num_labels == 9
    scan(store, "labels", check=True)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_round_resumed_after_any_deaths_ends_as_if_nothing_had_happened(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("campaign"))
    store.create()
    for _ in range(12):
        todo = sorted(set(IDS) - store.done_ids(1, "semihand"))
        if not todo:
            break
        cut = data.draw(st.integers(1, len(todo)))
        shards = [store.write_shard("labels", label_rows(part), 1) for part in (todo[:cut], todo[cut:])]
        num_committed = data.draw(st.integers(0, 2))
        store.commit("labels", shards[:num_committed], 1)
        store.commit("labels", shards[: data.draw(st.integers(0, num_committed))], 1)
    store.append("labels", label_rows(sorted(set(IDS) - store.done_ids(1, "semihand"))), 1)
    assert store.seal(1, ["semihand"], IDS).num_labels == 9
    rows = scan(store, "labels").sort("frame_id").collect()
    undisturbed = pl.from_arrow(label_rows(sorted(IDS)))
    assert rows["joints_mm"].to_numpy().tobytes() == undisturbed["joints_mm"].to_numpy().tobytes()


@pytest.mark.parametrize("num_bytes", [0, 1, 40, -200, None])
@pytest.mark.parametrize("which", [1, 2])
def test_a_torn_log_entry_is_refused_not_forgotten(store, which, num_bytes):
    store.append("labels", label_rows(IDS[:5]), 1)
    store.append("labels", label_rows(IDS[5:]), 1)
    entry = log_entry(store, "labels", which)
    whole = entry.read_bytes()
    entry.write_bytes(whole.splitlines()[0] if num_bytes is None else whole[:num_bytes])
    with pytest.raises(DamagedTable, match="torn"):
        scan(store, "labels").collect()
    with pytest.raises(DamagedTable, match="torn"):
        store.append("labels", label_rows(ids(1, 30)), 1)


@pytest.mark.parametrize("num_bytes", [0, 100, None])
def test_the_way_out_of_a_torn_last_entry_is_to_lay_it_aside_and_run_again(store, num_bytes, monkeypatch):
    store.append("labels", label_rows(IDS[:5]), 1)
    store.append("labels", label_rows(IDS[5:]), 1)
    uri, entry = store.path("labels"), log_entry(store, "labels", 2)
    assert find_torn_end(uri) is None
    whole = entry.read_bytes()
    entry.unlink() if num_bytes is None else entry.write_bytes(whole[:num_bytes])
    with pytest.raises(DamagedTable, match="is gone" if num_bytes is None else "--task repair lays it aside"):
        store.done_ids(1, "semihand")
    torn = find_torn_end(uri)
    assert (torn.uri, torn.entry) == (uri, 2)
    aside = Path(take_away(torn))
    assert num_bytes is None or aside.read_bytes() == whole[:num_bytes]
    assert store.done_ids(1, "semihand") == set(IDS[:5])
    monkeypatch.setattr(commits, "_LEFT_AT", {})  # as the next process
    store.append("labels", label_rows(IDS[5:]), 1)
    assert store.done_ids(1, "semihand") == set(IDS)
    assert find_torn_end(uri) is None


def test_a_torn_entry_before_the_last_one_cannot_be_laid_aside(store):
    store.append("labels", label_rows(IDS[:5]), 1)
    store.append("labels", label_rows(IDS[5:]), 1)
    log_entry(store, "labels", 1).write_bytes(b"")
    with pytest.raises(DamagedTable, match=r"00001\.json: this log entry is empty or torn"):
        find_torn_end(store.path("labels"))
