"""steps/checking/likeness.py: the same picture coded again, resized or cropped is found; another picture is not."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_pictures import picture

from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.steps.checking.alignment import compare
from semihand.steps.checking.likeness import LEAST_CORRELATION, like_pairs, thumbnail


def again(pixels, scale=1.0, quality=95, cut=(0.0, 0.0, 0.0, 0.0)):
    """The picture without shares of its left, top, right and bottom, resized, and coded as JPEG."""
    image = Image.fromarray(pixels)
    width, height = image.size
    left, top, right, bottom = (round(share * side) for share, side in zip(cut, (width, height) * 2, strict=True))
    image = image.crop((left, top, width - right, height - bottom))
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


CHANGES = {
    "coded": {"quality": 40},
    "halved": {"scale": 0.5},
    "doubled": {"scale": 2.0},
    "cropped": {"cut": (0.05, 0.0, 0.01, 0.03)},
    "all": {"quality": 60, "scale": 0.7, "cut": (0.0, 0.04, 0.04, 0.0)},
}


@pytest.fixture(scope="module")
def hands():
    """Pictures of hands, no two alike."""
    frames = generate_frames(SyntheticConfig(domain="randomised", num_frames=60, seed=4, size_px=128), range(60))
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in frames["image"].to_pylist()]


def pairs_of(first, second):
    thumbs = np.stack([thumbnail(pixels) for pixels in (*first, *second)])
    numbers = np.arange(len(thumbs))
    return like_pairs(thumbs, numbers[: len(first)], numbers[len(first) :])


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_each_with_its_own_original(hands, change):
    num = len(hands)
    found = {pair[:2] for pair in pairs_of(hands, [again(pixels, **CHANGES[change]) for pixels in hands])}
    assert found <= {(number, number + num) for number in range(num)}
    assert len(found) >= 0.95 * num


def test_the_smaller_group_may_be_first_or_second(hands):
    copies = [again(pixels, **CHANGES["all"]) for pixels in hands[:5]]
    forth, back = pairs_of(hands, copies), pairs_of(copies, hands)
    assert len(forth) == 5
    assert {(pair.first, pair.second - 60) for pair in forth} == {(pair.second - 5, pair.first) for pair in back}
    assert [pair.correlation for pair in forth] == sorted((pair.correlation for pair in forth), reverse=True)


def test_other_pictures_and_blank_ones_are_like_nothing(hands):
    assert pairs_of(hands[:30], hands[30:]) == []
    grey = [np.full((40, 40, 3), level, np.uint8) for level in (0, 80, 80)]
    assert pairs_of(grey[:2], grey[2:]) == []
    assert pairs_of(hands, []) == []


def before_one_wall(num):
    """Frames of a resting camera: the same scene, a hand elsewhere in each."""
    scene = np.asarray(Image.fromarray(picture(3)).resize((320, 240)))
    frames = []
    for left, top in np.random.default_rng(5).uniform((20, 20), (240, 140), (num, 2)).astype(int):
        shown = scene.copy()
        shown[top : top + 80, left : left + 60] = (220, 170, 150)
        frames.append(shown)
    return frames


def test_a_hand_that_moved_before_the_same_background_is_another_picture():
    here, there = before_one_wall(2)
    assert pairs_of([here], [there]) == []
    assert len(pairs_of([here], [again(here, quality=50)])) == 1


@pytest.mark.parametrize(("cut", "least"), [(0.06, 0.9), (0.1, 0.65)])
def test_crops_of_a_resting_cameras_frames_are_found_among_their_like(cut, least):
    num, frames = 100, before_one_wall(100)
    found = {pair[:2] for pair in pairs_of(frames, [again(pixels, cut=(cut, 0.0, 0.0, cut)) for pixels in frames])}
    assert len({second for _, second in found}) >= least * num


@given(st.integers(0, 10**6), st.tuples(*[st.floats(0, 0.04)] * 4))
@settings(max_examples=25)
def test_laying_a_crop_on_its_picture_undoes_it(seed, cut):
    whole = np.asarray(Image.fromarray(picture(seed)).resize((160, 120), Image.Resampling.BICUBIC))
    thumbs = [thumbnail(each).astype(np.float32)[None] for each in (whole, again(whole, cut=cut))]
    correlation = compare(*thumbs).correlation
    assert correlation[0] > LEAST_CORRELATION
    back = compare(*thumbs[::-1]).correlation
    assert abs(correlation[0] - back[0]) < 0.05


@pytest.mark.skipif("SEMIHAND_REAL_DATA" not in os.environ, reason="SEMIHAND_REAL_DATA names no folder of recordings")
def test_real_hands_before_the_same_wall_are_told_apart_and_their_copies_are_found():
    files = sorted(Path(os.environ["SEMIHAND_REAL_DATA"]).joinpath("digits").rglob("*.JPG"))[::10]
    hands = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    assert pairs_of(hands[::2], hands[1::2]) == []
    copies = [again(pixels, **CHANGES["all"]) for pixels in hands]
    assert len({pair.second for pair in pairs_of(hands, copies)}) > 0.9 * len(hands)
