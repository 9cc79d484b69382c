"""The steps of one round, in order; each leaves its result in the campaign's folder and in the ledger."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from semihand.frames.limits import Limits
from semihand.frames.truth import without_truth
from semihand.methods.semihand.weights import read_card
from semihand.rounds.campaign import Campaign
from semihand.rounds.choosing import find_rule, labels_to_select, rule_of_round
from semihand.rounds.convergence import movement_figures
from semihand.rounds.givens import (
    CALIBRATION_LABELS,
    accepted_labels,
    keep_calibration,
    previous_calibration,
    previous_labels,
    template_of,
    write_frame,
)
from semihand.rounds.kept_files import hashes_of
from semihand.rounds.ledger import Done
from semihand.rounds.listed import read_manifest
from semihand.rounds.sets import labelled_data
from semihand.stages.labelling import Labelling, label_frames, labelled_blocks
from semihand.stages.training import fit
from semihand.steps.calibrate import Calibration, label_errors
from semihand.steps.clusters import CLUSTERS
from semihand.steps.components import ErrorModel
from semihand.steps.confidence import FusedConfidence, read_confidence
from semihand.steps.confidence_report import confidence_report
from semihand.steps.evaluate import PROTOCOLS, evaluate
from semihand.steps.expected import fit_expected, rows_to_judge
from semihand.steps.fitting import Fit
from semihand.steps.label import LABELLER
from semihand.steps.label_rows import split_labelled
from semihand.steps.selection import select_labels
from semihand.steps.subjects import Lengths, measure_subjects
from semihand.steps.training_data import DataSource
from semihand.tables import QUARANTINE, SUBJECTS, files, scan
from semihand.tables.places import Places
from semihand.tables.rows import filter_rows

_CALIBRATION, ERRORS, CURVES = "calibration.json", "calibration.parquet", "curves.json"


@dataclass(frozen=True)
class RoundSteps:
    """One round: what it is given, and a method per step."""

    campaign: Campaign
    number: int
    teacher: Path
    source: Path
    calibration: Callable[[], pa.Table]  # made when asked for the first time
    tags: Mapping[str, str] = field(default_factory=dict)  # of the round's record
    source_2d: Path | None = None

    @property
    def folder(self) -> Path:
        """Where this round keeps what is no table."""
        return self.campaign.round_folder(self.number)

    def measure(self) -> Done:
        """SUBJECTS of this round from the labels accepted in the one before; the template at first."""
        store, template = self.campaign.store, template_of(self.campaign, self.teacher)
        accepted = accepted_labels(self.campaign, self.number - 1)
        subjects = measure_subjects(accepted, template, self.number, self.campaign.config.subjects)
        store.replace_round("subjects", subjects, self.number)
        return Done({"subjects": float(subjects.num_rows)}, versions={"subjects": store.version("subjects")})

    def calibrate(self) -> Done:
        """Label the calibration set as the pool will be, and fit what its confidence means in mm."""
        config = self.campaign.config
        job = self._job(None)._replace(previous=previous_calibration(self.campaign, self.number))
        labelled = labelled_blocks(without_truth(_unboxed(self.calibration())), job, config.cluster.label)
        labels, _ = split_labelled(pa.concat_tables(labelled))
        keep_calibration(labels, self.folder)
        kind, guarantee = config.calibrate.confidence, config.select.guarantee
        model, errors = fit_expected(label_errors(labels, self.calibration()), kind, guarantee)
        write_frame(errors, self.folder / ERRORS)
        _write(self.folder / _CALIBRATION, model.model_dump_json())
        report = confidence_report(rows_to_judge(errors, guarantee)) if kind == "fused" else {}
        return Done(
            report
            | {
                "calibration_frames": float(len(errors)),
                "calibration_error_mm": _mean(errors["error_mm"]),
                "calibration_raw_error_mm": _mean(errors["raw_error_mm"]),
            },
            hashes=hashes_of(self.folder, _CALIBRATION, ERRORS, CALIBRATION_LABELS),
        )

    def label(self) -> Done:
        """Label and correct the pool in one pass."""
        store = self.campaign.store
        self._quarantine_listing()
        places = Places(store.folder, store.version("frames"))
        frames = without_truth(places.listed(["frame_id", "subject_id", "uri", "video_frame", "box_source"]))
        previous = previous_labels(self.campaign, self.number)
        job = self._job(self.read_calibration())._replace(previous=previous, places=places)

        def progress(labelled: int, quarantined: int) -> None:
            self.campaign.say(f"  labelled {labelled}, quarantined {quarantined} of {frames.num_rows}")

        label_frames(frames, job, store, self.campaign.config.cluster.label, progress)
        versions = {name: store.version(name) for name in ("frames", "subjects", "labels", "quarantine")}
        hashes = {} if job.second_teacher is None else {"second_teacher": read_card(job.second_teacher).sha256}
        return Done(versions=versions, hashes=hashes, model_sha256=read_card(self.teacher).sha256)

    def seal(self) -> Done:
        """Close the round's labels: every frame of the manifest is there exactly once."""
        store = self.campaign.store
        listed, identity = read_manifest(self.campaign)
        record = store.seal(self.number, [LABELLER], listed["frame_id"])
        counts = {
            name: float(scan(store, name, round=self.number).select(pl.len()).collect().item())
            for name in ("labels", "quarantine")
        }
        versions = {"labels": record.labels_version, "quarantine": record.quarantine_version}
        figures = {"labels": counts["labels"], "quarantined": counts["quarantine"]}
        figures |= movement_figures(self.campaign, self.number)
        return Done(figures, versions=versions, hashes={"manifest": identity})

    def search(self) -> Done:
        """The limits that this round selects by."""
        errors = pl.read_parquet(self.campaign.kept(self.number, "calibrate", ERRORS))
        return find_rule(self.campaign, self.number, errors)

    def select(self, limits: Mapping[str, float]) -> Done:
        """SELECTIONS of this round: every label's fate."""
        store, config = self.campaign.store, self.campaign.config.select
        rows = labels_to_select(store, self.number, config)
        selections = select_labels(rows, rule_of_round(self.campaign, self.number, rows, limits), config)
        store.replace_round("selections", selections, self.number)
        selected = pa.compute.sum(selections["selected"]).as_py() or 0
        versions, hashes = {"selections": store.version("selections")}, hashes_of(self.folder, CLUSTERS)
        return Done({"selected": float(selected)}, versions=versions, hashes=hashes)

    def _labelled(self) -> DataSource:
        """What is learned from without labels of the round."""
        return labelled_data(self.campaign.config, self.source, self.source_2d)

    def train(self, versions: dict[str, int]) -> Done:
        """Fine-tune the teacher's weights on source and selected labels."""
        data = self._labelled()._replace(
            campaign=str(self.campaign.folder), round_number=self.number, versions=tuple(sorted(versions.items()))
        )
        return self._fit("train", self.teacher, data, CURVES)

    def train_control(self, start: Path) -> Done:
        """The same steps on the source alone, from where the control stood."""
        return self._fit("control", start, self._labelled(), "control_" + CURVES)

    def evaluate(self, model: Path, frames: pa.Table | None) -> dict[str, float]:
        """The report's figures; they steer nothing."""
        if frames is None:
            return {}
        return evaluate(frames, model, PROTOCOLS[self.campaign.config.protocol], limits=self._limits).metrics

    def promote(self, student: Path, trained_on: dict[str, int]) -> Done:
        """The gate: no worse than allowed on the calibration set, and trained on what this round sealed."""
        limit = self.campaign.config.promote.max_relative_error
        protocol = PROTOCOLS["default"]
        old = evaluate(self.calibration(), self.teacher, protocol, limits=self._limits).metrics["epe_mm"]
        new = evaluate(self.calibration(), student, protocol, limits=self._limits).metrics["epe_mm"]
        store = self.campaign.store
        record = store.seal_record(self.number)
        consistent = record is not None and trained_on["labels"] == record.labels_version
        promoted = consistent and new <= limit * old
        metrics = {"champion_epe_mm": old, "student_epe_mm": new, "promoted": float(promoted)}
        return Done(metrics, model_sha256=read_card(student).sha256)

    def read_calibration(self) -> Calibration | FusedConfidence:
        """What `calibrate` left."""
        return read_confidence(self.campaign.kept(self.number, "calibrate", _CALIBRATION).read_text())

    def _fit(self, role: str, start: Path, data: DataSource, curves: str) -> Done:
        config, card = self.campaign.config, read_card(start)
        inputs = json.dumps([card.sha256, config.train.model_dump(mode="json"), data], default=str)
        name = f"{self.campaign.name}-r{self.number}-{role}-{hashlib.sha256(inputs.encode()).hexdigest()[:10]}"
        job = Fit(name, config.train, start, card, data, self.campaign.folder)
        fitted = fit(job, config.cluster.train, self.campaign.say)
        _write(self.folder / curves, json.dumps(fitted.curves))
        return Done(
            {f"loss_{key}": value for key, value in fitted.curves[-1].items() if key != "step"},
            versions=dict(data.versions),
            model_sha256=fitted.sha256,
            model_uri=str(fitted.model),
        )

    @property
    def _limits(self) -> Limits:
        return self.campaign.config.limits

    def _job(self, calibration: ErrorModel | None) -> Labelling:
        subjects = scan(self.campaign.store, "subjects", round=self.number).collect().to_arrow()
        lengths = Lengths.of(subjects.select(SUBJECTS.names))
        config, second = self.campaign.config.label, self.campaign.second_teacher
        job = Labelling(config, self.teacher, lengths, calibration, self.number, second, self._limits)
        return job._replace(attempts=self.campaign.attempts(self.number))

    def _listing_quarantine(self) -> pa.Table:
        """What listing refused, booked on round 0."""
        rows = scan(self.campaign.store, "quarantine", round=0).collect().to_arrow()
        return filter_rows(rows, pa.compute.not_equal(rows["reason"], "duplicate"))

    def _quarantine_listing(self) -> None:
        """What listing refused is quarantined in every round, so that a round accounts for all of its manifest."""
        store = self.campaign.store
        refused = self._listing_quarantine()
        done = store.done_ids(self.number, LABELLER)
        rows = [row | {"round": self.number} for row in refused.to_pylist() if row["frame_id"] not in done]
        if rows:
            store.append("quarantine", pa.Table.from_pylist(rows, schema=QUARANTINE), self.number)


def _unboxed(frames: pa.Table) -> pa.Table:
    """Boxes drawn from the truth become given ones: a calibration set's truth is the user's to use."""
    place = frames.schema.get_field_index("box_source")
    given = pa.array(["given"] * frames.num_rows, pa.string())
    return frames.set_column(place, frames.schema.field(place), given)


def _mean(column: pl.Series) -> float:
    return float(column.to_numpy().mean())


def _write(path: Path, text: str) -> None:
    files.write_whole(str(path), text.encode(), "state")
