"""Sets made by code on a cluster: the same bytes every time, and made once."""

import pytest

from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import generate_frames
from semihand.stages.synthesis import synthesise
from semihand.tables import scan
from semihand.tables.comparing import first_difference

# More than one shard, so that two tasks make it.
CONFIG = SyntheticConfig(domain="randomised", num_frames=230, seed=3)


@pytest.fixture(scope="module")
def made(local_ray, tmp_path_factory):
    from semihand.tables import Store

    store = Store(tmp_path_factory.mktemp("made"))
    synthesise(CONFIG, store)
    return store


def test_the_same_configuration_makes_the_same_bytes(made, new_store):
    again = new_store(["frames"])
    synthesise(CONFIG, again)
    ours, theirs = (scan(store, "frames").collect() for store in (again, made))
    assert first_difference(ours, theirs) == ""
    assert theirs["frame_id"].n_unique() == theirs["content_sha256"].n_unique() == CONFIG.num_frames


def test_frames_made_by_tasks_are_those_made_without_ray(made, new_store):
    alone = new_store(["frames"])
    alone.append("frames", generate_frames(CONFIG, range(195, 205)))
    ours = scan(alone, "frames").collect()
    theirs = scan(made, "frames").collect()
    assert first_difference(ours, theirs.filter(theirs["frame_id"].is_in(ours["frame_id"].to_list()))) == ""
    assert len(ours) == 10


def test_a_set_that_is_there_is_not_made_again(made):
    version, said = made.version("frames"), []
    synthesise(CONFIG, made, said.append)
    assert made.version("frames") == version
    assert said == []


def test_a_folder_with_another_set_is_refused(made):
    other = CONFIG.model_copy(update={"num_frames": 460})
    with pytest.raises(ValueError, match=r"holds 230 frames of synthetic-randomised-single-3.*another folder"):
        synthesise(other, made)
