"""Arrow schemas and the Delta store.

schemas     the tables and their columns          identity    who a frame is
arrays      numpy to columns and back             validation  what a table refuses
store       write, commit, seal, resume           readers     polars frames with fixed shapes
comparing   two campaigns, row for row            sweeping    what killed processes left
commits, seals, log, files, records               underneath: one idea each
contracts   the schemas as JSON
"""

from semihand.tables.arrays import as_numpy, fixed_list_column, rows_of
from semihand.tables.commits import ConcurrentDriver, SealedRound, Shard
from semihand.tables.identity import content_sha256, frame_id
from semihand.tables.readers import read_rows, rounds_of, scan
from semihand.tables.schemas import (
    FRAMES,
    LABELS,
    PICTURE_COLUMNS,
    QUARANTINE,
    QUARANTINE_REASONS,
    ROUND_STATUSES,
    ROUND_STEPS,
    ROUNDS,
    SCHEMAS,
    SELECTIONS,
    SUBJECTS,
    TRUTH_COLUMNS,
    deterministic_columns,
)
from semihand.tables.seals import SealError, SealRecord
from semihand.tables.store import Store
from semihand.tables.witness import DamagedTable

__all__ = [
    "FRAMES", "LABELS", "PICTURE_COLUMNS", "QUARANTINE", "QUARANTINE_REASONS", "ROUNDS", "ROUND_STATUSES",
    "ROUND_STEPS", "SCHEMAS", "SELECTIONS", "SUBJECTS", "TRUTH_COLUMNS", "ConcurrentDriver", "DamagedTable",
    "SealError", "SealRecord", "SealedRound", "Shard", "Store", "as_numpy", "content_sha256",
    "deterministic_columns", "fixed_list_column", "frame_id", "read_rows", "rounds_of", "rows_of", "scan",
]  # fmt: skip
