"""Finding hands in whole pictures, by a localiser that takes bright boxes for hands."""

import numpy as np
import pytest

from made_localiser import bright_bank, taught_localiser
from semihand.methods.localiser.finding import HandFinder
from semihand.steps.localiser import quality_on_scenes, share_with_boxes, threshold_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return taught_localiser(tmp_path_factory.mktemp("localiser"))


@pytest.fixture(scope="module")
def finder(folder):
    return HandFinder(folder)


def picture_with(*boxes: tuple[int, int, int, int], rows: int = 300, columns: int = 400) -> np.ndarray:
    picture = np.full((rows, columns, 3), 10, np.uint8)
    for x, y, width, height in boxes:
        picture[y : y + height, x : x + width] = 250
    return picture


def overlap(first, second) -> float:
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right = min(first[0] + first[2], second[0] + second[2])
    bottom = min(first[1] + first[3], second[1] + second[3])
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    return shared / (first[2] * first[3] + second[2] * second[3] - shared)


def test_a_hand_is_found_where_it_is(finder):
    (findings,) = finder.find([picture_with((220, 100, 60, 100))])
    assert len(findings) == 1
    assert overlap(findings[0].box_px, (220, 100, 60, 100)) > 0.6


def test_a_narrow_picture_is_seen_whole(finder):
    (findings,) = finder.find([picture_with((40, 400, 60, 100), rows=640, columns=200)])
    assert overlap(findings[0].box_px, (40, 400, 60, 100)) > 0.5


def test_two_hands_are_two_findings_the_better_first(finder):
    hands = [(30, 80, 60, 90), (280, 120, 70, 100)]
    (findings,) = finder.find([picture_with(*hands)])
    assert [max(overlap(finding.box_px, hand) for finding in findings) > 0.5 for hand in hands] == [True, True]
    assert findings == sorted(findings, key=lambda finding: -finding.score)


def test_a_picture_without_hands_has_none(finder):
    assert finder.find([picture_with()]) == [[]]


def test_what_is_found_does_not_depend_on_other_pictures(finder):
    pictures = [picture_with((30, 80, 60, 90)), picture_with((200, 50, 80, 120)), picture_with()]
    assert finder.find(pictures) == [finder.find([picture])[0] for picture in pictures]


def test_a_second_look_follows_a_hand_that_has_moved(finder):
    moved = picture_with((220, 100, 60, 100))
    followed = finder.look_again(moved, (205.0, 85.0, 60.0, 100.0))
    assert overlap(followed.box_px, (220, 100, 60, 100)) > 0.5
    assert finder.look_again(moved, (20.0, 20.0, 60.0, 100.0)) is None


def test_mirror_images_of_hands_are_found_as_mirror_images_of_the_other_side(finder):
    picture, (x, y, width, height) = picture_with((220, 100, 60, 100)), (215.0, 95.0, 64.0, 104.0)
    found = finder.look_again(picture, (x, y, width, height))
    mirrored = finder.look_again(np.fliplr(picture).copy(), (400 - x - width, y, width, height))
    assert (mirrored.score, mirrored.right) == pytest.approx((found.score, 1 - found.right), abs=1e-3)
    left, *rest = found.box_px
    assert mirrored.box_px == pytest.approx((400 - left - rest[1], *rest), abs=0.1)


def test_a_higher_score_can_be_asked_for(folder):
    assert HandFinder(folder, min_score=1.0).find([picture_with((220, 100, 60, 100))]) == [[]]


def test_pictures_of_a_few_pixels_are_no_trouble(finder):
    for rows, columns in ((1, 1), (3, 500), (500, 2)):
        assert finder.find([np.zeros((rows, columns, 3), np.uint8)]) == [[]]


def test_figures_on_scenes_are_those_of_what_was_taught(finder):
    bank, localiser = bright_bank(), finder._localiser
    quality = quality_on_scenes(localiser, bank, 64, 0.5, seed=5)
    assert quality.found > 0.8
    assert share_with_boxes(localiser, bank, 32, 0.5, seed=6) < 0.2
    assert quality_on_scenes(localiser, bank, 32, 1.0, seed=5).found == 0


def test_a_threshold_leaves_no_more_boxes_than_asked_for(finder):
    bank, localiser = bright_bank(), finder._localiser
    thresholds = [threshold_for(localiser, bank, 64, share, seed=7) for share in (0.5, 0.1, 0.03)]
    assert thresholds == sorted(thresholds)
    for threshold, share in zip(thresholds, (0.5, 0.1, 0.03), strict=True):
        assert share_with_boxes(localiser, bank, 64, threshold, seed=7) <= share


def test_a_hand_of_a_few_pixels_is_looked_at_in_a_place_of_more(finder):
    """The box is put right from the square that was looked at, which is larger than its own."""
    picture = picture_with((948, 575, 13, 18), rows=1080, columns=1920)
    followed = finder.look_again(picture, (950.0, 577.0, 7.0, 10.0))
    assert overlap(followed.box_px, (948, 575, 13, 18)) > 0.5
