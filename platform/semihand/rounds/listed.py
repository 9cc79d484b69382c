"""The manifest of a campaign: what was listed, once, before anything was labelled; rounds answer for all of it."""

import hashlib
import io
from pathlib import Path

import polars as pl

from semihand.rounds.campaign import Campaign
from semihand.rounds.ledger import Ledger
from semihand.tables import DamagedTable, files, scan
from semihand.tables.seals import REPEAT_REASON
from semihand.words import counted

MANIFEST = "manifest.parquet"
FILE_HASH = "manifest_file"


def write_manifest(campaign: Campaign) -> dict[str, str]:
    """Write down every listed frame: frame_id, uri, size in bytes, content_sha256, and why it was refused if it was.

    Returns:
        `manifest`, the sha256 of what was listed wherever it lies, which is who the campaign's rounds are; and that
        of the file.

    Raises:
        DamagedTable: a frame is listed twice.
    """
    columns = ("frame_id", "uri", "content_sha256", pl.col("image").bin.size().cast(pl.Int64).alias("size"))
    frames = scan(campaign.store, "frames").select(columns).collect()
    sizes = {uri: files.size(uri) for uri in frames["uri"].unique() if uri is not None}
    of_uri = pl.col("uri").replace_strict(sizes, default=None, return_dtype=pl.Int64)
    frames = frames.with_columns(pl.coalesce("size", of_uri).alias("size"), pl.lit(None, pl.String).alias("refused"))
    quarantine = scan(campaign.store, "quarantine", round=0).filter(pl.col("reason") != REPEAT_REASON)
    refused = quarantine.select("frame_id", "uri", pl.col("reason").alias("refused")).collect()
    listed = pl.concat([frames, refused], how="diagonal").sort("frame_id")
    _refuse_repeats(campaign, listed["frame_id"])
    buffer = io.BytesIO()
    listed.write_parquet(buffer)
    files.write_whole(_place(campaign), buffer.getvalue(), "manifest")
    said = listed.select(pl.format("{} {}", "frame_id", pl.coalesce("content_sha256", "refused"))).to_series()
    identity = hashlib.sha256("\n".join(said).encode()).hexdigest()
    return {"manifest": identity, FILE_HASH: hashlib.sha256(buffer.getvalue()).hexdigest()}


def read_manifest(campaign: Campaign) -> tuple[pl.DataFrame, str]:
    """What was listed, and the identity that the ledger keeps.

    Raises:
        DamagedTable: the file is gone, or not the one that was written.
    """
    path = campaign.folder / MANIFEST
    if campaign.ledger.finished(0, "ingest") is None:
        hashes = write_manifest(campaign)
    else:
        hashes = check_manifest(path, campaign.ledger)
    return pl.read_parquet(path), hashes["manifest"]


def check_manifest(path: Path, ledger: Ledger) -> dict[str, str]:
    """Compare a manifest with what the ledger knows of it; what it says there.

    Raises:
        DamagedTable: the file is gone, or not the one that was written.
    """
    done = ledger.finished(0, "ingest")
    hashes = {} if done is None else dict(done.hashes)
    if FILE_HASH in hashes and files.sha256(str(path)) != hashes[FILE_HASH]:
        raise DamagedTable(f"{path}: not what was listed; restore it from a copy, or start a new campaign")
    return hashes


def _refuse_repeats(campaign: Campaign, ids: pl.Series) -> None:
    twice = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
    if len(twice):
        raise DamagedTable(
            f"{campaign.folder}: {counted(len(twice), 'frame')} listed twice in FRAMES and QUARANTINE of round 0 "
            f"(first {twice[0]}), but each may be once; start a new campaign"
        )


def _place(campaign: Campaign) -> str:
    return files.join(str(campaign.folder), MANIFEST)
