"""Boxes, the two looks, what they learn, and the model's folder."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from made_localiser import NETWORK, bright_bank
from semihand.frames.crop import crop_hand
from semihand.methods.localiser.boxes import area, clipped, extent, overlaps, squares, without_repeats
from semihand.methods.localiser.looks import Localiser, Said, boxes_from, cells_of, heat_of, places_about, values_of
from semihand.methods.localiser.objective import cut_out, joint_loss, losses_of
from semihand.methods.localiser.scenes import compose_scenes
from semihand.methods.localiser.weights import LocaliserCard, load_localiser, save_localiser

places = st.floats(-50, 150, width=32)
lengths = st.floats(4, 100, width=32)


@st.composite
def boxes(draw):
    left, top, width, height = draw(places), draw(places), draw(lengths), draw(lengths)
    return torch.tensor([[left, top, left + width, top + height]])


@given(boxes(), boxes())
def test_overlap_is_symmetric_and_that_of_areas(one, other):
    overlap = overlaps(one, other)
    torch.testing.assert_close(overlap, overlaps(other, one).mT)
    assert 0 <= float(overlap) <= 1 + 1e-6
    torch.testing.assert_close(overlaps(one, one), torch.ones(1, 1))
    shared = area(clipped(one, other))
    torch.testing.assert_close(overlap[0], shared / (area(one) + area(other) - shared), atol=1e-5, rtol=1e-4)


@given(boxes())
def test_what_the_second_look_should_say_gives_the_box_back(box):
    square = squares(box + torch.tensor([3.0, -2.0, 5.0, 1.0]), 1.6)
    torch.testing.assert_close(boxes_from(values_of(box, square), square), box, atol=1e-2, rtol=1e-4)


def test_of_boxes_that_overlap_the_better_stays():
    three = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]])
    kept = without_repeats(three, torch.tensor([0.5, 0.9, 0.1]), 0.4)
    assert kept.tolist() == [False, True, True]


def test_points_lie_half_a_pixel_inside_their_box():
    assert extent(torch.tensor([[2.0, 3.0], [7.0, 5.0]])).tolist() == [1.5, 2.5, 7.5, 5.5]


def test_a_peak_with_its_size_and_offset_gives_its_box():
    box = torch.tensor([[[9.0, 14.0, 31.0, 40.0]]])
    middle, size = cells_of(box)
    cell = middle[0, 0].floor().long()
    maps = torch.zeros(1, 5, 16, 16)
    maps[:, 0] = -5
    row, column = int(cell[1]), int(cell[0])
    maps[0, 0, row, column] = 4
    maps[0, 1:3, row, column] = size[0, 0].log()
    maps[0, 3:, row, column] = middle[0, 0] - cell - 0.5
    proposals = Localiser(NETWORK).propose(maps, 3)
    torch.testing.assert_close(proposals.boxes_px[:, :1], box)
    assert float(proposals.scores[0, 0]) > 0.9 > float(proposals.scores[0, 1])


def test_places_are_cut_out_as_pictures_are_cropped():
    """The second look is taught on pieces of small pictures and used on crops of large ones."""
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.uniform(0, 255, (12, 12, 3)), np.ones((8, 8, 1)))
    picture = np.asarray(smooth, np.uint8)
    square = torch.tensor([[9.5, 17.5, 41.5, 49.5]])
    tensor = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0).float() / 255
    piece = cut_out(tensor, square, 32)[0].permute(1, 2, 0).numpy() * 255
    crop, _ = crop_hand(picture, np.array([10.0, 18.0, 32.0, 32.0]), 32)
    np.testing.assert_allclose(piece, crop, atol=1.0)


def test_all_of_the_localiser_learns():
    torch.manual_seed(0)
    localiser = Localiser(NETWORK).train()
    chance = torch.Generator().manual_seed(0)
    losses = losses_of(localiser, compose_scenes(bright_bank(), 8, NETWORK.picture_px, chance), chance)
    losses.total().backward()
    assert all(float(loss.detach()) >= 0 for loss in losses)
    still = [name for name, value in localiser.named_parameters() if value.grad is None or not value.grad.any()]
    assert not still


def test_joints_cost_by_how_far_off_they_and_their_heatmaps_are_and_nothing_outside_the_place():
    aim = torch.rand(1, 21, 2, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    nothing = torch.zeros(1)

    def loss(joints, heat, aim=aim):
        return float(joint_loss(Said(nothing, nothing, torch.zeros(1, 4), joints, heat.clamp(min=1e-30).log()), aim))

    right = heat_of(aim, 16)
    assert loss(aim, right) < min(loss(aim + 0.1, right), loss(aim, heat_of(aim + 0.1, 16)))
    outside = aim.clone()
    outside[:, 3, 0] = 1.5
    elsewhere = aim.clone()
    elsewhere[:, 3] = 0.0
    assert loss(aim, right, outside) == loss(elsewhere, heat_of(elsewhere, 16), outside)


def test_scenes_without_hands_can_be_learned_from():
    torch.manual_seed(0)
    localiser = Localiser(NETWORK).train()
    chance = torch.Generator().manual_seed(0)
    scenes = compose_scenes(bright_bank(), 4, NETWORK.picture_px, chance, empty=True)
    losses = losses_of(localiser, scenes, chance)
    assert torch.isfinite(losses.total())
    assert float(losses.side) == 0
    assert float(losses.box) == 0


def test_places_are_square_about_the_box():
    assert places_about(torch.tensor([[0.0, 0.0, 10.0, 20.0]])).tolist() == [[-11.0, -6.0, 21.0, 26.0]]


def test_a_localiser_comes_back_as_it_was_saved(tmp_path):
    torch.manual_seed(1)
    localiser = Localiser(NETWORK).eval()
    folder = save_localiser(localiser, LocaliserCard(network=NETWORK, threshold=0.4, measured={"found": 0.9}), tmp_path)
    loaded, card = load_localiser(folder)
    assert (card.threshold, card.measured) == (0.4, {"found": 0.9})
    picture = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded.first(picture), localiser.first(picture))


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no localiser.*train_localiser"):
        load_localiser(tmp_path)


def test_changed_weights_are_refused(tmp_path):
    folder = save_localiser(Localiser(NETWORK), LocaliserCard(network=NETWORK, threshold=0.4), tmp_path)
    card = json.loads((folder / "localiser.json").read_text())
    (folder / "localiser.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(ValueError, match="sha256"):
        load_localiser(folder)
