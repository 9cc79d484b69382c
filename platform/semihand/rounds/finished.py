"""What a campaign has finished: its sealed rounds, their labels and the frames that these are of, without any truth."""

from pathlib import Path

import polars as pl
import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.frames.truth import without_truth
from semihand.steps.label import LABELLER
from semihand.tables import FRAMES, TRUTH_COLUMNS, Store, rounds_of, scan
from semihand.tables.rows import take_rows


def open_store(campaign: Path) -> Store:
    """The tables of a campaign that was begun.

    Raises:
        InputError: there is none here.
    """
    store = Store(campaign.expanduser())
    try:
        store.version("labels")
    except FileNotFoundError:
        raise InputError(f"--campaign {campaign}: no campaign here. Name its folder.") from None
    return store


def sealed_rounds(store: Store) -> list[int]:
    """The rounds whose labels are complete, the first one first."""
    numbers = sorted(rounds_of(store, "labels"))
    return [number for number in numbers if store.is_sealed(number)]


def sealed_round(store: Store, number: int | None, option: str = "--round") -> int:
    """A round whose labels are complete; the last one where none is named.

    Raises:
        InputError: it is not, or there is none.
    """
    known = sealed_rounds(store)
    if not known:
        raise InputError(f"--campaign {store.folder}: no round is labelled to its end yet. Let one finish.")
    if number is not None and number not in known:
        raise InputError(f"{option} {number} is not a finished round of {store.folder}. There are {known}.")
    return known[-1] if number is None else number


def labels_of(store: Store, number: int, columns: list[str]) -> pl.DataFrame:
    """The labels of a sealed round, by frame_id; with what the selection said of each, null where it said nothing.

    Args:
        store: the campaign's tables.
        number: the round.
        columns: of LABELS; hand and sequence_id of the frame, selected, weight and joint_weight come with them.
    """
    mine = pl.col("labeller") == LABELLER
    labels = scan(store, "labels", round=number).filter(mine).select("frame_id", *columns)
    chosen = (
        scan(store, "selections", round=number).filter(mine).select("frame_id", "selected", "weight", "joint_weight")
    )
    frames = scan(store, "frames").select("frame_id", "hand", "sequence_id")
    joined = labels.join(chosen, on="frame_id", how="left").join(frames, on="frame_id", how="left")
    return joined.sort("frame_id").collect()


def frames_of(store: Store, frame_ids: list[str], columns: tuple[str, ...]) -> pa.Table:
    """Some columns of FRAMES, none of them truth, in the order of the ids; frame_id and box_source always.

    Raises:
        InputError: a box was drawn from the truth.
        ValueError: a column of truth was asked for.
    """
    wanted = list(dict.fromkeys(["frame_id", "box_source", *columns]))
    if truth := sorted(set(wanted) & set(TRUTH_COLUMNS)):
        raise ValueError(f"frames_of: {truth} are truth, which nothing that goes out may hold; leave them out")
    found = scan(store, "frames").filter(pl.col("frame_id").is_in(frame_ids)).select(wanted).collect().to_arrow()
    typed = pa.Table.from_arrays([found[name].cast(FRAMES.field(name).type) for name in wanted], names=wanted)
    row_of = {frame_id: row for row, frame_id in enumerate(typed["frame_id"].to_pylist())}
    return without_truth(take_rows(typed, [row_of[frame_id] for frame_id in frame_ids]))
