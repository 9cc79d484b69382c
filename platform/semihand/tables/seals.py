"""The seal of a round: every frame of its manifest is one label per labeller or one quarantine row."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from semihand.failpoints import reach
from semihand.tables import files
from semihand.tables.commits import Change, apply, seal_app
from semihand.tables.log import Table, commit_info, num_rows, open_table, table_uri
from semihand.tables.readers import scan_table
from semihand.tables.records import RecordError, read_record, write_record
from semihand.tables.schemas import LABELS, QUARANTINE
from semihand.tables.witness import DamagedTable

SEAL_KEY = "semihand.seal"
# A repeat has its kept twin's frame_id, so its row says nothing about whether that frame is done.
REPEAT_REASON = "duplicate"
_NUM_NAMED = 5


class SealError(ValueError):
    """A round cannot be sealed: frames are missing, doubled, in both tables or not of the manifest."""


@dataclass(frozen=True)
class SealRecord:
    """What a sealed round is.

    Attributes:
        round: its number.
        labellers: whose labels were counted.
        num_frames: frames of the manifest.
        num_labels: rows of LABELS in the round, all labellers together.
        num_quarantined: rows of QUARANTINE in the round, repeats included.
        labels_version: the version of LABELS that was checked.
        quarantine_version: the version of QUARANTINE that was checked.
        manifest_sha256: of the sorted frame ids.
    """

    round: int
    labellers: tuple[str, ...]
    num_frames: int
    num_labels: int
    num_quarantined: int
    labels_version: int
    quarantine_version: int
    manifest_sha256: str


def seal(folder: str, round: int, labellers: Sequence[str], manifest_ids: Iterable[str]) -> SealRecord:
    """Check a round against its manifest and close it; see `Store.seal`."""
    manifest = pl.Series("frame_id", list(manifest_ids), dtype=pl.String)
    digest = hashlib.sha256("\n".join(manifest.sort().to_list()).encode()).hexdigest()
    labels_uri, quarantine_uri = table_uri(folder, "labels"), table_uri(folder, "quarantine")
    if (record := read_seal(folder, round)) is not None:
        _write_record(folder, record)  # a kill between the seal and its record only means writing it now
        if (record.labellers, record.manifest_sha256) != (tuple(sorted(labellers)), digest):
            raise SealError(
                f"round {round} was sealed for labellers {list(record.labellers)} and another manifest of "
                f"{record.num_frames} frames; start round {round + 1} for new ones"
            )
        return record
    labels, quarantine = open_table(labels_uri), open_table(quarantine_uri)
    check_round_complete(labels, quarantine, round, labellers, manifest)
    record = SealRecord(
        round, tuple(sorted(labellers)), len(manifest), num_rows(labels, round), num_rows(quarantine, round),
        labels.version(), quarantine.version(), digest,
    )  # fmt: skip
    change = Change(round, metadata={SEAL_KEY: json.dumps(asdict(record))}, seal=True)
    # The labels' seal is the one that counts, so it comes last: a kill in between only means sealing again.
    apply(quarantine_uri, QUARANTINE, change, expected_version=quarantine.version())
    reach("seal.between")
    apply(labels_uri, LABELS, change, expected_version=labels.version())
    _write_record(folder, record)
    return record


def read_seal(folder: str, round: int) -> SealRecord | None:
    """The record of a sealed round, or None.

    Raises:
        DamagedTable: the round holds other numbers of rows than it was sealed with.
    """
    labels_uri = table_uri(folder, "labels")
    labels = open_table(labels_uri)
    entry = labels.transaction_version(seal_app(round))
    if entry is None:
        return None
    info = commit_info(labels_uri, entry)
    if info is None or SEAL_KEY not in info:
        raise DamagedTable(f"{labels_uri}: round {round} is sealed, but log entry {entry}, its seal, is gone")
    record = _record_of(json.loads(info[SEAL_KEY]))
    quarantine = open_table(table_uri(folder, "quarantine"))
    if (kept := _read_record(folder, round)) is not None and kept != record:
        raise DamagedTable(f"{labels_uri}: round {round} is sealed as {record}, its record outside says {kept}")
    found = num_rows(labels, round), num_rows(quarantine, round)
    if found != (record.num_labels, record.num_quarantined):
        raise DamagedTable(
            f"{labels_uri}: round {round} holds {found} labels and quarantine rows, sealed with "
            f"{(record.num_labels, record.num_quarantined)}; read version {record.labels_version} instead"
        )
    return record


def check_round_complete(
    labels: Table, quarantine: Table, round: int, labellers: Sequence[str], manifest: pl.Series
) -> None:
    """Sets are compared, never counts: one frame lost and one doubled would make the count right.

    Raises:
        SealError: the sets differ, overlap or hold an id twice.
    """
    _refuse(f"round {round}: manifest ids twice", manifest.filter(manifest.is_duplicated()))
    if not labellers:
        raise SealError(f"round {round}: no labeller to seal; name those whose labels the round is made of")
    failed = scan_table(quarantine, QUARANTINE, round).filter(pl.col("reason") != REPEAT_REASON)
    failed_ids = failed.select("frame_id").collect()["frame_id"]
    _refuse(f"round {round}: quarantined twice", failed_ids.filter(failed_ids.is_duplicated()))
    rows = scan_table(labels, LABELS, round).select("frame_id", "labeller").collect()
    if strangers := sorted(set(rows["labeller"].unique()) - set(labellers)):
        raise SealError(f"round {round}: labels by {strangers}, not among {list(labellers)}; name them too")
    for labeller in labellers:
        ids = rows.filter(pl.col("labeller") == labeller)["frame_id"]
        where = f"round {round}, labeller {labeller}"
        done = pl.concat([ids, failed_ids])
        _refuse(f"{where}: labelled twice", ids.filter(ids.is_duplicated()))
        _refuse(f"{where}: labelled and quarantined", ids.filter(ids.is_in(failed_ids.implode())))
        missing = manifest.filter(~manifest.is_in(done.implode()))
        _refuse(f"{where}: neither labelled nor quarantined", missing)
        _refuse(f"{where}: not in the manifest", done.filter(~done.is_in(manifest.implode())))


def _record_of(values: Mapping[str, Any]) -> SealRecord:
    return SealRecord(**{**values, "labellers": tuple(values["labellers"])})


def _write_record(folder: str, record: SealRecord) -> None:
    """Say outside Delta what was sealed, so that no table can speak for itself alone."""
    if _read_record(folder, record.round) != record:
        write_record(_place(folder, record.round), asdict(record))


def _read_record(folder: str, round: int) -> SealRecord | None:
    try:
        values = read_record(_place(folder, round))
    except RecordError as error:
        raise DamagedTable(f"{error}; restore it from a copy") from error
    return None if values is None else _record_of(values)


def _place(folder: str, round: int) -> str:
    return files.join(files.absolute(folder), "seals", f"round-{round}.json")


def _refuse(what: str, ids: pl.Series) -> None:
    """Say how many frames stand in the way of a seal, and which ones first."""
    if len(ids):
        named = ids.unique().sort().head(_NUM_NAMED).to_list()
        raise SealError(f"{what}: {ids.n_unique()} frames ({', '.join(named)} ...); run the label step again")
