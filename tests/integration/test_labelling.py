"""A label depends on its frame alone: not on the actor, the order, the neighbours or a restart."""

import signal
from multiprocessing import get_context

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from killing_labeller import KillingLabeller, label_alone
from killing_work import num_killed, poison
from semihand.deaths import MOST_DEATHS
from semihand.frames.limits import Limits
from semihand.frames.truth import without_truth
from semihand.methods.semihand.weights import read_card
from semihand.rounds.steps import RoundSteps
from semihand.stages import labelling
from semihand.stages.labelling import LabelClusterConfig, Labelling, label_frames
from semihand.steps.correct import CorrectConfig
from semihand.steps.label import FrameLabeller, LabelConfig
from semihand.steps.label_rows import split_labelled
from semihand.steps.previous import COLUMNS, PreviousLabels
from semihand.steps.subjects import UNNAMED, Lengths
from semihand.steps.training_data import read_frames
from semihand.tables import LABELS, QUARANTINE, deterministic_columns, scan
from semihand.tables.comparing import first_difference
from semihand.tables.places import Places
from semihand.tables.rows import take_rows

ONE_ACTOR = LabelClusterConfig(num_actors=1, cpus_per_actor=0.5, rows_per_shard=40)
TWO_ACTORS = LabelClusterConfig(num_actors=2, cpus_per_actor=0.25, rows_per_shard=11, shards_per_commit=2)


@pytest.fixture(scope="module")
def pool(tiny_campaign):
    return without_truth(read_frames(tiny_campaign.folder))


@pytest.fixture(scope="module")
def job(tiny_campaign, teacher):
    steps = RoundSteps(tiny_campaign, 1, teacher, tiny_campaign.folder / "source", lambda: pa.table({}))
    subjects = scan(tiny_campaign.store, "subjects").filter(pl.col("round") == 1).collect().to_arrow()
    return Labelling(tiny_campaign.config.label, teacher, Lengths.of(subjects), steps.read_calibration(), 1)


@pytest.fixture(scope="module")
def by_one_actor(pool, job, tmp_path_factory):
    from semihand.tables import Store

    store = Store(tmp_path_factory.mktemp("one-actor"))
    store.create()
    label_frames(pool, job, store, ONE_ACTOR)
    return left_by(store)


def left_by(store):
    """The deterministic columns of what labelling committed."""
    return {
        name: scan(store, name).select(deterministic_columns(schema)).collect()
        for name, schema in (("labels", LABELS), ("quarantine", QUARANTINE))
    }


def assert_same(ours, theirs):
    for name in ours:
        assert first_difference(ours[name], theirs[name]) == "", name


def backwards_and_mixed(frames):
    order = sorted(range(frames.num_rows), key=lambda row: (row * 37) % 101)
    assert order != list(range(frames.num_rows))
    return take_rows(frames, order)


def test_every_frame_is_labelled_or_quarantined_once_and_no_two_labels_are_the_same(by_one_actor, pool):
    labels, quarantine = by_one_actor["labels"], by_one_actor["quarantine"]
    ids = [*labels["frame_id"], *quarantine["frame_id"]]
    assert sorted(ids) == sorted(pool["frame_id"].to_pylist())
    for column in ("stability", "predicted_error_mm"):
        assert labels[column].is_finite().all()
    assert labels["stability"].n_unique() == len(labels) > 80


def test_two_actors_in_another_order_label_as_one_does(by_one_actor, pool, job, new_store):
    store = new_store()
    label_frames(backwards_and_mixed(pool), job, store, TWO_ACTORS)
    assert_same(left_by(store), by_one_actor)


def test_frames_that_actors_read_themselves_are_labelled_as_those_that_come_with_their_pictures(
    by_one_actor, tiny_campaign, job, new_store
):
    places = Places(tiny_campaign.store.folder, tiny_campaign.store.version("frames"))
    listing, store = places.listed(["frame_id", "subject_id", "uri", "video_frame"]), new_store()
    label_frames(listing, job._replace(places=places), store, TWO_ACTORS)
    assert_same(left_by(store), by_one_actor)


def test_a_round_that_was_given_half_its_frames_ends_as_if_it_had_them_all(by_one_actor, pool, job, new_store):
    store, told = new_store(), []
    label_frames(pool.slice(0, pool.num_rows // 2), job, store, ONE_ACTOR)
    half = store.done_ids(1, "semihand")
    assert len(half) == pool.num_rows // 2
    label_frames(pool, job, store, TWO_ACTORS, lambda labels, quarantined: told.append(labels + quarantined))
    assert told[-1] == pool.num_rows - len(half)
    assert_same(left_by(store), by_one_actor)
    version = store.version("labels")
    label_frames(pool, job, store, TWO_ACTORS)
    assert store.version("labels") == version


def test_labels_without_ray_are_the_labels_with_ray(by_one_actor, pool, job, new_store, one_thread):
    labeller = FrameLabeller(job.config, job.teacher, job.lengths, job.calibration, job.round_number)
    labels, quarantine = split_labelled(labeller(pool))
    store = new_store()
    store.append("labels", labels, 1)
    if quarantine.num_rows:
        store.append("quarantine", quarantine, 1)
    assert_same(left_by(store), by_one_actor)


def test_limits_reach_the_actors(pool, job, new_store):
    store = new_store()
    few = pool.slice(0, 6)
    label_frames(few, job._replace(limits=Limits(max_side_px=63)), store, TWO_ACTORS)
    found = left_by(store)
    assert len(found["labels"]) == 0
    assert sorted(found["quarantine"]["frame_id"]) == sorted(few["frame_id"].to_pylist())
    assert set(found["quarantine"]["reason"]) == {"too_large"}


def die_of(bad, pool, job, folder):
    """Let these frames of the pool kill whoever labels them; returns the job that notes who died."""
    poison(folder, set(pool["frame_id"].take(bad).to_pylist()))
    return job._replace(attempts=folder / "attempts")


def assert_all_but(bad, store, by_one_actor, pool):
    """Every other label is what it is without them, and each of them is quarantined."""
    found, names = left_by(store), set(pool["frame_id"].take(bad).to_pylist())
    others = {name: rows.filter(~pl.col("frame_id").is_in(list(names))) for name, rows in by_one_actor.items()}
    given_up = found["quarantine"].filter(pl.col("reason") == "poison")
    assert sorted(given_up["frame_id"]) == sorted(names)
    assert_same(found | {"quarantine": found["quarantine"].filter(pl.col("reason") != "poison")}, others)


def test_frames_that_kill_their_workers_are_quarantined_and_no_other_label_changes(
    by_one_actor, pool, job, new_store, tmp_path, monkeypatch
):
    bad, store = [3, 4, 90], new_store()
    monkeypatch.setattr(labelling, "_Labeller", KillingLabeller)
    label_frames(pool, die_of(bad, pool, job, tmp_path), store, TWO_ACTORS)
    assert_all_but(bad, store, by_one_actor, pool)
    assert num_killed(tmp_path) >= 2 * MOST_DEATHS + 3 * MOST_DEATHS  # of two blocks, and of three rows
    assert not (tmp_path / "attempts").exists()


def test_alone_the_driver_dies_once_and_then_leaves_the_dying_to_children(by_one_actor, pool, job, new_store, tmp_path):
    bad, store = [3], new_store()
    ours = die_of(bad, pool, job, tmp_path)
    ends = []
    for _ in range(2):
        driver = get_context("spawn").Process(target=label_alone, args=(pool, ours, store, ONE_ACTOR))
        driver.start()
        driver.join()
        ends.append(driver.exitcode)
    assert ends == [-signal.SIGKILL, 0]
    assert_all_but(bad, store, by_one_actor, pool)
    assert num_killed(tmp_path) == MOST_DEATHS + MOST_DEATHS


def test_another_teacher_or_other_views_label_otherwise(by_one_actor, pool, job, one_thread):
    """What makes the comparisons above mean something."""
    views = job.config.views.model_copy(update={"num_views": job.config.views.num_views + 1})
    other = FrameLabeller(LabelConfig(views=views), job.teacher, job.lengths, job.calibration, 1)
    labels, _ = split_labelled(other(pool.slice(0, 8)))
    theirs = by_one_actor["labels"].filter(pl.col("frame_id").is_in(labels["frame_id"].to_pylist()))
    ours = pl.DataFrame(pl.from_arrow(labels.select(["frame_id", "stability"])))
    assert first_difference(ours, theirs.select("frame_id", "stability")) == "column stability"


def test_two_teachers_a_projection_and_labels_carried_by_the_store_are_the_same_with_and_without_ray(
    by_one_actor, pool, job, teacher, new_store, one_thread
):
    store = new_store()
    previous = by_one_actor["labels"].select(COLUMNS).head(60).to_arrow()
    card = read_card(teacher)
    lengths = Lengths({UNNAMED: np.array(card.template_mm)}, {UNNAMED: np.array(card.palm_mm)})
    correct = CorrectConfig(method="projection", paired_test=True)
    config = job.config.model_copy(update={"carry": True, "combine": "mean", "correct": correct})
    ours = job._replace(config=config, lengths=lengths, round_number=2, second_teacher=teacher, previous=previous)
    label_frames(backwards_and_mixed(pool), ours, store, TWO_ACTORS)
    alone = new_store()
    labeller = FrameLabeller(
        config, job.teacher, lengths, job.calibration, 2, second_teacher=teacher, previous=PreviousLabels(previous)
    )
    labels, _ = split_labelled(labeller(pool))
    alone.append("labels", labels, 2)
    assert_same({"labels": left_by(store)["labels"]}, left_by(alone))
    found = left_by(store)["labels"]
    assert found["moved_since_last_round_mm"].is_null().sum() == len(found) - 60
    assert (found["teacher_divergence_mm"] == 0).all()
    assert found["correction_kept"].is_not_null().all()
