"""steps/checking/sharing.py: people, recordings and pictures of two sets, and what is shared with nobody."""

import itertools

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from semihand.steps.checking.sharing import WHO, shared_by
from semihand.tables import FRAMES

NUMBERS = itertools.count()
TYPES = pa.schema([FRAMES.field(name).with_nullable(True) for name in WHO])


def frames(*rows):
    """Rows of `WHO`; every picture another one unless it is said."""
    cells = [dict.fromkeys(WHO) | {"content_sha256": f"picture {next(NUMBERS)}"} | row for row in rows]
    return pa.Table.from_pylist(cells, schema=TYPES)


def still(name, **more):
    return {"uri": f"/data/{name}", **more}


def video(uri, number, content, **more):
    return {"uri": uri, "video_frame": number, "content_sha256": content, **more}


NAMES = st.sampled_from([None, "", "anna", "ben", "cleo", "dora"])
ROWS = st.lists(st.fixed_dictionaries({"subject_id": NAMES, "sequence_id": NAMES}), max_size=6)


@given(ROWS, ROWS)
def test_named_subjects_and_sequences_are_shared_as_sets_are(first, second):
    shared = shared_by(frames(*first), frames(*second))
    for name, found in (("subject_id", shared.subjects), ("sequence_id", shared.sequences)):
        both = {row[name] for row in first} & {row[name] for row in second} - {None, ""}
        assert found == tuple(sorted(both))
    assert shared.num_unknown == sum(row["subject_id"] in (None, "") for row in second)
    assert bool(shared) == bool(shared.subjects or shared.sequences)


def test_nulls_are_shared_with_nobody_and_pictures_are_the_same_by_their_bytes_alone():
    ours = frames(still("a.png", content_sha256="one"), still("b.png", content_sha256="two"))
    theirs = frames(still("c.png", content_sha256="two"), still("a.png", content_sha256="three"))
    shared = shared_by(ours, theirs)
    assert (shared.subjects, shared.sequences) == ((), ())
    assert shared.pictures == ("/data/c.png",)
    assert shared.said() == "1 picture (/data/c.png)"
    assert not shared_by(ours, frames(still("a.png")))
    assert shared_by(ours, frames(still("a.png"))).said() == "nothing"


def test_other_versions_of_an_instant_are_shared_within_a_data_set():
    mine = frames(still("gs/1.png", dataset="freihand", instant_id="1"))
    other_background = frames(still("hom/1.png", dataset="freihand", instant_id="1", content_sha256="other"))
    assert shared_by(mine, other_background).said() == "1 instant (1)"
    assert not shared_by(mine, frames(still("a.png", dataset="mine", instant_id="1", content_sha256="other")))
    assert not shared_by(frames(still("a.png", instant_id="")), frames(still("b.png", instant_id="")))


def test_two_videos_of_one_name_are_one_recording_only_if_their_bytes_are_the_same():
    mine = frames(video("/mine/clip.mp4", 0, "A", sequence_id="clip.mp4"))
    same_name = frames(video("/other/clip.mp4", 1, "B", sequence_id="clip.mp4"))
    same_bytes = frames(video("/copy/renamed.mp4", 7, "A", sequence_id="renamed.mp4"))
    assert not shared_by(mine, same_name)
    assert shared_by(mine, same_bytes).sequences == ("renamed.mp4",)
    assert shared_by(mine, same_bytes).pictures == ()  # other frames of it
    assert shared_by(mine, frames(video("/copy/x.mp4", 0, "A", sequence_id="x.mp4"))).pictures == ("/copy/x.mp4#0",)


def test_what_somebody_named_counts_by_its_name():
    mine = frames(video("/mine/clip.mp4", 0, "A", sequence_id="clip.mp4"))
    assert shared_by(mine, frames(still("clip_0001.png", sequence_id="clip.mp4"))).sequences == ("clip.mp4",)
    takes = [frames(video("/mine/day.mp4", number, "A", sequence_id=f"take-{number}")) for number in (1, 2)]
    assert not shared_by(*takes)  # one file of two recordings, told apart by whoever wrote the manifest
    unsaid = frames(video("/mine/day.mp4", 5, "A"))
    assert shared_by(takes[0], unsaid).sequences == ("/mine/day.mp4",)


def test_a_message_names_the_first_and_counts_all():
    many = frames(*({"subject_id": f"s{number}"} for number in range(9)))
    assert shared_by(many, many).said().startswith("9 subjects (s0, s1, s2, …) and 9 pictures (sha256 picture ")
