"""Labels out: which ones, with what pictures and fits, in which forms."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from semihand.exports.coco import Coco
from semihand.exports.fits import Fits, write_models
from semihand.exports.forms import Form, write_json
from semihand.exports.freihand import Freihand
from semihand.exports.ho3d import Ho3d
from semihand.exports.label_studio import LabelStudio
from semihand.exports.samples import FRAME_COLUMNS, Fit, Sample, samples_of
from semihand.exports.shards import Shards
from semihand.frames.errors import InputError
from semihand.frames.limits import Limits
from semihand.hand.mano import HandModel, Side
from semihand.rounds.finished import frames_of, labels_of, open_store, sealed_round
from semihand.steps.hand_fits import fit_labels, hand_models
from semihand.steps.review import ReviewConfig, choose_for_review
from semihand.steps.rules import Share
from semihand.tables import Store, as_numpy, scan
from semihand.tables.rows import take_rows

FormName = Literal["freihand", "coco", "ho3d", "mano", "webdataset", "review"]
_LABEL_COLUMNS = [
    "round", "labeller", "subject_id", "model", "joints_uv_px", "label_mm", "root_mm", "joint_confidence", "confidence",
    "stability", "predicted_error_mm", "joint_predicted_error_mm",
]  # fmt: skip
_AT_ONCE = 2048  # samples whose encoded pictures are in memory


class ExportConfig(BaseSettings):
    """Which labels, and in which forms."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    campaign: Path = Field(Path("campaigns/laptop"), description="the campaign whose labels go out")
    out: Path = Field(description="a folder that does not exist yet; a folder for each form in it")
    formats: list[FormName] = Field(description="freihand, coco, ho3d, mano, webdataset, review; with commas between")
    round: int | None = Field(None, description="a finished round; default: the last one")
    all_labels: bool = Field(False, description="the labels that the round did not select, too")
    min_confidence: Share = Field(0.0, description="leave out labels of a lower confidence")
    crop_px: Annotated[int, Field(ge=16)] | None = Field(
        None, description="cut hands out and scale them to this side (FreiHAND has 224); default: whole pictures"
    )
    mano: list[Path] = Field([], description="your MANO_RIGHT and MANO_LEFT; default: the hand made by code")
    limits: Limits = Field(Limits(), description="what a picture or video may take before it is left out")
    review: ReviewConfig = Field(ReviewConfig(), description="which labels people look at, of the form review")


def export_labels(config: ExportConfig, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Write labels in every form asked for; the folder appears once all of it is there.

    Returns:
        What `summary.json` holds: for every form how many samples, and how many it had no room for and why.

    Raises:
        InputError: there is no such campaign, round or label, a hand model cannot be read, or `out` is there already,
            finished or not.
    """
    if config.out.exists():
        raise InputError(f"--out {config.out} is there already; name a new folder, or remove it")
    store = open_store(config.campaign)
    number = sealed_round(store, config.round)
    models = hand_models(config.mano)
    labels = labels_of(store, number, _LABEL_COLUMNS)
    groups = _groups(labels, config)
    export = _Export(config, store, models, say)
    with _finished(config.out) as unfinished:
        for rows, names in groups:
            export.write(rows, [_form(name, unfinished / name, config, models) for name in names])
        summary = {"campaign": str(config.campaign), "round": number, "labels": len(labels), **export.summary}
        write_json(unfinished / "summary.json", summary)
    return summary


@contextmanager
def _finished(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to write to, which becomes it; it goes where that fails, but nobody else's does."""
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        unfinished.mkdir(parents=True)
    except FileExistsError:
        raise InputError(f"{unfinished} is there, of another export; wait for it, or remove it") from None
    try:
        yield unfinished
        unfinished.rename(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _groups(labels: pl.DataFrame, config: ExportConfig) -> list[tuple[pl.DataFrame, list[FormName]]]:
    """Which labels go into which forms: what was chosen for tools, what is worth a look for people."""
    names: list[FormName] = [name for name in dict.fromkeys(config.formats) if name != "review"]
    groups: list[tuple[pl.DataFrame, list[FormName]]] = [(chosen_labels(labels, config), names)] if names else []
    if "review" in config.formats:
        groups.append((labels[choose_for_review(labels.to_arrow(), config.review).rows], ["review"]))
    return groups


def chosen_labels(labels: pl.DataFrame, config: ExportConfig) -> pl.DataFrame:
    """The labels that the round selected, or all of them, of enough confidence.

    Raises:
        InputError: none is left.
    """
    if not config.all_labels and labels["selected"].null_count() == len(labels):
        raise InputError(f"--campaign {config.campaign}: the round has selected nothing yet. Let it finish, or give "
                         "--all_labels.")  # fmt: skip
    enough = labels if config.all_labels else labels.filter("selected")
    if not len(enough):
        raise InputError(f"--campaign {config.campaign}: the round selected none of its {len(labels)} labels, because "
                         "none was expected to be near enough. Give --all_labels, or let the campaign learn more "
                         "(another --round, more --rounds, a longer recipe).")  # fmt: skip
    if config.min_confidence > 0:
        enough = enough.filter(pl.col("confidence") >= config.min_confidence)
    if not len(enough):
        raise InputError(
            f"no label of {len(labels)} is left: lower --min_confidence {config.min_confidence:g}, or give --all_labels"
        )
    return enough


class _Export:
    """Labels with their pictures and fits, one after the other, into forms.

    Attributes:
        summary: what came of it, form by form.
    """

    def __init__(
        self, config: ExportConfig, store: Store, models: Mapping[Side, HandModel], say: Callable[[str], None]
    ) -> None:
        self._config, self._store, self._models, self._say = config, store, models, say
        self.summary: dict[str, Any] = {}

    def write(self, labels: pl.DataFrame, forms: list[Form]) -> None:
        """Fill and close the forms."""
        frames = frames_of(self._store, labels["frame_id"].to_list(), FRAME_COLUMNS)
        places = _places(self._store)
        order = _neighbours_together(frames, places)
        frames, table = take_rows(frames, order), labels[order].to_arrow()
        needed = any(form.needs_fit for form in forms) or (bool(self._config.mano) and forms[0].name != "review")
        fits = self._fits(table) if needed else None
        unreadable: Counter[str] = Counter()
        for start in range(0, frames.num_rows, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            part = _with_images(frames.slice(start, _AT_ONCE), self._store, places)
            for sample in samples_of(
                part, table.slice(start, _AT_ONCE), fits and fits[some], self._config.crop_px, self._config.limits
            ):
                if isinstance(sample, Sample):
                    for form in forms:
                        form.add(sample)
                else:
                    unreadable[sample[1].reason] += 1
            self._say(f"  {min(start + _AT_ONCE, frames.num_rows)} of {frames.num_rows} labels")
        for form in forms:
            form.close()
            self.summary[form.name] = {"samples": form.num, "left_out": dict(form.left_out + unreadable)}

    def _fits(self, labels: pa.Table) -> list[Fit]:
        joints_mm = as_numpy(labels["label_mm"]).reshape(-1, 21, 3).astype(np.float64)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        hands, subjects = labels["hand"].to_pylist(), labels["subject_id"].to_pylist()
        fits = fit_labels(joints_mm, hands, subjects, self._models, device)
        off = fits.residual_mm
        found = {"mean": off.mean(), "median": np.median(off), "max": off.max()}
        self.summary["fit"] = {
            "model": [str(path) for path in self._config.mano] or "the hand made by code",
            "residual_mm": {name: float(value) for name, value in found.items()},
        }
        return [Fit(*row) for row in zip(*fits, strict=True)]


def _places(store: Store) -> dict[str, int]:
    """Where the campaign's frames stand in their table."""
    ids = scan(store, "frames").select("frame_id").collect()["frame_id"]
    return {frame_id: place for place, frame_id in enumerate(ids)}


def _neighbours_together(frames: pa.Table, places: Mapping[str, int]) -> list[int]:
    """Rows by picture, frames of a video in order, so that each is decoded forward, and those of the table by place."""
    keys = zip(*(frames[name].to_pylist() for name in ("uri", "video_frame", "frame_id")), strict=True)
    named = [
        ("", places[frame_id], frame_id) if uri is None else (uri, -1 if number is None else number, frame_id)
        for uri, number, frame_id in keys
    ]
    return sorted(range(len(named)), key=named.__getitem__)


def _with_images(frames: pa.Table, store: Store, places: Mapping[str, int]) -> pa.Table:
    """The rows with the pictures that lie in the table itself, of which no more is read than what lies between them."""
    ids = frames["frame_id"].filter(frames["uri"].is_null()).to_pylist()
    found: dict[str, bytes | None] = {}
    if ids:
        first, last = (extreme(places[frame_id] for frame_id in ids) for extreme in (min, max))
        rows = scan(store, "frames").select("frame_id", "image").slice(first, last - first + 1)
        found = dict(rows.filter(pl.col("frame_id").is_in(ids)).collect().iter_rows())
    column = [found.get(frame_id) for frame_id in frames["frame_id"].to_pylist()]
    return frames.append_column("image", pa.array(column, pa.binary()))


def _form(name: FormName, folder: Path, config: ExportConfig, models: Mapping[Side, HandModel]) -> Form:
    if name == "freihand":
        return Freihand(folder, models["right"] if config.mano else None)
    if name == "review":
        return LabelStudio(folder, config.out / name)
    plain: dict[str, type[Coco | Ho3d | Fits | Shards]] = {
        "coco": Coco,
        "ho3d": Ho3d,
        "mano": Fits,
        "webdataset": Shards,
    }
    form = plain[name](folder)
    if form.needs_fit and not config.mano:
        write_models(folder, models)
    return form
