"""rounds/sets.py, rounds/finding.py, stages/ingest.py: a frame is listed once, whatever dies, whatever changes."""

from pathlib import Path

import polars as pl
import pytest
from sample_pictures import write_folder

from coloured_hands import FINDER, localiser_folder
from made_freihand import write_freihand
from semihand.command_line import read_config
from semihand.frames.errors import BadFrame
from semihand.frames.listing import quarantine_rows
from semihand.frames.options import ListOptions
from semihand.frames.sets.named import open_set
from semihand.frames.truth import without_truth
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.listed import MANIFEST, write_manifest
from semihand.rounds.sets import ingest_pool
from semihand.stages.ingest import ingest_set
from semihand.tables import DamagedTable, Store, scan
from sets_of_hands import rendered_hands

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
NUM = 3
GOOD, BAD = True, False


class DeadError(BaseException):
    """A driver that was killed."""


class Pool:
    """Pictures of which the first is good or empty, and a campaign that lists them."""

    def __init__(self, pictures, *words):
        self.pictures, self.words = pictures, words
        self.whole = [picture.read_bytes() for picture in pictures]

    def become(self, *states):
        for picture, whole, state in zip(self.pictures, self.whole, states, strict=False):
            picture.write_bytes(whole if state == GOOD else b"")

    def listed(self, teacher, dies_after=None):
        """The campaign after one start, which may die once it has committed to a table."""
        campaign = open_campaign(read_config(RoundConfig, ["--recipe=tiny", *self.words], RECIPES, default=None))
        with pytest.MonkeyPatch.context() as patch:
            if dies_after is None:
                ingest_pool(campaign, teacher)
                return campaign
            for name in ("commit", "replace_round"):
                patch.setattr(Store, name, dying(getattr(Store, name), dies_after))
            with pytest.raises(DeadError):
                ingest_pool(campaign, teacher)
        return campaign


def dying(change, dies_after):
    """A change of a table that its driver survives only if it is another one."""

    def changed(store, name, rows, *arguments):
        before = store.version(name)
        version = change(store, name, rows, *arguments)
        if name == dies_after and version > before:
            raise DeadError
        return version

    return changed


@pytest.fixture
def pools(tmp_path, monkeypatch):
    """A folder; one whose frames say box and side, so that nothing is left to a localiser; a public data set."""
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)
    localiser = localiser_folder(tmp_path / "localiser")
    freihand = write_freihand(tmp_path / "freihand", rendered_hands(NUM), NUM)

    def make(name):
        words = [f"--campaign={tmp_path / 'campaign'}", "--cluster.alone"]
        if name == "named":
            pictures = sorted((freihand / "evaluation/rgb").iterdir())
            return Pool(pictures, f"--frames=freihand:{freihand}?split=evaluation", *words)
        pictures = write_folder(tmp_path / "pictures", NUM)
        words += [f"--frames={tmp_path / 'pictures'}", "--hand=right"]
        if name == "found":
            words += [f"--localiser={localiser}", "--box=4,4,20,20"]
        return Pool(pictures, *words)

    return make


def ids_of(store, name):
    return scan(store, name).collect()["frame_id"].to_list()


def refused_once(campaign):
    """How many frames were refused; every frame of the pool is there, in one table and once in the manifest."""
    frames, refused = (ids_of(campaign.store, name) for name in ("frames", "quarantine"))
    manifest = pl.read_parquet(campaign.folder / MANIFEST)
    assert len({*frames, *refused}) == len(frames) + len(refused) == NUM
    assert manifest["frame_id"].to_list() == sorted([*frames, *refused])
    assert set(manifest.filter(pl.col("refused").is_not_null())["frame_id"]) == set(refused)
    return len(refused)


@pytest.mark.parametrize("name", ["folder", "found", "named"])
def test_a_frame_that_was_committed_before_its_file_became_bad_is_not_refused(name, pools, teacher):
    pool = pools(name)
    kept = pool.listed(teacher, dies_after="frames").store
    before = scan(kept, "frames").collect()
    pool.become(BAD)
    campaign = pool.listed(teacher)
    assert refused_once(campaign) == 0
    assert scan(campaign.store, "frames").collect().equals(before)


@pytest.mark.parametrize(("name", "num_refused"), [("folder", 0), ("found", 1), ("named", 0)])
def test_a_frame_whose_file_became_good_after_it_was_refused_is_in_one_table(name, num_refused, pools, teacher):
    pool = pools(name)
    pool.become(BAD)
    pool.listed(teacher, dies_after="quarantine")
    pool.become(GOOD)
    assert refused_once(pool.listed(teacher)) == num_refused


def test_a_file_that_became_good_and_bad_again_between_deaths_is_one_frame(pools, teacher):
    pool = pools("folder")
    for state, dies_after in ((BAD, "quarantine"), (GOOD, "frames"), (BAD, None)):
        pool.become(state)
        campaign = pool.listed(teacher, dies_after)
    assert refused_once(campaign) == 0


def test_a_data_set_of_which_no_file_was_good_is_listed_anew_once_they_are(pools, tmp_path):
    pool, store = pools("named"), Store(tmp_path / "store")
    for state, frames, refused in ((BAD, 0, NUM), (GOOD, NUM, 0)):
        pool.become(*[state] * NUM)
        ingest_set(open_set(f"freihand:{tmp_path / 'freihand'}?split=evaluation"), ListOptions(), without_truth, store)
        assert [len(ids_of(store, name)) for name in ("frames", "quarantine")] == [frames, refused]


def test_a_manifest_names_no_frame_twice(pools, teacher):
    campaign = pools("folder").listed(teacher)
    twice = ids_of(campaign.store, "frames")[:1]
    rows = quarantine_rows(twice, [None], [BadFrame("empty_file", "it holds nothing")], "ingest", 0)
    campaign.store.append("quarantine", rows)
    with pytest.raises(DamagedTable, match=f"1 frame listed twice .*{twice[0]}.*; start a new campaign"):
        write_manifest(campaign)
