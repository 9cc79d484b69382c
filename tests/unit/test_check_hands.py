"""steps/checking/hands.py: what a check says of frames whose hands a localiser is to find."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checked_sets import NUM, freihand_of
from frames_tables import with_column

from coloured_hands import FINDER, LEFT, RIGHT, localiser_folder, png, scene, two_hands, write_scenes
from semihand.frames.limits import STANDARD
from semihand.frames.options import ListOptions
from semihand.hand.boxes import overlap
from semihand.report.check_page import _caption, _sheet, _spread_rows
from semihand.rounds.checking import open_finder
from semihand.steps.checking import hands as hands_module
from semihand.steps.checking.sets import GivenSet, check_sets
from semihand.steps.following import FindConfig
from semihand.tables import as_numpy
from sets_of_hands import rendered_hands

PICTURES = {
    "both": scene((RIGHT, 5, 5, 20, 20), (LEFT, 60, 40, 20, 24)),
    "left": scene((LEFT, 30, 30, 22, 20), seed=1),
    "none": scene(seed=2),
    "right": scene((RIGHT, 50, 10, 18, 30), seed=3),
}
NAMES = list(PICTURES)


@pytest.fixture
def find(tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)
    return open_finder(localiser_folder(tmp_path / "localiser"), FindConfig(), STANDARD)


@pytest.fixture
def pool(tmp_path):
    folder = tmp_path / "pool"
    folder.mkdir()
    for name, picture in PICTURES.items():
        (folder / f"{name}.png").write_bytes(png(picture))
    return folder


def checked_pool(path, find, **options):
    checked = check_sets([GivenSet("frames", "frames", str(path))], ListOptions(**options), False, find)
    return checked.sets[0], {each.code: each for each in checked.findings}


def test_frames_that_say_no_side_are_checked_and_those_without_a_hand_counted(pool, find):
    the_set, found = checked_pool(pool, find)
    assert found.keys() == {"no_subject", "assumed_camera", "no_truth", "no_hand", "found_hands"}
    assert (found["no_hand"].severity, found["no_hand"].count, found["no_hand"].num_checked) == ("warning", 1, 4)
    assert found["no_hand"].frames == (str(pool / "none.png"),)
    assert (found["found_hands"].count, found["found_hands"].rows) == (3, (0, 1, 3))
    assert "2 right and 2 left" in found["found_hands"].detail
    assert "--hand" in found["found_hands"].way_out
    assert the_set.facts["hands_sought_in"] == 4
    assert the_set.facts["found_hands"] == {"right": 2, "left": 2}
    (left,) = the_set.hands[NAMES.index("left")]
    assert left.hand == "left"
    assert overlap(left.box_px, (30.0, 30.0, 22.0, 20.0)) > 0.9
    assert len(the_set.hands[NAMES.index("both")]) == 2
    said = ["1 right and 1 left", "1 left", "no hand found", "1 right"]
    assert [_caption(the_set, row) for row in range(4)] == [
        f"{name}.png, {hands}" for name, hands in zip(NAMES, said, strict=True)
    ]


def test_without_a_localiser_the_same_frames_have_to_say_a_side(pool):
    _, found = checked_pool(pool, None)
    assert found.keys() == {"unusable"}
    assert "--hand" in found["unusable"].detail


def test_a_side_that_is_said_is_one_hand_and_a_box_that_is_said_is_kept(pool, find):
    the_set, found = checked_pool(pool, find, hand="left")
    assert "--hand" not in found["found_hands"].way_out
    assert [len(the_set.hands[row]) for row in range(4)] == [1, 1, 0, 1]
    assert the_set.facts["found_hands"] == {"left": 3}
    the_set, found = checked_pool(pool, find, hand="left", box=(1, 2, 30, 40))
    assert (the_set.hands, the_set.facts["hands_sought_in"]) == ({}, 0)
    assert not {"no_hand", "found_hands"} & found.keys()
    the_set, _ = checked_pool(pool, find, box=(26, 26, 30, 30))
    assert [each.hand for each in the_set.hands[NAMES.index("left")]] == ["left"]
    assert the_set.hands[NAMES.index("none")] == ()


def test_a_set_without_any_hand_is_an_error_as_a_round_refuses_it(tmp_path, find):
    (tmp_path / "empty").mkdir()
    for seed in range(3):
        (tmp_path / "empty" / f"{seed}.png").write_bytes(png(scene(seed=seed)))
    _, found = checked_pool(tmp_path / "empty", find)
    assert (found["no_hand"].severity, found["no_hand"].count) == ("error", 3)
    assert "--find.min_score" in found["no_hand"].way_out


def test_of_many_frames_some_are_looked_at_from_the_first_to_the_last(tmp_path, find, monkeypatch):
    monkeypatch.setattr(hands_module, "NUM_SOUGHT", 6)
    video = write_scenes(tmp_path / "video.mp4", two_hands(31, gone=range(10, 20)))
    the_set, found = checked_pool(video, find)
    assert list(the_set.hands) == [0, 6, 12, 18, 24, 30] == _spread_rows(the_set)
    assert [len(the_set.hands[row]) for row in the_set.hands] == [2, 2, 1, 1, 2, 2]
    assert found["found_hands"].num_checked == 6
    assert found["no_subject"].num_checked == 31


def test_a_hand_that_another_row_has_a_box_of_is_not_found_again_and_pictures_may_lie_in_the_manifest(tmp_path, find):
    images = [png(PICTURES[name]) for name in ("both", "both", "none")]
    columns = {"frame_id": ["known", "open", "empty"], "hand": ["left", None, None],
               "bbox_px": [[60.0, 40, 20, 24], None, None]}  # fmt: skip
    pq.write_table(pa.table({"image": pa.array(images, pa.binary()), **columns}), tmp_path / "m.parquet")
    the_set, found = checked_pool(tmp_path / "m.parquet", find)
    assert {row: [each.hand for each in seen] for row, seen in the_set.hands.items()} == {1: ["right"], 2: []}
    assert found["no_hand"].frames == ("frame empty",)


def test_boxes_that_a_public_set_draws_from_its_truth_are_not_taken_for_found_ones(tmp_path, find):
    name = freihand_of(tmp_path / "set", rendered_hands(3))
    the_set, found = checked_pool(name, find)
    assert len(the_set.hands) == found["no_hand"].count == 3  # a rendered hand is neither red nor blue
    assert the_set.looked.rows["box_source"].to_pylist() == ["truth"] * 3


def test_hands_whose_side_nobody_says_are_not_called_mirrored(hands, tmp_path, find):
    mirrored = with_column(hands, "joints_mm", (as_numpy(hands["joints_mm"]) * [-1, 1, 1]).tolist())
    mirrored = with_column(mirrored, "joints_uv_px", [None] * NUM)
    place = mirrored.schema.get_field_index("hand")
    for said, expected in ((["right"] * NUM, True), ([None] * NUM, False)):
        rows = mirrored.set_column(place, "hand", pa.array(said, pa.string()))
        pq.write_table(rows, tmp_path / "m.parquet")
        _, found = checked_pool(tmp_path / "m.parquet", find)
        assert ("mirrored" in found) == expected


def test_what_is_found_is_drawn(pool, find):
    the_set, _ = checked_pool(pool, find)
    shown = {(0, row): (PICTURES[name], 1.0) for row, name in enumerate(NAMES)}
    figure = _sheet(0, the_set, [(row, "") for row in range(4)], shown)
    assert [len(axes.patches) for axes in figure.axes[:4]] == [2, 1, 0, 1]
    assert json.dumps(the_set.facts)
    assert np.allclose(figure.axes[1].patches[0].get_width(), 22, atol=2)
