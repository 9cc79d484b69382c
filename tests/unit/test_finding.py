"""steps/finding.py: every listed row becomes its hands or a reason, whatever it came together with."""

from collections import Counter

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from frames_tables import with_column

from coloured_hands import FINDER, LEFT, RIGHT, BlockTracker, localiser_folder, png, scene, two_hands, write_scenes
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.hand.boxes import overlap
from semihand.methods.semihand.predictor import Predictor
from semihand.steps.finding import FrameFinder, PoseTracker, share_out, unsaid
from semihand.steps.following import FindConfig, Seen, Track
from semihand.steps.found_rows import FOUND, split_found
from semihand.tables import SCHEMAS, frame_id
from semihand.tables.comparing import first_difference
from semihand.tables.rows import filter_rows, take_rows
from semihand.tables.validation import checked_rows

OPEN = ListOptions(find_box=True, find_hand=True)


@pytest.fixture
def find(tmp_path):
    finder = FINDER(localiser_folder(tmp_path / "localiser"))
    return FrameFinder(finder, BlockTracker(), FindConfig(frames_per_segment=20))


@pytest.fixture
def pool(tmp_path):
    """Pictures with one hand, two, none and a broken one, and a video of two hands of which one is away for a while."""
    folder = tmp_path / "pool"
    folder.mkdir()
    pictures = {
        "both": scene((RIGHT, 5, 5, 20, 20), (LEFT, 60, 40, 20, 24)),
        "left": scene((LEFT, 30, 30, 22, 20), seed=1),
        "none": scene(seed=2),
        "right": scene((RIGHT, 50, 10, 18, 30), seed=3),
    }
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(png(picture))
    (folder / "torn.png").write_bytes(png(pictures["left"])[:-200])
    write_scenes(folder / "video.mp4", two_hands(45, gone=range(9, 14)))
    return folder


def by_picture(frames):
    rows = pl.DataFrame(pl.from_arrow(frames.drop_columns(["image"])))
    names = rows["uri"].str.split("/").list.last()
    return rows.with_columns(picture=names)


def test_listing_leaves_open_what_a_localiser_will_find(pool):
    frames = list_frames(pool, OPEN).frames
    assert frames["bbox_px"].null_count == frames["box_source"].null_count == frames["hand"].null_count
    assert unsaid(frames).all()
    assert len(frames) == 4 + 45 + 1  # what only decoding shows comes up when it is read
    closed = list_frames(pool, ListOptions(hand="right")).frames
    assert not unsaid(closed).any()
    assert frames["frame_id"].to_pylist() == closed["frame_id"].to_pylist()
    boxed = list_frames(pool, OPEN.model_copy(update={"box": (1, 2, 30, 40), "hand": "left"})).frames
    assert set(boxed["box_source"].to_pylist()) == {"region"}
    assert not unsaid(boxed).any()


def test_every_row_becomes_its_hands_or_a_reason(pool, find):
    listed = list_frames(pool, OPEN).frames
    frames, quarantine = split_found(find(listed))
    checked_rows(frames, SCHEMAS["frames"])
    checked_rows(quarantine, SCHEMAS["quarantine"])
    ours, theirs = set(frames["frame_id"].to_pylist()), set(quarantine["frame_id"].to_pylist())
    assert len(ours) == len(frames)
    assert not ours & theirs
    assert set(listed["frame_id"].to_pylist()) <= ours | theirs
    assert Counter(quarantine["reason"].to_pylist()) == {"no_hand": 1, "truncated": 1}
    found = by_picture(frames)
    sides = {name: rows["hand"].to_list() for (name,), rows in found.group_by("picture")}
    assert Counter(sides.pop("video.mp4")) == {"left": 45, "right": 40}
    assert {name: sorted(hands) for name, hands in sides.items()} == {
        "both.png": ["left", "right"], "left.png": ["left"], "right.png": ["right"],
    }  # fmt: skip
    assert found["box_score"].is_between(0.7, 1).all()


def test_a_hand_keeps_its_track_and_side_through_a_piece_of_the_video(pool, find):
    frames, _ = split_found(find(list_frames(pool, OPEN).frames))
    video = by_picture(frames).filter(pl.col("picture") == "video.mp4")
    tracks = video.group_by("track_id").agg(pl.col("hand").unique(), pl.col("video_frame").min(), pl.len())
    assert sorted(tracks["hand"].explode()) == ["left"] * 3 + ["right"] * 3  # 45 frames are three pieces of 20
    assert sorted(tracks["len"]) == [5, 5, 15, 20, 20, 20]
    first = video.filter(pl.col("frame_id") == pl.col("track_id"))
    assert sorted(first["video_frame"]) == sorted(tracks["video_frame"]) == [0, 0, 20, 20, 40, 40]
    stills = by_picture(frames).filter(pl.col("picture") != "video.mp4")
    assert stills["track_id"].null_count() == len(stills)
    assert set(stills["box_source"]) == {"localiser"}
    assert Counter(video["box_source"])["tracked"] > 70


def test_in_a_video_of_which_few_frames_are_listed_time_is_that_of_the_video(pool, find):
    def found(step, **config):
        find.config = FindConfig(**config)
        video = by_picture(find(list_frames(pool, OPEN.model_copy(update={"frame_step": step})).frames))
        return video.filter(pl.col("picture") == "video.mp4", pl.col("hand") == "left")

    assert found(5)["track_id"].n_unique() == 1
    assert set(found(5)["box_source"]) == {"localiser", "tracked"}
    apart = found(11)
    assert apart["video_frame"].to_list() == [0, 11, 22, 33, 44]
    assert apart["track_id"].to_list() == apart["frame_id"].to_list()
    assert set(apart["box_source"]) == {"localiser"}
    assert found(11, patience=11)["track_id"].n_unique() < 5


def test_the_first_hand_of_a_picture_keeps_the_frames_id(pool, find):
    listed = by_picture(list_frames(pool, OPEN).frames)
    frames = by_picture(split_found(find(list_frames(pool, OPEN).frames))[0])
    (own,) = listed.filter(pl.col("picture") == "both.png")["frame_id"]
    ids = frames.filter(pl.col("picture") == "both.png")["frame_id"].to_list()
    assert ids == [own, frame_id("hands", own, instance=1)]


def test_which_rows_come_together_and_in_which_order_changes_none(pool, find):
    listed = list_frames(pool, OPEN).frames
    whole = pl.DataFrame(pl.from_arrow(find(listed)))
    order = sorted(range(len(listed)), key=lambda row: (row * 37) % 101)
    assert first_difference(whole, pl.DataFrame(pl.from_arrow(find(take_rows(listed, order))))) == ""
    is_video = listed["video_frame"].is_valid().to_numpy()
    numbers = np.array(listed["video_frame"].fill_null(0).to_pylist())
    pieces = [~is_video, is_video & (numbers < 20), is_video & (numbers >= 20)]
    parts = pa.concat_tables([find(filter_rows(listed, piece)) for piece in pieces])
    assert first_difference(whole, pl.DataFrame(pl.from_arrow(parts))) == ""


def test_a_row_that_says_its_side_is_the_one_hand_that_is_most_likely_it(pool, find):
    listed = list_frames(pool, OPEN.model_copy(update={"hand": "left"})).frames
    frames, quarantine = split_found(find(listed))
    assert len(frames) + len(quarantine) == len(listed)
    assert set(frames["hand"].to_pylist()) == {"left"}
    rows = {row["picture"]: row for row in by_picture(frames).to_dicts()}
    assert overlap(tuple(rows["both.png"]["bbox_px"]), (60.0, 40.0, 20.0, 24.0)) > 0.9
    assert overlap(tuple(rows["right.png"]["bbox_px"]), (50.0, 10.0, 18.0, 30.0)) > 0.9  # the row knows better
    video = by_picture(frames).filter(pl.col("picture") == "video.mp4")
    assert all(box[1] > 35 for box in video["bbox_px"])


def test_a_row_with_a_box_keeps_it_and_is_asked_for_its_side_alone(pool, find):
    listed = list_frames(pool, OPEN.model_copy(update={"box": (24, 24, 30, 30)})).frames
    frames, quarantine = split_found(find(listed))
    stills = {row["picture"]: row for row in by_picture(frames).to_dicts() if row["video_frame"] is None}
    assert stills["left.png"]["hand"] == "left"
    assert stills["left.png"]["bbox_px"] == [24, 24, 30, 30]
    assert (stills["left.png"]["box_source"], stills["left.png"]["track_id"]) == ("region", None)
    assert "none is seen in its box" in quarantine["detail"].to_pylist()[0]
    assert len(frames) + len(quarantine) == len(listed)
    said = with_column(listed, "hand", ["right"] * len(listed))
    kept, _ = split_found(find(said))
    assert kept.equals(said)


def with_known(frames, rows, box_px, hand):
    """The rows, and before each a row of the same picture that has this box already."""
    known = take_rows(frames, rows)
    said = {
        "frame_id": [f"{each}-known" for each in known["frame_id"].to_pylist()], "hand": [hand] * len(rows),
        "bbox_px": [list(map(float, box_px))] * len(rows), "box_source": ["given"] * len(rows),
    }  # fmt: skip
    for name, values in said.items():
        known = with_column(known, name, values)
    return pa.concat_tables([known, frames])


def test_a_hand_that_has_a_row_with_a_box_is_not_found_again(pool, find):
    listed = list_frames(pool, OPEN).frames
    names = [uri.rsplit("/")[-1] for uri in listed["uri"].to_pylist()]
    known = with_known(listed, [names.index("both.png"), names.index("left.png")], (61, 40, 20, 24), "left")
    frames, quarantine = split_found(find(known))
    rows = by_picture(frames)
    both = rows.filter(pl.col("picture") == "both.png").sort("box_source")
    assert both["box_source"].to_list() == ["given", "localiser"]
    assert both["hand"].to_list() == ["left", "right"]
    assert both["frame_id"][0] == f"{both['frame_id'][1]}-known"
    left = rows.filter(pl.col("picture") == "left.png")
    assert sorted(left["box_source"]) == ["given", "localiser"], "the hand lies elsewhere than the box"
    assert Counter(quarantine["reason"].to_pylist()) == {"no_hand": 1, "truncated": 1}
    all_known = with_known(known, [len(known) - len(listed) + names.index("both.png")], (5, 5, 20, 20), None)
    frames, quarantine = split_found(find(all_known))
    details = dict(zip(quarantine["frame_id"].to_pylist(), quarantine["detail"].to_pylist(), strict=True))
    assert "those of its other rows" in details[both["frame_id"][1]]
    assert by_picture(frames).filter(pl.col("picture") == "both.png")["hand"].to_list() == ["right", "left"]


def test_in_a_video_a_hand_is_not_found_again_in_the_pictures_in_which_it_has_a_row(pool, find):
    listed = list_frames(pool, OPEN).frames
    numbers = listed["video_frame"].to_pylist()
    known = with_known(listed, [numbers.index(3), numbers.index(4)], (67, 46, 16, 18), "left")
    rows = by_picture(split_found(find(known))[0]).filter(pl.col("picture") == "video.mp4")
    left = rows.filter(pl.col("hand") == "left", pl.col("box_source") != "given")
    assert sorted(left["video_frame"]) == [number for number in range(45) if number not in (3, 4)]
    assert left.filter(pl.col("video_frame") < 20)["track_id"].n_unique() == 1
    assert rows.filter(pl.col("hand") == "right").height == 40


def test_of_rows_that_are_settled_nothing_more_is_said(pool, find):
    listed = list_frames(pool, OPEN).frames
    whole = find(listed)
    of_both = [uri.endswith("both.png") for uri in listed["uri"].to_pylist()].index(True)
    settled = {listed["frame_id"][of_both].as_py()}
    left = find(listed, settled)
    others = np.array([not uri.endswith("both.png") for uri in whole["uri"].to_pylist()])
    assert left.equals(filter_rows(whole, others))
    assert len(left) == len(whole) - 2


def test_rows_of_one_picture_share_its_hands_out():
    def track(score, right):
        return Track({0: Seen((0.0, 0.0, 9.0, 9.0), (0.0, 0.0, 9.0, 9.0), score, right, "localiser")})

    surely_left, rather_left, right = track(0.9, 0.1), track(0.8, 0.4), track(0.7, 0.95)
    hands = [right, rather_left, surely_left]
    assert share_out([None], hands) == [[surely_left, rather_left, right]]
    assert share_out(["right", "left"], hands) == [[right], [surely_left]]
    assert share_out(["left", None, "left", None], hands) == [[surely_left], [right], [rather_left], []]
    assert share_out(["left", "right"], [right]) == [[], [right]]
    assert share_out(["left"], []) == [[]]


def test_found_rows_are_frames_that_may_lack_values_and_a_reason():
    assert FOUND.names[: len(SCHEMAS["frames"].names)] == SCHEMAS["frames"].names
    assert all(field.nullable for field in FOUND)


def test_joints_are_those_of_the_model_and_a_left_hands_those_of_its_mirror_image(teacher):
    picture = scene((RIGHT, 30, 20, 30, 30), size=(96, 72))
    box, track = (30.0, 20.0, 30.0, 24.0), PoseTracker(teacher)
    expected, _ = Predictor(teacher).predict([picture], np.array([box]))
    np.testing.assert_allclose(track(picture, box, left=False), expected[0], atol=1e-3)
    mirrored = track(np.ascontiguousarray(picture[:, ::-1]), (96 - 30.0 - 30, *box[1:]), left=True)
    np.testing.assert_allclose(95 - mirrored[:, 0], expected[0, :, 0], atol=0.05)
