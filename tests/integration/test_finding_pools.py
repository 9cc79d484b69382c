"""Hands found on a cluster: the same as by a plain loop, nothing lost or doubled, and a round that runs on them."""

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from coloured_hands import FINDER, LEFT, RIGHT, localiser_folder, png, scene, two_hands, write_scenes
from killing_work import died_on
from made_localiser import taught_localiser
from semihand.command_line import read_config
from semihand.frames.errors import BadFrame
from semihand.frames.limits import STANDARD
from semihand.frames.listing import list_frames, quarantine_rows
from semihand.frames.options import ListOptions
from semihand.hand.boxes import overlap
from semihand.methods.localiser.finding import HandFinder
from semihand.rounds.config import RoundConfig
from semihand.rounds.evaluation import look_without_truth
from semihand.rounds.run import run_rounds
from semihand.stages.finding import Finders, find_frames, pieces_of
from semihand.steps.finding import FindJob, unsaid
from semihand.steps.following import FindConfig
from semihand.steps.found_rows import split_found
from semihand.tables import Store, scan
from semihand.tables.comparing import first_difference
from semihand.tables.rows import filter_rows, take_rows
from semihand.workforce import Actors

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
OPEN = ListOptions(find_box=True, find_hand=True)
CONFIG = FindConfig(frames_per_segment=16)
NUM_STILLS, NUM_SHOTS = 30, 40


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Thirty pictures, every third with two hands, the last two empty and torn, and a video of two hands."""
    folder = tmp_path_factory.mktemp("pool")
    for index in range(NUM_STILLS):
        blocks = [(RIGHT, 4 + index, 8, 20 + index % 5, 18)] if index < NUM_STILLS - 2 else []
        if blocks and index % 3 == 0:
            blocks.append((LEFT, 70 - index, 44, 18, 20))
        picture = png(scene(*blocks, seed=index))
        (folder / f"{index:03}.png").write_bytes(picture if index < NUM_STILLS - 1 else picture[:-200])
    write_scenes(folder / "video.mp4", two_hands(NUM_SHOTS, gone=range(20, 26)))
    return folder


@pytest.fixture(scope="module")
def localiser(tmp_path_factory):
    return localiser_folder(tmp_path_factory.mktemp("localiser"))


@pytest.fixture(scope="module")
def job(localiser, teacher):
    return FindJob(CONFIG, localiser, teacher, STANDARD, FINDER)


@pytest.fixture(scope="module")
def listed(pool):
    return list_frames(pool, OPEN).frames


def found_in(store):
    return {name: scan(store, name).collect() for name in ("frames", "quarantine")}


def found_by(num_actors, listed, job, store):
    find_frames(listed, job, store, Finders(Actors(num_actors, 0.25), pieces_per_commit=2))
    return found_in(store)


@pytest.fixture(scope="module")
def by_two_actors(local_ray, listed, job, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("two-actors"))
    store.create()
    return found_by(2, listed, job, store)


def assert_same(ours, theirs):
    for name in ours:
        assert first_difference(ours[name], theirs[name]) == "", name


def test_actors_find_what_a_plain_loop_finds(by_two_actors, listed, job, new_store, one_thread):
    store = new_store()
    for name, rows in zip(("frames", "quarantine"), split_found(job.open()(listed)), strict=True):
        store.append(name, rows)
    assert_same(by_two_actors, found_in(store))
    assert len(pieces_of(listed, CONFIG)) == 4  # 40 pictures of a video in three, and the stills


def test_every_listed_row_is_there_as_its_hands_or_as_a_reason(by_two_actors, listed):
    frames, quarantine = by_two_actors["frames"], by_two_actors["quarantine"]
    assert frames["frame_id"].n_unique() == len(frames) == 28 + 10 + 2 * NUM_SHOTS - 6
    assert Counter(quarantine["reason"]) == {"no_hand": 1, "truncated": 1}
    assert set(quarantine["stage"]) == {"find"}
    there = {*frames["frame_id"], *quarantine["frame_id"]}
    assert set(listed["frame_id"].to_pylist()) <= there
    assert not set(frames["frame_id"]) & set(quarantine["frame_id"])
    followed = frames.filter(pl.col("track_id").is_not_null())
    assert followed.group_by("track_id").agg(pl.col("hand").n_unique())["hand"].unique().to_list() == [1]


def test_the_number_of_actors_changes_nothing(by_two_actors, listed, job, new_store):
    assert_same(by_two_actors, found_by(1, listed, job, new_store()))


@pytest.mark.parametrize("killed_at", ["frames", "quarantine"])
def test_finding_that_was_killed_goes_on_and_doubles_nothing(
    killed_at, by_two_actors, listed, job, new_store, monkeypatch
):
    store, commit, commits = new_store(), Store.commit, []

    def commit_once(self, name, *arguments):
        commits.append(name)
        if commits.count(killed_at) == 2:
            raise KeyboardInterrupt
        return commit(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", commit_once)
        with pytest.raises(KeyboardInterrupt):
            found_by(1, listed, job, store)
    assert 0 < len(found_in(store)["frames"]) < len(by_two_actors["frames"])
    assert_same(by_two_actors, found_by(2, listed, job, store))
    versions = [store.version(name) for name in ("frames", "quarantine")]
    assert_same(by_two_actors, found_by(1, listed, job, store))
    assert [store.version(name) for name in ("frames", "quarantine")] == versions


@pytest.fixture(scope="module")
def known(listed):
    """What was listed, and a row with box and side for the right hand of every fifth still and of two shots."""
    stills = [row for row, number in enumerate(listed["video_frame"].to_pylist()) if number is None]
    shots = [listed["video_frame"].to_pylist().index(number) for number in (3, 17)]
    boxes = [(4 + index, 8, 20 + index % 5, 18) for index in range(0, NUM_STILLS, 5)]
    boxes += [(4 + number, 6 + number % 3, 20, 16) for number in (3, 17)]
    given = take_rows(listed, stills[::5] + shots)
    said = {
        "frame_id": [f"known-{each}" for each in given["frame_id"].to_pylist()], "hand": ["right"] * len(boxes),
        "bbox_px": [list(map(float, box)) for box in boxes], "box_source": ["given"] * len(boxes),
    }  # fmt: skip
    for name, values in said.items():
        place = given.column_names.index(name)
        given = given.set_column(place, given.schema.field(name), pa.array(values, given.schema.field(name).type))
    return pa.concat_tables([given, listed])


def test_hands_that_have_rows_are_not_found_again_by_any_number_of_actors(known, by_two_actors, job, new_store):
    plain, stores = new_store(), [new_store(), new_store()]
    frames, quarantine = split_found(job.open()(known))
    plain.append("frames", frames)
    plain.append("quarantine", quarantine)
    for num_actors, store in zip((1, 2), stores, strict=True):
        store.append("frames", filter_rows(known, ~unsaid(known)))
        for name, rows in found_by(num_actors, known, job, store).items():
            # Not byte by byte: what lies behind a null depends on which rows were written in one file.
            assert_frame_equal(rows.sort("frame_id"), found_in(plain)[name].sort("frame_id"), check_exact=True)
    found, without = found_in(plain)["frames"], by_two_actors["frames"]
    assert Counter(found["box_source"])["given"] == 8
    assert len(found) == len(without), "each known hand is there instead of one that was found"
    assert Counter(found_in(plain)["quarantine"]["reason"]) == {"no_hand": 1 + 4, "truncated": 1}


def test_what_a_run_refused_stays_refused_if_the_next_one_sees_a_hand(listed, by_two_actors, job, new_store):
    store, both = new_store(), by_two_actors["frames"].filter(pl.col("uri").str.ends_with("000.png"))
    (refused,) = set(both["frame_id"]) & set(listed["frame_id"].to_pylist())
    (uri,) = set(both["uri"])
    store.append("quarantine", quarantine_rows([refused], [uri], [BadFrame("no_hand", "elsewhere")], "find", 0))
    found = found_by(1, listed, job, store)
    assert set(found["frames"]["frame_id"]) == set(by_two_actors["frames"]["frame_id"]) - set(both["frame_id"])
    assert Counter(found["quarantine"]["reason"]) == {"no_hand": 2, "truncated": 1}


@pytest.fixture
def with_double(monkeypatch):
    """Rounds that open `ColourFinder` in place of the real localiser."""
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)


def test_a_round_runs_on_frames_that_say_neither_box_nor_side(
    local_ray, with_double, by_two_actors, pool, localiser, teacher, tmp_path
):
    arguments = {
        "recipe": "tiny", "campaign": tmp_path / "campaign", "rounds": 1, "frames": pool, "localiser": localiser,
        "teacher": teacher, "source": "source", "data.num_source": 60, "calibrate.num_frames": 20,
        "train.num_steps": 4, "select.accept_shares": "[0.5]",
        "find.frames_per_segment": 16,
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))] + ["--cluster.alone"]
    config = read_config(RoundConfig, words, RECIPES, default=None)
    summary = run_rounds(config)
    found = found_in(config.campaign)
    assert first_difference(by_two_actors["frames"], found["frames"]) == ""
    labels = scan(config.campaign, "labels").collect()
    assert set(labels["frame_id"]) == set(found["frames"]["frame_id"])
    of_round = found["quarantine"].filter(pl.col("round") == 1)
    assert Counter(of_round["reason"]) == {"no_hand": 1, "truncated": 1}
    assert Store(config.campaign).is_sealed(1)
    ingested = scan(config.campaign, "rounds").filter(pl.col("step") == "ingest").collect().row(0, named=True)
    assert sorted(json.loads(ingested["hashes"])) == ["localiser", "manifest", "manifest_file", "teacher"]
    again = run_rounds(config)
    assert json.dumps(again.rounds, sort_keys=True) == json.dumps(summary.rounds, sort_keys=True)


def test_label_free_figures_are_of_the_hands_that_are_found(with_double, by_two_actors, pool, localiser, teacher):
    figures = look_without_truth(pool, teacher, ListOptions(), localiser, CONFIG)
    assert figures["frames"] == len(by_two_actors["frames"])
    assert (figures["no_hand"], figures["unusable"]) == (1, 1)
    assert figures["jitter_mm"] > 0


def test_frames_that_killed_their_finders_are_quarantined_and_the_others_are_found_without_them(
    local_ray, listed, job, new_store, tmp_path
):
    stills = listed.filter(pa.compute.is_null(listed["video_frame"]))
    bad = stills["frame_id"].to_pylist()[0]
    others = filter_rows(listed, pa.compute.not_equal(listed["frame_id"], bad))
    died_on(tmp_path / "attempts", bad)
    ours, theirs = new_store(), new_store()
    find_frames(listed, job, ours, Finders(Actors(1, 0.25), attempts=tmp_path / "attempts"))
    find_frames(others, job, theirs, Finders(Actors(1, 0.25)))
    found, wanted = found_in(ours), found_in(theirs)
    given_up = found["quarantine"].filter(pl.col("reason") == "poison")
    assert given_up["frame_id"].to_list() == [bad]
    assert given_up["stage"].to_list() == ["find"]
    for name in wanted:
        rest = found[name].filter(pl.col("frame_id") != bad).sort("frame_id")
        assert first_difference(rest, wanted[name].sort("frame_id")) == "", name
    assert not (tmp_path / "attempts").exists()


def test_a_localiser_that_was_taught_finds_the_hands_of_pictures(local_ray, teacher, new_store, tmp_path):
    pool, boxes = tmp_path / "pool", [(30, 20, 40, 62), (90, 60, 44, 60), None]
    pool.mkdir()
    for number, box in enumerate(boxes):
        blocks = [] if box is None else [((250, 250, 250), *box)]
        (pool / f"{number}.png").write_bytes(png(scene(*blocks, size=(180, 140))))
    store = new_store()
    job = FindJob(CONFIG, taught_localiser(tmp_path / "models"), teacher, STANDARD, HandFinder)
    find_frames(list_frames(pool, OPEN).frames, job, store, Finders(Actors(1, 0.25)))
    found = found_in(store)
    assert Counter(found["quarantine"]["reason"]) == {"no_hand": 1}
    by_place = found["frames"].sort("uri")
    assert by_place["box_source"].to_list() == ["localiser"] * 2
    for box, hand in zip(boxes[:2], by_place["bbox_px"].to_list(), strict=True):
        assert overlap(tuple(map(float, box)), tuple(hand)) > 0.35, "taught for seconds, it draws loosely"
