"""A seal says that every frame of a manifest is accounted for once, and means it."""

from pathlib import Path

import pytest
from deltalake import DeltaTable
from table_rows import ids, label_rows, quarantine_rows

from semihand.tables import DamagedTable, SealedRound, SealError, Store, commits, seals

IDS = ids(9)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a campaign")
    made.create()
    return made


def test_a_complete_round_is_sealed_with_both_versions(store):
    store.append("labels", label_rows(IDS[:4]), 1)
    store.append("labels", label_rows(IDS[4:7]), 1)
    store.append("quarantine", quarantine_rows(IDS[7:]), 1)
    assert not store.is_sealed(1)
    record = store.seal(1, ["semihand"], reversed(IDS))
    assert (record.num_frames, record.num_labels, record.num_quarantined) == (9, 7, 2)
    assert (record.labels_version, record.quarantine_version) == (2, 1)
    assert store.is_sealed(1)
    assert not store.is_sealed(2)
    versions = store.version("labels"), store.version("quarantine")
    assert store.seal(1, ["semihand"], IDS) == record == store.seal_record(1)
    assert (store.version("labels"), store.version("quarantine")) == versions
    with pytest.raises(SealError, match="another manifest of 9 frames"):
        store.seal(1, ["semihand"], IDS[:8])


def test_a_sealed_round_takes_no_more_rows_but_the_next_one_does(store):
    committed = store.write_shard("labels", label_rows(IDS), 1)
    store.commit("labels", [committed], 1)
    store.seal(1, ["semihand"], IDS)
    store.commit("labels", [committed], 1)
    for name, rows in (("labels", label_rows(ids(1, 20))), ("quarantine", quarantine_rows(ids(1, 20)))):
        with pytest.raises(SealedRound, match="round 1 is sealed; start round 2"):
            store.append(name, rows, 1)
    with pytest.raises(SealedRound, match="round 1 is sealed"):
        store.replace_round("labels", label_rows(IDS[:1]), 1)
    store.append("labels", label_rows(IDS, 2), 2)
    assert store.is_sealed(1)


def doubled_label(store: Store) -> None:
    store.append("labels", label_rows(IDS[:8]), 1)
    store.append("labels", label_rows(IDS[:1]), 1)  # nine rows for nine frames, and yet one is lost


def lost_frame(store: Store) -> None:
    store.append("labels", label_rows(IDS[:7]), 1)
    store.append("quarantine", quarantine_rows(IDS[7:8]), 1)


def in_both(store: Store) -> None:
    store.append("labels", label_rows(IDS), 1)
    store.append("quarantine", quarantine_rows(IDS[:2]), 1)


def quarantined_twice(store: Store) -> None:
    store.append("labels", label_rows(IDS[:8]), 1)
    for _ in range(2):
        store.append("quarantine", quarantine_rows(IDS[8:]), 1)


def stranger(store: Store) -> None:
    store.append("labels", label_rows([*IDS, *ids(1, 50)]), 1)


def another_labeller(store: Store) -> None:
    store.append("labels", label_rows(IDS), 1)
    store.append("labels", label_rows(IDS, labeller="parts"), 1)


def another_round(store: Store) -> None:
    store.append("labels", label_rows(IDS[:8]), 1)
    store.append("labels", label_rows(IDS, 2), 2)


INCOMPLETE = {
    "labelled twice: 1 frames": doubled_label,
    f"neither labelled nor quarantined: 1 frames .{IDS[8]}": lost_frame,
    "labelled and quarantined: 2 frames": in_both,
    "quarantined twice: 1 frames": quarantined_twice,
    "not in the manifest: 1 frames": stranger,
    "labels by .'parts'.": another_labeller,
    "neither labelled nor quarantined: 1": another_round,
}


@pytest.mark.parametrize("message", INCOMPLETE)
def test_a_round_that_is_not_its_manifest_is_not_sealed(store, message):
    INCOMPLETE[message](store)
    versions = store.version("labels"), store.version("quarantine")
    with pytest.raises(SealError, match=message):
        store.seal(1, ["semihand"], IDS)
    assert not store.is_sealed(1)
    assert (store.version("labels"), store.version("quarantine")) == versions


def test_a_manifest_that_repeats_an_id_is_not_sealed(store):
    store.append("labels", label_rows(IDS), 1)
    with pytest.raises(SealError, match="manifest ids twice: 1 frames"):
        store.seal(1, ["semihand"], [*IDS, IDS[0]])


def test_each_of_two_labellers_answers_for_every_frame(store):
    store.append("labels", label_rows(IDS), 1)
    store.append("labels", label_rows(IDS[:8], labeller="parts"), 1)
    with pytest.raises(SealError, match="labeller parts: neither labelled nor quarantined: 1"):
        store.seal(1, ["semihand", "parts"], IDS)
    store.append("labels", label_rows(IDS[8:], labeller="parts"), 1)
    assert store.seal(1, ["semihand", "parts"], IDS).num_labels == 18


def test_a_repeated_manifest_row_is_quarantined_beside_its_labelled_frame(store):
    store.append("quarantine", quarantine_rows(IDS[:2], reason="duplicate"), 1)
    assert store.done_ids(1, "semihand") == set()
    store.append("labels", label_rows(IDS), 1)
    assert store.seal(1, ["semihand"], IDS).num_quarantined == 2


def test_a_kill_between_the_two_seals_only_means_sealing_again(store, monkeypatch):
    store.append("labels", label_rows(IDS), 1)

    def killed_at_labels(uri: str, *arguments: object, **options: object) -> int:
        if uri.endswith("labels"):
            raise KeyboardInterrupt
        return commits.apply(uri, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(seals, "apply", killed_at_labels)
        with pytest.raises(KeyboardInterrupt):
            store.seal(1, ["semihand"], IDS)
    assert not store.is_sealed(1)
    store.seal(1, ["semihand"], IDS)
    assert store.is_sealed(1)


def test_done_is_what_this_labeller_labelled_or_anyone_quarantined_in_this_round(store):
    store.append("labels", label_rows(IDS[:2]), 1)
    store.append("labels", label_rows(IDS[2:4], labeller="parts"), 1)
    store.append("labels", label_rows(IDS[4:6], 2), 2)
    store.append("quarantine", quarantine_rows(IDS[6:8]), 1)
    assert store.done_ids(1, "semihand") == {*IDS[:2], *IDS[6:8]}
    assert store.done_ids(2, "semihand") == set(IDS[4:6])


def test_a_sealed_round_that_lost_rows_is_no_longer_called_sealed(store):
    store.append("labels", label_rows(IDS[:5]), 1)
    store.append("labels", label_rows(IDS[5:]), 1)
    store.seal(1, ["semihand"], IDS)
    DeltaTable(store.path("labels")).delete(f"frame_id = '{IDS[0]}'")
    with pytest.raises(DamagedTable, match="holds 8 rows, but 9 were committed"):
        store.is_sealed(1)
