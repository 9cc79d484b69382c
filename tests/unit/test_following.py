"""steps/following.py: a hand is one track with one side, in the pictures that show it and in no others."""

import numpy as np
import pytest

from coloured_hands import FINDER, LEFT, RIGHT, BlockTracker, localiser_folder, scene, two_hands
from semihand.hand.boxes import overlap
from semihand.methods.localiser.finding import Finding
from semihand.steps.following import FindConfig, follow_hands


@pytest.fixture
def finder(tmp_path):
    return FINDER(localiser_folder(tmp_path))


class Scripted:
    """Says of each picture, which is its own number, what a test wants."""

    def __init__(self, found, again=None):
        self.found, self.again, self.looks = found, again or found, []

    def find(self, pictures):
        self.looks += [int(picture[0, 0, 0]) for picture in pictures]
        return [self.found.get(int(picture[0, 0, 0]), []) for picture in pictures]

    def look_again(self, picture, box_px):
        near = [each for each in self.again.get(int(picture[0, 0, 0]), []) if overlap(each.box_px, box_px) > 0]
        return near[0] if near else None


def numbered(num):
    return pictures_of(range(num))


def pictures_of(numbers):
    return [(number, np.full((60, 80, 3), number, np.uint8)) for number in numbers]


def nowhere(picture, box_px, left):
    return np.full((21, 2), np.nan)


def hand(x, score=0.8, right=0.9, side=20.0):
    return Finding((float(x), 10.0, side, side), score, right)


def test_two_hands_are_two_tracks_whose_boxes_lie_on_the_hands_of_every_picture(finder):
    scenes = two_hands(25)
    tracks = follow_hands(enumerate(scenes), finder, BlockTracker(), FindConfig())
    assert sorted(track.hand for track in tracks) == ["left", "right"]
    for track in tracks:
        assert list(track.seen) == list(range(25))
        for number, seen in track.seen.items():
            right, left = (4.0 + number, 6.0 + number % 3, 20.0, 16.0), (70.0 - number, 46.0, 16.0, 18.0)
            assert overlap(seen.box_px, right if track.hand == "right" else left) > 0.5
        assert track.seen[0].source == "localiser"
        assert {seen.source for number, seen in track.seen.items() if number} == {"tracked"}


def test_a_lost_hand_is_found_again_as_itself_if_it_is_soon_and_near(finder):
    soon = follow_hands(enumerate(two_hands(30, gone=range(9, 12))), finder, BlockTracker(), FindConfig())
    right = [track for track in soon if track.hand == "right"]
    assert [sorted(set(range(30)) - set(track.seen)) for track in right] == [[9, 10, 11]]
    late = follow_hands(enumerate(two_hands(30, gone=range(9, 20))), finder, BlockTracker(), FindConfig(patience=5))
    assert [len(track.seen) for track in late if track.hand == "right"] == [9, 7]  # looked for at 13, and at 23


def test_a_hand_that_comes_in_is_found_at_the_next_look_at_all_of_the_picture():
    found = {number: [hand(5), hand(50)] if number >= 3 else [hand(5)] for number in range(12)}
    finder = Scripted(found)
    first, second = follow_hands(numbered(12), finder, nowhere, FindConfig(find_every=5))
    assert finder.looks == [0, 5, 10]
    assert list(first.seen) == list(range(12))
    assert list(second.seen) == list(range(5, 12))


def test_without_hands_every_picture_is_looked_at_as_a_whole():
    finder = Scripted({})
    assert follow_hands(numbered(7), finder, nowhere, FindConfig(find_every=5)) == []
    assert finder.looks == list(range(7))


def test_the_side_is_the_tracks_and_not_the_pictures():
    sides = [0.9, 0.8, 0.2, 0.1, 0.9, 0.9]
    found = {number: [hand(5, right=right)] for number, right in enumerate(sides)}
    (track,) = follow_hands(numbered(6), Scripted(found), nowhere, FindConfig())
    assert track.hand == "right"
    assert track.right == pytest.approx(np.mean(sides))
    assert track.evidence("right") + track.evidence("left") == pytest.approx(track.evidence()) == pytest.approx(4.8)


def test_two_tracks_that_meet_on_one_hand_are_one_from_there_on():
    found = {0: [hand(5), hand(40)]} | {number: [hand(22)] for number in range(1, 5)}
    tracks = follow_hands(numbered(5), Scripted(found), nowhere, FindConfig())
    assert [list(track.seen) for track in tracks] == [[0, 1, 2, 3, 4], [0]]


def test_a_pose_that_does_not_span_the_hand_moves_no_box():
    def in_the_corner(picture, box_px, left):
        return np.random.default_rng(1).uniform(70, 75, (21, 2))

    found = {number: [hand(5 + number)] for number in range(6)}
    (track,) = follow_hands(numbered(6), Scripted(found), in_the_corner, FindConfig())
    assert all(overlap(track.seen[number].box_px, hand(5 + number).box_px) > 0.4 for number in range(6))


def test_a_box_that_the_hand_has_left_gives_way_to_the_one_it_is_seen_in():
    found = {0: [hand(5)], 1: [hand(20)], 2: [hand(21)]}
    (track,) = follow_hands(numbered(3), Scripted(found), nowhere, FindConfig())
    assert [seen.source for seen in track.seen.values()] == ["localiser", "localiser", "tracked"]
    assert [seen.box_px[0] for seen in track.seen.values()] == [5, 20, 20]


def test_the_pose_model_is_told_the_tracks_side_and_sees_the_picture_before():
    asked = []

    def tracker(picture, box_px, left):
        asked.append((int(picture[0, 0, 0]), left))
        return np.full((21, 2), np.nan)

    found = {number: [hand(5, right=0.1), hand(50, right=0.9)] for number in range(3)}
    follow_hands(numbered(3), Scripted(found), tracker, FindConfig())
    assert asked == [(0, True), (0, False), (1, True), (1, False)]


def test_a_picture_without_a_dim_block_has_none_below_the_threshold(tmp_path):
    picture = scene((RIGHT, 5, 5, 20, 20), ((170, 40, 40), 60, 40, 12, 12), (LEFT, 40, 5, 10, 10))
    for min_score, num in ((0.3, 3), (0.8, 2), (0.99, 0)):
        assert len(FINDER(localiser_folder(tmp_path), min_score=min_score).find([picture])[0]) == num


def test_a_hand_about_whose_joints_a_far_larger_box_is_drawn_is_still_one():
    def far_apart(picture, box_px, left):
        low = np.array(box_px[:2]) - 4
        return low + np.linspace(0, 1, 21)[:, None] * (np.array(box_px[2:]) + 8)

    found = {number: [hand(5 + number)] for number in range(12)}
    finder = Scripted(found)
    (track,) = follow_hands(numbered(12), finder, far_apart, FindConfig(find_every=1))
    assert all(seen.box_px[2] > 1.5 * seen.found_px[2] for number, seen in track.seen.items() if number)


def test_a_picture_that_comes_late_is_looked_at_by_itself_and_changes_no_track():
    found = {number: [hand(5 + number)] for number in range(8)}
    finder = Scripted(found)
    tracks = follow_hands(pictures_of([0, 1, 4, 5, 2, 3, 6]), finder, nowhere, FindConfig())
    assert [list(track.seen) for track in tracks] == [[0, 1, 4, 5, 6], [2], [3]]
    assert finder.looks == [0, 2, 3]
    assert [seen.box_px[0] for track in tracks[1:] for seen in track.seen.values()] == [7, 8]
    (without,) = follow_hands(pictures_of([0, 1, 4, 5, 6]), Scripted(found), nowhere, FindConfig())
    assert tracks[0].seen == without.seen


def test_a_hand_is_not_followed_over_more_pictures_than_its_patience():
    numbers = [0, 5, 15, 26, 30]
    finder = Scripted({number: [hand(5)] for number in numbers})
    tracks = follow_hands(pictures_of(numbers), finder, nowhere, FindConfig(find_every=100, patience=10))
    assert [list(track.seen) for track in tracks] == [[0, 5, 15], [26, 30]]
    assert finder.looks == [0, 26]
