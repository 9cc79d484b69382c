"""What changed between the labels of two rounds, or what two models say of the same frames."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from pydantic import Field, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from semihand.exports.samples import FRAME_COLUMNS
from semihand.frames.errors import InputError, first_line
from semihand.frames.json_files import read_json
from semihand.frames.limits import Limits
from semihand.methods.semihand.weights import CARD, load_model
from semihand.rounds.diff_page import lines, overall, write_page
from semihand.rounds.finished import frames_of, labels_of, open_store, sealed_round, sealed_rounds
from semihand.rounds.shown import read_shown
from semihand.steps.clusters import CLUSTERS, read_clusters
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import split_labelled
from semihand.steps.moves import COLUMNS, label_moves, moves_by, with_clusters
from semihand.steps.subjects import Lengths
from semihand.tables import SUBJECTS, Store, rounds_of, scan

_SHOWN = 16  # hands on the page
_AT_ONCE = 256  # frames that a model looks at before their labels are kept


class DiffConfig(BaseSettings):
    """What is compared with what."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    campaign: Path = Field(Path("campaigns/laptop"), description="the campaign whose labels are compared")
    before: str | None = Field(None, description="a finished round, or a model folder; default: the last round but one")
    after: str | None = Field(None, description="a finished round, or a model folder; default: the last round")
    num_frames: PositiveInt = Field(500, description="how many of the campaign's frames a model is asked about")
    out: Path = Field(Path("diff"), description="folder that report.html, moves.parquet and summary.json go to")
    limits: Limits = Field(Limits(), description="what a picture or video may take before it is left out")


def diff_labels(config: DiffConfig, say: Callable[[str], None] = print) -> pl.DataFrame:
    """Compare, and leave page, rows and summary in `out`.

    Returns:
        The moves of all labels that both sides have and where their frames lie, the most moved first.

    Raises:
        InputError: there is no such campaign, round or model, or the sides have no frame in common.
    """
    store = open_store(config.campaign)
    sides = _sides(store, config)
    labels = [_labels(store, side, config) for side in sides]
    moves = label_moves(*labels)
    if not len(moves):
        raise InputError(f"--before {sides[0]} and --after {sides[1]} have no frame in common")
    moves = with_clusters(moves, _own_centres(Path(store.folder)))
    places = scan(store, "frames").select("frame_id", "uri", "video_frame").collect()
    moves = moves.join(places, on="frame_id", how="left").sort("moved_mm", "frame_id", descending=[True, False])
    summary = {
        "before": _named(sides[0]), "after": _named(sides[1]), "labels_in_both": len(moves),
        "only_before": len(labels[0]) - len(moves), "only_after": len(labels[1]) - len(moves), **overall(moves),
    }  # fmt: skip
    tables = {name: moves_by(moves, name) for name in ("subject_id", "pose_cluster")}
    config.out.mkdir(parents=True, exist_ok=True)
    moves.write_parquet(config.out / "moves.parquet")
    (config.out / "summary.json").write_text(json.dumps(summary, indent=2))
    most = frames_of(store, moves.head(_SHOWN)["frame_id"].to_list(), (*FRAME_COLUMNS, "image"))
    write_page(config.out / "report.html", summary, tables, moves, read_shown(most, config.limits))
    for line in lines(summary, tables, moves):
        say(line)
    return moves


def _own_centres(folder: Path) -> Float[np.ndarray, "clusters 63"] | None:
    """The clusters that the campaign selects by, which stay for all of its rounds; None where it does not."""
    for path in sorted((folder / "rounds").glob(f"*/{CLUSTERS}")):
        clusters = read_clusters(path)
        if clusters is not None and clusters.centres:
            return np.array(clusters.centres)
    return None


def _sides(store: Store, config: DiffConfig) -> tuple[int | Path, int | Path]:
    """Rounds or model folders; where nothing is said the last two rounds."""
    last = sealed_rounds(store)[-2:]
    if len(last) < 2 and None in (config.before, config.after):
        raise InputError(f"--campaign {config.campaign} has finished rounds {last}, and two are compared. Name rounds "
                         "or model folders with --before and --after.")  # fmt: skip
    before = last[0] if config.before is None else _side(store, config.before, "--before")
    after = last[1] if config.after is None else _side(store, config.after, "--after")
    if before == after:
        raise InputError(f"--before and --after are both {before}; name two different rounds or models")
    return before, after


def _side(store: Store, side: str, option: str) -> int | Path:
    if side.isdecimal():
        return sealed_round(store, int(side), option)
    path = Path(side).expanduser()
    if not (path / CARD).is_file():
        raise InputError(f"{option} {side} is neither a round nor a model folder: it holds no {CARD}")
    try:
        load_model(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{option} {side} is no model that can be read: {error}") from error
    return path


def _named(side: int | Path) -> str:
    return f"round {side}" if isinstance(side, int) else f"model {side.name}"


def _labels(store: Store, side: int | Path, config: DiffConfig) -> pl.DataFrame:
    if isinstance(side, int):
        columns = [name for name in COLUMNS if name not in ("frame_id", "hand", "selected")]
        return labels_of(store, side, columns).select(COLUMNS)
    return _labels_of_model(store, side, config)


def _settings(store: Store) -> dict[str, Any]:
    """How the campaign labels."""
    path = Path(store.folder) / "config.json"
    try:
        return LabelConfig.model_validate(read_json(path).get("label")).model_dump()
    except ValidationError as error:
        raise InputError(f"{path}: its label settings are not those of this version; {first_line(error)}") from error


def _labels_of_model(store: Store, model: Path, config: DiffConfig) -> pl.DataFrame:
    """What a model says of some of the campaign's frames, labelled as the campaign labels, on its last subjects."""
    label = LabelConfig.model_validate(_settings(store) | {"combine": "first", "carry": False})
    ids = scan(store, "frames").select("frame_id").sort("frame_id").collect()["frame_id"]
    some = ids[np.unique(np.linspace(0, len(ids) - 1, min(config.num_frames, len(ids))).astype(int))].to_list()
    last = max(rounds_of(store, "subjects"))
    subjects = scan(store, "subjects", round=last).collect().to_arrow().select(SUBJECTS.names)
    labeller = FrameLabeller(label, model, Lengths.of(subjects), None, 0, limits=config.limits)
    tables = []
    for start in range(0, len(some), _AT_ONCE):
        frames = frames_of(store, some[start : start + _AT_ONCE], (*FRAME_COLUMNS, "image"))
        tables.append(pl.DataFrame(pl.from_arrow(split_labelled(labeller(frames))[0])))
    labels = pl.concat(tables).with_columns(selected=pl.lit(None, pl.Boolean))
    hands = scan(store, "frames").select("frame_id", "hand").collect()
    return labels.join(hands, on="frame_id", how="left").select(COLUMNS)
