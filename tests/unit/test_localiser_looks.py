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
from semihand.methods.localiser.looks import (
    Localiser,
    LocaliserConfig,
    Said,
    boxes_from,
    cells_of,
    heat_of,
    joint_values_of,
    places_about,
    values_of,
)
from semihand.methods.localiser.objective import cut_out, joint_loss, losses_of
from semihand.methods.localiser.scenes import compose_scenes
from semihand.methods.localiser.weights import LocaliserCard, load_localiser, save_localiser
from semihand.methods.semihand.network import NetworkConfig

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


@pytest.mark.parametrize("side", [20, 32, 45])
def test_places_are_cut_out_as_pictures_are_cropped(side):
    """The second look is taught on pieces of small pictures and used on crops of large ones."""
    v, u = np.mgrid[:96, :96]
    picture = np.stack([2.0 * u, 2.0 * v, 255.0 - u - v], axis=2).round().astype(np.uint8)
    square = torch.tensor([[9.5, 17.5, 9.5 + side, 17.5 + side]])
    tensor = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0).float() / 255
    piece = cut_out(tensor, square, 32)[0].permute(1, 2, 0).numpy() * 255
    crop, _ = crop_hand(picture, np.array([10.0, 18.0, side, side]), 32)
    np.testing.assert_allclose(piece[1:-1, 1:-1], crop[1:-1, 1:-1], atol=1.0)


def test_places_and_joints_are_exact_where_networks_compute_in_bf16():
    torch.manual_seed(0)
    pictures, squares_px = torch.rand(2, 3, 96, 96), torch.tensor([[3.3, 20.1, 47.9, 64.7], [-5.0, 40.0, 30.0, 75.0]])
    look = Localiser(NETWORK).eval().second
    with torch.autocast("cpu", torch.bfloat16):
        piece, said = cut_out(pictures, squares_px, 32), look(torch.rand(2, 3, 32, 32))
    assert torch.equal(piece, cut_out(pictures, squares_px, 32))
    assert said.joints.dtype == torch.float32


def test_heatmaps_of_joints_are_highest_where_the_joints_are():
    aim = torch.zeros(1, 21, 2)
    aim[0, 5] = torch.tensor([0.9, -0.9])
    assert int(heat_of(aim, 16)[0, 5].argmax()) == 15, "the last column of the first row"


def test_joints_are_in_halves_of_their_place():
    square, joints_px = torch.tensor([[10.0, 20.0, 50.0, 60.0]]), torch.full((1, 21, 2), 30.0)
    joints_px[0, 1] = torch.tensor([50.0, 20.0])
    assert joint_values_of(joints_px, square)[0, :2].tolist() == [[0.0, 0.5 - 1.0], [1.0, -1.0]]


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


def test_the_same_weights_with_another_threshold_are_told_apart_by_the_last_card(tmp_path):
    network = Localiser(NETWORK)
    for threshold in (0.4, 0.9):
        folder = save_localiser(network, LocaliserCard(network=NETWORK, threshold=threshold), tmp_path)
    assert load_localiser(folder)[1].threshold == 0.9
    assert sorted(path.name for path in folder.iterdir()) == ["localiser.json", "weights.safetensors"]


def test_weights_of_another_shape_than_the_card_says_are_refused(tmp_path):
    folder = save_localiser(Localiser(NETWORK), LocaliserCard(network=NETWORK, threshold=0.5), tmp_path)
    card = folder / "localiser.json"
    card.write_text(card.read_text().replace('"width": 8', '"width": 16'))
    with pytest.raises(ValueError, match=r"weights\.safetensors: first\.\S+ is torch\.float32 \(.*, its card means"):
        load_localiser(folder)


def test_an_hourglass_is_no_backbone_of_a_localiser():
    with pytest.raises(ValueError, match="hourglass has one"):
        LocaliserConfig(first=NetworkConfig(backbone="hourglass"))


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no localiser.*train_localiser"):
        load_localiser(tmp_path)


def test_changed_weights_are_refused(tmp_path):
    folder = save_localiser(Localiser(NETWORK), LocaliserCard(network=NETWORK, threshold=0.4), tmp_path)
    card = json.loads((folder / "localiser.json").read_text())
    (folder / "localiser.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(ValueError, match="sha256"):
        load_localiser(folder)
