"""What two sets have in common: people, recordings, pictures. A set that is judged by must share none with a pool."""

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from semihand.words import counted

#: What is looked at of FRAMES.
WHO = ["content_sha256", "video_frame", "uri", "sequence_id", "subject_id", "dataset", "instant_id"]

_NAMED = 3  # of each kind, in messages


@dataclass(frozen=True)
class Shared:
    """What two sets share, and how much of the second nobody can tell about.

    Attributes:
        subjects: subject_ids of both.
        sequences: sequence_ids of both, and names in the second set of videos that are in both.
        instants: instant_ids of both, of data sets of one name: other views or versions of the same hands.
        pictures: where in the second set pictures of both lie.
        num_unknown: frames of the second set, of `num_frames`, without a subject_id.
    """

    subjects: tuple[str, ...]
    sequences: tuple[str, ...]
    instants: tuple[str, ...]
    pictures: tuple[str, ...]
    num_unknown: int
    num_frames: int

    def __bool__(self) -> bool:
        """Whether they share anything."""
        return bool(self.subjects or self.sequences or self.instants or self.pictures)

    def said(self) -> str:
        """How many of each, and the first of them."""
        kinds = {
            "subject": self.subjects, "sequence": self.sequences, "instant": self.instants, "picture": self.pictures,
        }  # fmt: skip
        parts = [
            f"{counted(len(names), kind)} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
            for kind, names in kinds.items()
            if names
        ]
        return " and ".join(parts) or "nothing"


def shared_by(first: pa.Table, second: pa.Table) -> Shared:
    """What two sets of frames share; what is null or empty is shared with nobody.

    Ids are compared as they are, whatever the data sets' names: the subjects table knows people by them alone. A video
    that says no sequence is named after its file: two such are one recording if their bytes are the same. Pictures are
    the same if their bytes are, of videos the same frame.

    Args:
        first: with the columns `WHO`.
        second: likewise.
    """
    ours, theirs = (_who(frames) for frames in (first, second))
    return Shared(
        subjects=_common(ours, theirs, "subject_id"),
        sequences=_common_sequences(ours, theirs),
        instants=_common_instants(ours, theirs),
        pictures=_common_pictures(ours, theirs),
        num_unknown=theirs["subject_id"].null_count(),
        num_frames=len(theirs),
    )


def _who(frames: pa.Table) -> pl.DataFrame:
    """The rows, and whether their sequence is one that somebody named."""
    rows = pl.DataFrame(pl.from_arrow(frames.select(WHO)))
    rows = rows.with_columns(pl.col(name).replace("", None) for name in ("sequence_id", "subject_id", "instant_id"))
    is_video = pl.col("video_frame").is_not_null()
    by_file = is_video & pl.col("uri").str.ends_with(pl.concat_str(pl.lit("/"), "sequence_id"))
    return rows.with_columns((pl.col("sequence_id").is_not_null() & ~by_file.fill_null(False)).alias("named"))


def _common(ours: pl.DataFrame, theirs: pl.DataFrame, name: str) -> tuple[str, ...]:
    both = set(ours[name].drop_nulls()) & set(theirs[name].drop_nulls())
    return tuple(sorted(both))


def _common_sequences(ours: pl.DataFrame, theirs: pl.DataFrame) -> tuple[str, ...]:
    """By name where one of both was named, by the bytes of a video where one of both was not."""
    named = [rows.filter("named") for rows in (ours, theirs)]
    common = {*_common(named[0], theirs, "sequence_id"), *_common(ours, named[1], "sequence_id")}
    videos = [rows.filter(pl.col("video_frame").is_not_null()) for rows in (ours, theirs)]
    same = videos[1].join(videos[0].group_by("content_sha256").agg(pl.col("named").all()), on="content_sha256")
    unnamed = same.filter(~(pl.col("named") & pl.col("named_right")))
    return tuple(sorted(common | set(unnamed.select(pl.coalesce("sequence_id", "uri"))["sequence_id"])))


def _common_instants(ours: pl.DataFrame, theirs: pl.DataFrame) -> tuple[str, ...]:
    key = ["dataset", "instant_id"]
    same = theirs.select(key).drop_nulls().unique().join(ours.select(key).unique(), on=key, how="semi")
    return tuple(sorted(same["instant_id"]))


def _common_pictures(ours: pl.DataFrame, theirs: pl.DataFrame) -> tuple[str, ...]:
    key = ["content_sha256", "video_frame"]
    same = theirs.join(ours.select(key).unique(), on=key, how="semi", nulls_equal=True)
    where = pl.coalesce("uri", pl.concat_str(pl.lit("sha256 "), pl.col("content_sha256").str.head(12)))
    frame = pl.concat_str(pl.lit("#"), pl.col("video_frame").cast(pl.String)).fill_null("")
    return tuple(same.select(pl.concat_str(where, frame).unique().sort().alias("where"))["where"])
