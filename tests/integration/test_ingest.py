"""Public data sets on a cluster: actors list what a plain loop lists, and a round runs on one of them."""

import json
from pathlib import Path

import polars as pl
import pytest
import ray

from killing_work import died_on
from made_freihand import write_freihand
from semihand.command_line import read_config
from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.files import forget_annotations
from semihand.frames.sets.freihand import Freihand
from semihand.frames.sets.named import open_set, parts_of
from semihand.frames.sets.reader import ROWS_PER_PART
from semihand.frames.truth import known_poses, without_truth
from semihand.rounds.config import RoundConfig
from semihand.rounds.run import run_rounds
from semihand.stages.ingest import _memory, ingest_set
from semihand.tables import TRUTH_COLUMNS, Store, scan
from semihand.tables.comparing import first_difference
from sets_of_hands import rendered_hands

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
TRUTH = ListOptions(with_truth=True)
NUM = NUM_POOL = 32


@pytest.fixture(scope="module")
def freihand(tmp_path_factory):
    """32 samples in four versions and as many evaluation pictures; of each split, one picture is missing."""
    root = write_freihand(tmp_path_factory.mktemp("FreiHAND"), rendered_hands(NUM), NUM_POOL)
    (root / f"training/rgb/{NUM + 3:08d}.jpg").unlink()
    (root / "evaluation/rgb/00000005.jpg").unlink()
    return root


@pytest.fixture
def one_at_a_time(local_ray):
    """Ray Data with room for one actor."""
    options = ray.data.DataContext.get_current().execution_options
    before, options.resource_limits = options.resource_limits, ray.data.ExecutionResources(cpu=1)
    yield
    options.resource_limits = before


def ingested(name, keep, options, folder):
    store = Store(folder)
    ingest_set(open_set(name), options, keep, store)
    return store


def rows_of(store, name):
    return scan(store, name).sort("frame_id").collect()


def digests(store, name):
    """The content of a table's files, in the order in which they were committed."""
    logs = sorted(Path(store.path(name), "_delta_log").glob("*.json"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [line["add"]["path"].split("part-")[1].split("-")[0] for line in lines if "add" in line]


def in_many_parts(freihand, folder):
    """Twelve parts, and a driver that may open none of them."""

    def refuse(self, part, with_truth):
        raise AssertionError("listed in the driver")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semihand.frames.sets.reader.ROWS_PER_PART", 12)
        patch.setattr(Freihand, "rows", refuse)
        return ingested(f"freihand:{freihand}", known_poses, TRUTH, folder)


@pytest.fixture(scope="module")
def listed_by_actors(local_ray, freihand, tmp_path_factory):
    return in_many_parts(freihand, tmp_path_factory.mktemp("many"))


def test_actors_list_what_a_plain_loop_lists(listed_by_actors, freihand, new_store):
    plain = list_frames(f"freihand:{freihand}", TRUTH)
    alone = new_store(["frames", "quarantine"])
    alone.append("frames", plain.frames)
    alone.append("quarantine", plain.quarantine)
    for name, num in (("frames", 4 * NUM - 1), ("quarantine", 1)):
        ours, theirs = rows_of(listed_by_actors, name), rows_of(alone, name)
        assert len(ours) == num
        assert first_difference(ours, theirs) == "", name
    assert len(digests(listed_by_actors, "frames")) == 12  # 32 samples of a version are 3 parts


def test_neither_rows_nor_their_order_depend_on_how_many_actors_there_are(
    listed_by_actors, one_at_a_time, freihand, tmp_path
):
    slowly = in_many_parts(freihand, tmp_path)
    for name in ("frames", "quarantine"):
        assert digests(slowly, name) == digests(listed_by_actors, name)


def test_memory_is_reserved_for_what_actors_open_beyond_the_list_of_parts(freihand, monkeypatch):
    num_bytes = sum((freihand / f"training_{name}.json").stat().st_size for name in ("K", "xyz"))
    for most, reserved in ((1e9, 10 * num_bytes), (1000.0, 1000)):
        monkeypatch.setattr("semihand.stages.ingest.machines", lambda most=most: [{"memory": 10.0}, {"memory": most}])
        forget_annotations()
        reader = open_set(f"freihand:{freihand}")
        parts_of(reader)
        assert _memory(reader, TRUTH) == reserved


def test_an_ingest_that_was_killed_between_its_commits_goes_on(local_ray, freihand, tmp_path, monkeypatch):
    commit = Store.commit

    def commit_no_frames(self, name, *arguments):
        if name == "frames":
            raise KeyboardInterrupt
        return commit(self, name, *arguments)

    name = f"freihand:{freihand}?split=evaluation"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", commit_no_frames)
        with pytest.raises(KeyboardInterrupt):
            ingested(name, without_truth, ListOptions(), tmp_path)
    assert len(rows_of(Store(tmp_path), "quarantine")) == 1
    for whole in (NUM_POOL - 1, NUM_POOL - 1):  # the second time there is nothing left to do
        store = ingested(name, without_truth, ListOptions(), tmp_path)
        assert rows_of(store, "quarantine")["reason"].to_list() == ["missing_file"]
        assert rows_of(store, "frames")["frame_id"].n_unique() == len(rows_of(store, "frames")) == whole


def test_a_frame_that_two_parts_list_is_the_first_ones(local_ray, freihand, tmp_path):
    entry = {"intrinsic_matrix": [[60, 0, 32], [0, 60, 32], [0, 0, 1]], "without_object": 1}
    repeats = ROWS_PER_PART - 25
    names = [f"rgb/{picture:08d}.jpg" for picture in (*range(25), *[7] * repeats, 3, 25, 24)]
    (freihand / "training/annotation.json").write_text(json.dumps([entry | {"name": name} for name in names]))
    name = f"h3d:{freihand / 'training'}?hand=right"
    plain = list_frames(name, ListOptions())
    store = ingested(name, without_truth, ListOptions(), tmp_path)
    assert rows_of(store, "frames")["frame_id"].to_list() == sorted(plain.frames["frame_id"].to_pylist())
    assert len(rows_of(store, "frames")) == 26
    ours, theirs = rows_of(store, "quarantine"), plain.quarantine.sort_by("frame_id").to_pylist()
    assert ours.to_dicts() == theirs
    assert ours["reason"].to_list() == ["duplicate"] * (repeats + 2)
    assert not set(ours["frame_id"]) & set(rows_of(store, "frames")["frame_id"])


def test_what_a_part_as_a_whole_lacks_is_one_clear_line(local_ray, freihand, tmp_path):
    listed = (freihand / "training_xyz.json").read_text()
    (freihand / "training_xyz.json").write_text(listed[:-5])
    try:
        with pytest.raises(InputError, match=r"training_xyz\.json: cannot be read .* download it again"):
            ingested(f"freihand:{freihand}", known_poses, TRUTH, tmp_path)
    finally:
        (freihand / "training_xyz.json").write_text(listed)
    assert not len(rows_of(Store(tmp_path), "frames"))


def test_a_round_runs_on_freihand_and_never_opens_the_pools_truth(local_ray, freihand, tmp_path):
    for name in ("xyz", "mano"):
        (freihand / f"evaluation_{name}.json").write_text("who opens this fails")
    arguments = {
        "recipe": "tiny", "campaign": tmp_path / "campaign", "rounds": 1,
        "source": f"freihand:{freihand}?split=training&version=gs",
        "frames": f"freihand:{freihand}?split=evaluation",
        "evaluation": f"freihand:{freihand}?split=training&version=hom", "protocol": "freihand",
        "calibrate.num_frames": 20, "pretrain.num_steps": 6, "train.num_steps": 4, "select.accept_shares": "[0.5]",
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    words += ["--transductive", "--cluster.alone"]  # the splits of this miniature show the same hands
    config = read_config(RoundConfig, words, RECIPES, default=None)
    try:
        summary = run_rounds(config)
    finally:
        for name in ("xyz", "mano"):
            (freihand / f"evaluation_{name}.json").unlink()
    frames, labels, source = (
        scan(folder, name).collect()
        for folder, name in (
            (config.campaign, "frames"), (config.campaign, "labels"), (config.campaign / "source", "frames"),
        )
    )  # fmt: skip
    assert len(frames) == len(labels) == NUM_POOL - 1
    assert set(labels["frame_id"]) == set(frames["frame_id"])
    assert set(frames["supervision"]) == {"none"}
    assert all(frames[name].null_count() == len(frames) for name in TRUTH_COLUMNS)
    assert set(frames["box_source"]) == {"region"}
    refused = scan(config.campaign, "quarantine").filter(pl.col("round") == 1).collect()
    assert refused["reason"].to_list() == ["missing_file"]
    assert len(source) == NUM
    assert source["mask_png"].null_count() == 0
    assert [each["evaluation"]["frames"] for each in summary.rounds] == [NUM - 1, NUM - 1]
    assert summary.rounds[1]["labels"] == NUM_POOL - 1
    assert 10 < summary.rounds[1]["selected"] < 20
    assert Store(config.campaign).is_sealed(1)
    again = run_rounds(config)
    assert json.dumps(again.rounds, sort_keys=True) == json.dumps(summary.rounds, sort_keys=True)


def test_a_part_that_killed_its_listers_ends_the_listing_and_is_listed_again_next_time(local_ray, freihand, new_store):
    name, store = f"freihand:{freihand}?split=training", new_store(["frames", "quarantine"])
    died_on(Path(store.folder, "attempts"), json.dumps(parts_of(open_set(name))[0]))
    with pytest.raises(InputError, match=r"freihand: whoever lists part .* is killed, 3 times by now"):
        ingest_set(open_set(name), TRUTH, known_poses, store)
    ingest_set(open_set(name), TRUTH, known_poses, store)
    assert scan(store, "frames").collect().height > 0
    assert not Path(store.folder, "attempts").exists()
