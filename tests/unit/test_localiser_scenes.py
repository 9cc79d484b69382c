"""Layers, rooms and the scenes made of them."""

import numpy as np
import pytest
import torch

from made_localiser import bright_bank
from semihand.frames.synthetic.layers import LAYER_PX, draw_layers
from semihand.frames.synthetic.rooms import ROOM_PX, draw_room
from semihand.methods.localiser.scenes import Bank, bank_of, compose_scenes

SIDE_PX = 96


@pytest.fixture(scope="module")
def layers():
    return list(draw_layers(3, range(6)))


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_layer_is_the_same_in_any_company(layers):
    (alone,) = draw_layers(3, [4])
    for one, other in zip(alone, layers[4], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_hand_lies_inside_its_layer_and_is_covered(layers):
    for layer in layers:
        assert layer.hand.sum() > 100
        assert layer.cover[layer.hand].mean() > 240, "but for the samples of its outline that miss it"
        assert (layer.colour[layer.cover == 0] == 0).all()
        assert layer.outline_px.min() > 0
        assert layer.outline_px.max() < LAYER_PX - 1


def test_the_outline_bounds_what_is_seen_of_the_hand(layers):
    for layer in layers:
        rows, columns = np.nonzero(layer.hand)
        low, high = layer.outline_px.min(axis=0), layer.outline_px.max(axis=0)
        assert (low <= [columns.min() + 1, rows.min() + 1]).all()
        assert (high >= [columns.max() - 1, rows.max() - 1]).all()


def test_an_arm_lies_in_the_direction_that_its_layer_gives(layers):
    arms = [layer for layer in layers if np.any(layer.arm)]
    assert len(arms) >= 4
    for layer in arms:
        rows, columns = np.nonzero((layer.cover > 0) & ~layer.hand)
        hand = np.argwhere(layer.hand).mean(axis=0)[::-1]
        assert (np.array([columns.mean(), rows.mean()]) - hand) @ layer.arm > 0


def test_other_people_have_other_hands(layers):
    (other,) = draw_layers(3, [0], first_subject=10_000)
    assert np.abs(other.colour.astype(int) - layers[0].colour).max() > 0


def test_rooms_follow_their_number():
    assert draw_room(1, 5).shape == (ROOM_PX, ROOM_PX, 3)
    np.testing.assert_array_equal(draw_room(1, 5), draw_room(1, 5))
    assert (draw_room(1, 5) != draw_room(1, 6)).any()


def test_the_same_chance_draws_the_same_scenes():
    first, second = (compose_scenes(bright_bank(), 8, SIDE_PX, chance(2)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_a_scene_without_hands_shows_none():
    scenes = compose_scenes(bright_bank(), 64, SIDE_PX, chance(), empty=True)
    assert not scenes.present.any()
    assert not scenes.doubtful.any()
    assert float(scenes.pictures.amax()) < 0.6, "a hand is white, a room is nearly black"


def test_boxes_bound_what_is_bright():
    """The hands are white boxes before dark rooms, so what is bright tells where they are."""
    scenes = compose_scenes(bright_bank(), 256, SIDE_PX, chance(1))
    alone = (scenes.present.sum(1) == 1) & ~scenes.doubtful.any(1)
    assert int(alone.sum()) > 40
    places = torch.arange(SIDE_PX)
    for number in alone.nonzero()[:, 0].tolist():
        bright = scenes.pictures[number].mean(0) > 0.4
        columns, rows = places[bright.any(0)], places[bright.any(1)]
        seen = torch.stack([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
        box = scenes.boxes_px[number][scenes.present[number]][0]
        assert (seen - box).abs().max() < 4, "motion blur widens and darkens rims by up to 3 px"


def test_shares_of_hands_and_sides_are_as_drawn():
    scenes = compose_scenes(bright_bank(), 512, 48, chance(4))
    assert 0.2 < float((~scenes.present.any(1)).float().mean()) < 0.45
    assert 0.4 < float(scenes.right[scenes.present].float().mean()) < 0.6
    assert int(scenes.present.sum(1).max()) == 3


def test_a_hidden_hand_is_not_asked_for():
    """Layers that cover all about their hands: what is laid later hides what is under it, never the other way."""
    bank = bright_bank()
    layers = bank.layers.clone()
    layers[:, 3] = 255
    scenes = compose_scenes(Bank(layers, *bank[1:]), 128, SIDE_PX, chance(5))
    there = compose_scenes(bank, 128, SIDE_PX, chance(5)).present
    last = there & (there.flip(1).cumsum(1).flip(1) == 1)
    earlier = there & ~last
    assert int(earlier.sum()) > 20
    assert float(scenes.present[last].float().mean()) == 1
    assert float(scenes.present[earlier].float().mean()) < 0.7


def test_right_hands_are_as_their_layer_shows_them_and_left_ones_are_mirrored():
    """Layers are red where their left half is and blue in the right one, and turn by less than a quarter."""
    bank = bright_bank()
    layers = bank.layers.clone()
    layers[:, 1:3, :, : LAYER_PX // 2] = 0
    layers[:, 0:2, :, LAYER_PX // 2 :] = 0
    scenes = compose_scenes(Bank(layers, *bank[1:]), 128, SIDE_PX, chance(6))
    alone = ((scenes.present.sum(1) == 1) & ~scenes.doubtful.any(1)).nonzero()[:, 0].tolist()
    columns, told = torch.arange(SIDE_PX, dtype=torch.float32), 0
    for number in alone:
        red, _, blue = scenes.pictures[number]
        redder, bluer = (red - blue - 0.2).clamp(min=0), (blue - red - 0.2).clamp(min=0)
        if redder.any() and bluer.any():  # not a camera without colours
            red_at, blue_at = ((weight @ columns).sum() / weight.sum() for weight in (redder, bluer))
            assert bool(red_at < blue_at) == bool(scenes.right[number][scenes.present[number]][0])
            told += 1
    assert told > 20


def test_a_bank_holds_what_it_is_made_of(layers):
    bank = bank_of(layers, [draw_room(1, number) for number in range(3)])
    assert bank.layers.shape == (6, 5, LAYER_PX, LAYER_PX)
    assert bank.rooms.shape == (3, 3, ROOM_PX, ROOM_PX)
    np.testing.assert_array_equal(bank.layers[2, 3].numpy(), layers[2].cover)
    np.testing.assert_array_equal(bank.layers[2, :3].permute(1, 2, 0).numpy(), layers[2].colour)
