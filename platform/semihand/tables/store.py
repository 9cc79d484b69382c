"""The store of a campaign: workers write shards, one driver commits them, and a seal closes a round."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import DeltaError
from deltalake.transaction import create_table_with_add_actions

from semihand.tables import files
from semihand.tables.commits import Change, Shard, apply
from semihand.tables.log import ROWS_KEY, open_table, table_id, table_uri
from semihand.tables.readers import scan, schema_of
from semihand.tables.schemas import SCHEMAS
from semihand.tables.seals import REPEAT_REASON, SealRecord, read_seal, seal
from semihand.tables.validation import check_round, checked_rows
from semihand.tables.witness import noted_version, witness

# Time travel to any round, and no vacuum that takes a shard between its writing and its commit.
_RETENTION = "interval 3650 days"
_CONFIGURATION = {"delta.logRetentionDuration": _RETENTION, "delta.deletedFileRetentionDuration": _RETENTION}
_ROW_GROUP_BYTES = 1024**2  # pictures are read by groups of rows; see `semihand.tables.places`
_MANY_DRIVERS = ("frames", "rounds")  # several jobs of one campaign add to these


class Store:
    """The tables of one campaign; holds a path only, so it travels to any worker.

    Args:
        folder: the campaign folder (made absolute at once) or an object-store uri.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = files.absolute(folder)

    def __fspath__(self) -> str:
        return self.folder

    def __repr__(self) -> str:
        return f"Store({self.folder!r})"

    def path(self, name: str) -> str:
        """Where a table lies.

        Raises:
            ValueError: there is no table of this name.
        """
        schema_of(name)
        return table_uri(self.folder, name)

    def create(self, names: Iterable[str] = tuple(SCHEMAS)) -> None:
        """Make the tables that are missing, and the notes of logs that somebody died over.

        Safe to call again, and by several processes at once.

        Args:
            names: which tables; a set of frames by itself needs no other.

        Raises:
            ValueError: a table of other columns is there already.
        """
        for name in names:
            schema = schema_of(name)
            if not DeltaTable.is_deltatable(self.path(name)):
                self._create_table(name, schema)
            table = open_table(self.path(name))
            there, wanted = table.schema(), Schema.from_arrow(schema)
            if there != wanted:
                raise ValueError(
                    f"{self.path(name)}: made with other columns than this version of semihand has "
                    f"({_difference(there, wanted)}); start a new campaign folder"
                )
            noted = noted_version(table.uri)
            if noted is None or noted < table.version():  # whoever committed last died before the note
                witness(table.uri, table_id(table), table.version())

    def _create_table(self, name: str, schema: pa.Schema) -> None:
        try:
            create_table_with_add_actions(
                self.path(name), Schema.from_arrow(schema), [], mode="error",
                partition_by=["round"] if schema.metadata[b"partition"] else None,
                name=name, description=schema.metadata[b"description"].decode(), configuration=_CONFIGURATION,
                commit_properties=CommitProperties(custom_metadata={ROWS_KEY: "0"}, max_commit_retries=0),
            )  # fmt: skip
        except DeltaError:  # of several that create at once, one wins and the others find it made
            if not DeltaTable.is_deltatable(self.path(name)):
                raise
            return
        # Not by open_table: what was noted of a table that was deleted is no word against this one.
        table = DeltaTable(self.path(name))
        witness(self.path(name), table_id(table), table.version())

    def version(self, name: str) -> int:
        """The latest version of a table."""
        return int(open_table(self.path(name)).version())

    def write_shard(self, name: str, rows: pa.Table, round: int = 0) -> Shard:
        """Check rows and write them to a file that nobody sees until it is committed; for workers.

        Args:
            name: the table.
            rows: rows of its schema, all of one round; an empty table writes no file.
            round: the round they belong to; 0 for frames.

        Raises:
            ValueError: a row is not what the schema promises; the message names column and row.
            OSError: the disk refuses; nothing is left behind.
        """
        schema = schema_of(name)
        checked = checked_rows(rows, schema)
        partition = schema.metadata[b"partition"].decode()
        if partition:
            check_round(checked, round)
        if not checked.num_rows:
            return Shard(name, "", 0, 0, "", round, "{}")
        data = _parquet(checked.drop_columns([partition]) if partition else checked)
        digest = hashlib.sha256(data).hexdigest()
        # Two attempts at the same rows never share a name: a late one must not rewrite what was committed.
        file_name = f"part-{digest}-{uuid.uuid4().hex[:12]}.parquet"
        path = files.join(f"round={round}", file_name) if partition else file_name
        files.write_whole(files.join(self.path(name), path), data, "shard")
        stats = json.dumps({"numRecords": checked.num_rows})
        return Shard(name, path, len(data), checked.num_rows, digest, round, stats)

    def commit(
        self, name: str, shards: Iterable[Shard], round: int = 0, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Make shards part of a table, all or none; for the driver. Shards already in it change nothing.

        Returns:
            the version that holds them.

        Raises:
            ValueError: a shard of another table or round, or the round is sealed.
            ConcurrentDriver: another process writes this round.
        """
        return self._change(name, shards, Change(round, metadata=metadata))

    def append(self, name: str, rows: pa.Table, round: int = 0) -> int:
        """Write rows and commit them: `write_shard` and `commit` in one."""
        return self.commit(name, [self.write_shard(name, rows, round)], round)

    def replace_round(self, name: str, rows: pa.Table, round: int) -> int:
        """Put these rows in place of all that the round had in this table, in one commit.

        Raises:
            ValueError: the table has no rounds to replace, or the round is sealed.
        """
        if not schema_of(name).metadata[b"partition"]:
            raise ValueError(f"replace_round: {name} is not partitioned by round; append to it instead")
        shard = self.write_shard(name, rows, round)
        return self._change(name, [shard], Change(round, mode="overwrite"))

    def _change(self, name: str, shards: Iterable[Shard], change: Change) -> int:
        shards = tuple(shards)
        if strays := [shard for shard in shards if (shard.table, shard.round) != (name, change.round)]:
            raise ValueError(
                f"commit to {name}, round {change.round}: a shard of {strays[0].table}, round "
                f"{strays[0].round}; commit each table and round by itself"
            )
        filled = tuple({shard.path: shard for shard in shards if shard.num_rows}.values())
        change = replace(change, shards=filled, many_drivers=name in _MANY_DRIVERS)
        return apply(self.path(name), schema_of(name), change)

    def seal(self, round: int, labellers: Sequence[str], manifest_ids: Iterable[str]) -> SealRecord:
        """Close a round for which every frame is accounted for; safe to call again.

        For each labeller, labelled and quarantined frames must be disjoint and together be exactly the
        manifest, no id twice. Quarantine rows of reason `duplicate` are about a repeated manifest row, not
        about a frame, and do not count. Afterwards labels and quarantine of the round take no more rows.

        Args:
            round: the round.
            labellers: all whose labels it holds.
            manifest_ids: the frame ids of the round's manifest, with those quarantined while listing.

        Raises:
            SealError: the sets differ; the message has the number and the first few ids.
        """
        return seal(self.folder, round, labellers, manifest_ids)

    def seal_record(self, round: int) -> SealRecord | None:
        """What a round was sealed with, or None while it is open.

        Raises:
            DamagedTable: its rows are no longer as many as when it was sealed.
        """
        return read_seal(self.folder, round)

    def is_sealed(self, round: int) -> bool:
        """Whether a round is closed, and still whole."""
        return self.seal_record(round) is not None

    def done_ids(self, round: int, labeller: str) -> set[str]:
        """Frames of a round that need no more labelling: labelled by this labeller, or quarantined."""
        labelled = scan(self, "labels", round=round).filter(pl.col("labeller") == labeller)
        failed = scan(self, "quarantine", round=round).filter(pl.col("reason") != REPEAT_REASON)
        ids = pl.concat([labelled.select("frame_id"), failed.select("frame_id")]).collect()
        return set(ids["frame_id"])


def _parquet(rows: pa.Table) -> bytes:
    """The rows as Parquet that every reader of Delta understands."""
    sink = pa.BufferOutputStream()
    each = max(1, rows.num_rows * _ROW_GROUP_BYTES // max(rows.nbytes, 1))
    # Without the Arrow schema: with it, polars finds fixed-size lists where Delta promised plain ones.
    pq.write_table(rows, sink, compression="zstd", store_schema=False, write_page_checksum=True, row_group_size=each)
    return bytes(sink.getvalue())


def _difference(there: Schema, wanted: Schema) -> str:
    """The columns in which two Delta schemas differ."""
    fields = [{field.name: field.to_json() for field in schema.fields} for schema in (there, wanted)]
    names = [name for name in fields[0] | fields[1] if fields[0].get(name) != fields[1].get(name)]
    return ", ".join(names)
